"""Multimodal variational autoencoders with the face of scikit-learn."""

from .data import Modalities
from .estimators import MVAE, PoEVAE, SphericalVAE, all_estimators
from .preprocessing import PerModality

__version__ = "0.1.0.dev0"
__all__ = ["MVAE", "Modalities", "PerModality", "PoEVAE", "SphericalVAE", "all_estimators"]
