"""Shorter ways, which a class made of another one leaves where it changes the long one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class WithShortcuts:
    """A class some of whose members hold only as long as others are as they are in it.

    ``shortcuts`` names them, each with the members that it replaces or is about. A subclass that
    overrides one of those, and not the shortcut, gets what stands above the shortcut: the general
    form, by way of the others.

    Examples
    --------
    >>> from skpoe.shortcuts import WithShortcuts
    >>> class General(WithShortcuts):
    ...     def one(self):
    ...         return 1
    ...     def two(self):
    ...         return 2 * self.one()
    >>> class Quick(General):
    ...     shortcuts = {"two": ("one",)}
    ...     def two(self):
    ...         return 2
    >>> class Other(Quick):
    ...     def one(self):
    ...         return 10
    >>> Quick().two(), Other().two()
    (2, 20)
    """

    shortcuts: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        kinds = cls.__mro__
        for place, kind in enumerate(kinds):
            changed = {name for nearer in kinds[:place] for name in vars(nearer)}
            for name, way in vars(kind).get("shortcuts", {}).items():
                if name not in changed and changed.intersection(way):
                    general = next(far for far in kinds[place + 1 :] if name in vars(far))
                    setattr(cls, name, vars(general)[name])
