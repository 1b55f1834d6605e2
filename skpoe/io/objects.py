"""Objects of the library by name and arguments, and objects of users by where they are."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import Any

from .. import likelihoods, nn, objectives, posteriors, priors
from ..subsets import Subsets

# a file names a class by room and name; it is looked up here, never imported
KNOWN: dict[str, type] = {
    f"{kind.__module__.split('.')[1]}.{kind.__name__}": kind
    for kind in (
        *likelihoods.LIKELIHOODS.values(),
        likelihoods.Mixed,
        *objectives.OBJECTIVES.values(),
        *posteriors.FAMILIES.values(),
        *(getattr(priors, name) for name in priors.__all__ if name not in ("Natural", "Prior")),
        nn.Shared,
        nn.MLPFactory,
        nn.ConvEncoder,
        nn.ConvDecoder,
        Subsets,
    )
}
NAME_OF = {kind: name for name, kind in KNOWN.items()}
# of users' own classes, instances of these kinds and of dataclasses may be in files
PIECES = (likelihoods.Likelihood, objectives.Objective, posteriors.Family, priors.Prior)

# arguments whose names belong to something else once the object has seen data
_ARGUMENTS: dict[tuple[type, str], Callable[[Any], Any]] = {
    (likelihoods.CensoredGaussian, "low"): lambda made: made.limits[0],
    (likelihoods.CensoredGaussian, "high"): lambda made: made.limits[1],
    (likelihoods.Mixed, "parts"): lambda made: list(zip(made.columns, made.parts, strict=True)),
}


def arguments_of(made: Any) -> dict[str, Any]:
    """Give the arguments that make an object of a known class anew.

    Parameters
    ----------
    made : object
        Of a class in ``KNOWN``, or of a user's own that keeps each argument as an attribute of
        the same name.

    Returns
    -------
    arguments : dict of str to object

    Raises
    ------
    AttributeError
        When no attribute has the name of an argument.

    Examples
    --------
    >>> from skpoe.io.objects import arguments_of
    >>> from skpoe.likelihoods import CensoredGaussian
    >>> arguments_of(CensoredGaussian(low=0.0))
    {'low': 0.0, 'high': None, 'reach': 5.0}
    """
    kind = type(made)
    return {
        name: _ARGUMENTS[kind, name](made) if (kind, name) in _ARGUMENTS else getattr(made, name)
        for name in parameters_of(kind)
    }


def parameters_of(kind: type) -> list[str]:
    """Name the constructor arguments of a class."""
    if kind.__init__ is object.__init__:
        return []
    own = inspect.signature(kind).parameters.values()
    return [p.name for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def is_made_by_users(kind: Any) -> bool:
    """Whether files may hold instances of a class that is not of this library."""
    own = isinstance(kind, type) and kind not in NAME_OF
    return own and (issubclass(kind, PIECES) or dataclasses.is_dataclass(kind))


def place_of(thing: Any) -> str | None:
    """Say where a function or class is found, as 'module:name'; None where no name leads to it."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is thing else None
