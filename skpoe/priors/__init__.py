"""Priors p(z)."""

from .base import Natural, Prior
from .gaussian import ScaledGaussian, StandardGaussian
from .laplace import Laplace
from .mixture import GaussianMixture, VampPrior
from .uniform_sphere import UniformSphere

__all__ = [
    "GaussianMixture",
    "Laplace",
    "Natural",
    "Prior",
    "ScaledGaussian",
    "StandardGaussian",
    "UniformSphere",
    "VampPrior",
]
