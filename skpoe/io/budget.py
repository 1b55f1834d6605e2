"""How much making a model may take: what a file says must not fill the memory."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .container import FileFormatError

# beside what is in proportion to the file
_BYTES, _OPERATIONS = 2**25, 2_000
_TIMES_BYTES, _TIMES_OPERATIONS = 16, 40


class Budget(TorchDispatchMode):
    """Inside the block, new tensors may take so much memory, and so many operations be done.

    A file that says ``hidden_layer_sizes=[10**9]`` would else fill the memory before its shapes
    are found wrong. A request is refused before it is granted.

    Parameters
    ----------
    tensors : sequence of Tensor
        What the file holds: the budget is in proportion to it.

    Examples
    --------
    >>> import torch
    >>> from skpoe.io import Budget
    >>> with Budget([torch.zeros(10)]):
    ...     torch.zeros(10**9, 10**9)
    Traceback (most recent call last):
    skpoe.io.container.FileFormatError: its parameters ask for more memory than ...
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        super().__init__()
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self._bytes = _BYTES + _TIMES_BYTES * n_bytes
        self._operations = _OPERATIONS + _TIMES_OPERATIONS * len(tensors)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which would take seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self._operations -= 1
        asked = _asked(func, args)
        if self._operations < 0 or 4 * asked > self._bytes:
            self._refuse()
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not (func.is_view or func._schema.is_mutable):
            self._bytes -= result.numel() * result.element_size()
            if self._bytes < 0:
                self._refuse()
        return result

    def _refuse(self) -> None:
        raise FileFormatError("its parameters ask for more memory than its numbers account for")


def _asked(func: Any, args: tuple[Any, ...]) -> int:
    """Give how many numbers the arguments of an operation speak of."""
    sizes = [
        math.prod(arg)
        for arg in args
        if isinstance(arg, (list, tuple)) and all(type(n) is int for n in arg)
    ]
    if func.overloadpacket in (torch.ops.aten.eye, torch.ops.aten.arange):
        power = 2 if func.overloadpacket is torch.ops.aten.eye else 1
        sizes += [abs(int(arg)) ** power for arg in args if isinstance(arg, (int, float))]
    return max(sizes, default=0)
