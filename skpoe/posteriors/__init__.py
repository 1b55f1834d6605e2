"""Families of posteriors q(z | x), and the posterior of a batch under a list of subsets."""

from .base import Family, Params
from .diagonal_gaussian import DiagonalGaussian
from .full_gaussian import FullGaussian
from .subset_posterior import SubsetPosterior

FAMILIES = {family.name: family for family in (DiagonalGaussian, FullGaussian)}

__all__ = [
    "FAMILIES",
    "DiagonalGaussian",
    "Family",
    "FullGaussian",
    "Params",
    "SubsetPosterior",
]
