"""Attributes of torch modules that are found at once."""

from __future__ import annotations

from typing import Any

from torch import nn


class _Slot:
    """An attribute that a torch module keeps in a dictionary of its own.

    It has no setter: torch keeps what is assigned, as ever.
    """

    def __init__(self, kept: str) -> None:
        self.kept = f"_{kept}"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module: nn.Module | None, owner: type) -> Any:
        if module is None:
            return self
        try:
            return getattr(module, self.kept)[self.name]
        except KeyError:  # torch looks on, or says that there is none
            raise AttributeError(self.name) from None


def slot(kept: str = "modules") -> Any:
    """Declare an attribute that steps of training read.

    torch looks into its dictionaries last, when all else has failed. Where a step takes two
    milliseconds, thirty such searches are a fortieth of it.

    Parameters
    ----------
    kept : {"modules", "parameters", "buffers"}, default="modules"
        What it is.

    Examples
    --------
    >>> from torch import nn
    >>> from skpoe.slots import slot
    >>> class Pair(nn.Module):
    ...     first: nn.Module = slot()
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first = nn.Linear(2, 1)
    >>> Pair().first
    Linear(in_features=2, out_features=1, bias=True)
    """
    return _Slot(kept)
