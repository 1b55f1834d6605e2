"""Priors p(z)."""

from .base import Prior
from .standard_gaussian import StandardGaussian

__all__ = ["Prior", "StandardGaussian"]
