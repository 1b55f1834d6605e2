"""Estimators, one file each: docstring, parameters, constraints, ``_compose``."""

from .crmvae import CRMVAE
from .dmvae import DMVAE
from .face import BaseMultimodal
from .factor_analysis import MultimodalFactorAnalysis
from .jmvae import JMVAE
from .miwae import MIWAE
from .mmvae import MMVAE
from .mmvae_plus import MMVAEPlus
from .mmvm import MMVM
from .modular_vae import ModularVAE
from .mopoe import MoPoE
from .mvae import MVAE
from .mvtcae import MVTCAE
from .partial_vae import PartialVAE
from .poevae import PoEVAE
from .saving import load
from .spherical_vae import SphericalVAE
from .vaevae import VAEVAE

_ALL: tuple[type[BaseMultimodal], ...] = (
    CRMVAE,
    DMVAE,
    JMVAE,
    MIWAE,
    MMVAE,
    MMVAEPlus,
    MMVM,
    MVAE,
    MVTCAE,
    MoPoE,
    ModularVAE,
    PartialVAE,
    MultimodalFactorAnalysis,
    PoEVAE,
    SphericalVAE,
    VAEVAE,
)

__all__ = ["all_estimators", "load", *(cls.__name__ for cls in _ALL)]


def all_estimators() -> list[tuple[str, type[BaseMultimodal]]]:
    """List the name and class of every estimator.

    Returns
    -------
    estimators : list of (str, type)

    Examples
    --------
    >>> from skpoe import all_estimators
    >>> "PoEVAE" in dict(all_estimators())
    True
    """
    return [(cls.__name__, cls) for cls in _ALL]
