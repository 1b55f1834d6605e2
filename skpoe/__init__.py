"""Multimodal variational autoencoders with the face of scikit-learn."""

from .annotation import annotate
from .data import Modalities
from .estimators import (
    CRMVAE,
    DMVAE,
    JMVAE,
    MIWAE,
    MMVAE,
    MMVM,
    MVAE,
    MVTCAE,
    VAEVAE,
    MMVAEPlus,
    ModularVAE,
    MoPoE,
    MultimodalFactorAnalysis,
    PartialVAE,
    PoEVAE,
    SphericalVAE,
    all_estimators,
    load,
)
from .preprocessing import PerModality

__version__ = "0.1.0.dev0"
__all__ = [
    "CRMVAE",
    "DMVAE",
    "JMVAE",
    "MIWAE",
    "MMVAE",
    "MMVM",
    "MVAE",
    "MVTCAE",
    "VAEVAE",
    "MMVAEPlus",
    "MoPoE",
    "Modalities",
    "ModularVAE",
    "MultimodalFactorAnalysis",
    "PartialVAE",
    "PerModality",
    "PoEVAE",
    "SphericalVAE",
    "all_estimators",
    "annotate",
    "load",
]
