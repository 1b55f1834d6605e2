"""Where tensors are, what may be asked about them there, and what is kept for later ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

Made = TypeVar("Made")
# at most so many numbers are kept to be used again
_SMALL = 4096
# bytes, just below the 32 MB up to which glibc learns from what is freed
_LARGEST = 2**25 - 2**14


def find_device(device: Any) -> torch.device:
    """Read the ``device`` parameter of estimators.

    Raises
    ------
    ValueError
        When torch has no such device here.

    Examples
    --------
    >>> from skpoe.device import find_device
    >>> find_device(None)
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device("cpu" if device is None else device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={device!r} cannot be used here. torch says: {error}") from error
    return found


def can_ask(tensor: Tensor) -> bool:
    """Say whether Python may look at the numbers of a tensor without waiting.

    A GPU is told what to do long before it does it. To ask it for a number is to wait until it
    has done all it was told, and steps that are recorded or compiled cannot ask at all.

    Examples
    --------
    >>> import torch
    >>> from skpoe.device import can_ask
    >>> can_ask(torch.zeros(2)), can_ask(torch.zeros(2, device="meta"))
    (True, False)
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def holds(flag: Tensor, otherwise: bool) -> bool:
    """Say whether a flag is up where that can be asked; elsewhere, what is safe to assume."""
    return bool(flag) if can_ask(flag) else otherwise


def keep_freed_memory() -> None:
    """Let the C library keep what a step has freed for the next one.

    glibc gives what is free at the end of its memory back to the system, and a step whose tensors
    have a megabyte or two then waits for hundreds of pages: up to a tenth of its time. It keeps
    twice as much as the largest block that it has seen freed. The one that is freed here is never
    written, so it takes no memory; other libraries do not mind.
    """
    torch.empty(_LARGEST, dtype=torch.uint8)


def kept(make: Callable[..., Made]) -> Callable[..., Made]:
    """Keep what a function makes of its arguments: steps ask for the same again and again.

    What it makes may be shared: it must not be changed.
    """
    cached = functools.lru_cache(maxsize=1024)(make)

    @functools.wraps(make)
    def give(*args: Any) -> Made:
        # the compiler looks into functions, and has no use for what they keep
        return make(*args) if torch.compiler.is_compiling() else cached(*args)

    return give


def kept_if_small(make: Callable[..., Made]) -> Callable[..., Made]:
    """Keep what a function makes of a number n, its first argument, if n is small."""
    cached = kept(make)

    @functools.wraps(make)
    def give(n: int, *args: Any) -> Made:
        return (cached if n <= _SMALL else make)(n, *args)

    return give
