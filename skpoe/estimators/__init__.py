"""Estimators, one file each: docstring, ``__init__``, constraints, ``_compose``."""

from .base import BaseVAE
from .mvae import MVAE
from .poevae import PoEVAE
from .spherical_vae import SphericalVAE

__all__ = ["MVAE", "PoEVAE", "SphericalVAE", "all_estimators"]


def all_estimators() -> list[tuple[str, type[BaseVAE]]]:
    """List the name and class of every estimator.

    Returns
    -------
    estimators : list of (str, type)

    Examples
    --------
    >>> from skpoe import all_estimators
    >>> [name for name, _ in all_estimators()]
    ['MVAE', 'PoEVAE', 'SphericalVAE']
    """
    return [(c.__name__, c) for c in (MVAE, PoEVAE, SphericalVAE)]
