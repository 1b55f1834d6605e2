"""Priors p(z)."""

from .base import Prior
from .standard_gaussian import StandardGaussian
from .uniform_sphere import UniformSphere

__all__ = ["Prior", "StandardGaussian", "UniformSphere"]
