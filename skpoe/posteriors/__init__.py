"""Families of posteriors q(z | x), and the posterior of a batch under a list of subsets."""

from .base import Family, Params
from .diagonal_gaussian import DiagonalGaussian
from .full_gaussian import FullGaussian
from .laplace import Laplace
from .power_spherical import PowerSpherical
from .private_posterior import PrivatePosterior
from .student_t import StudentT
from .subset_posterior import SubsetPosterior
from .von_mises_fisher import VonMisesFisher

FAMILIES = {
    family.name: family
    for family in (
        DiagonalGaussian,
        FullGaussian,
        Laplace,
        StudentT,
        VonMisesFisher,
        PowerSpherical,
    )
}

__all__ = [
    "FAMILIES",
    "DiagonalGaussian",
    "Family",
    "FullGaussian",
    "Laplace",
    "Params",
    "PowerSpherical",
    "PrivatePosterior",
    "StudentT",
    "SubsetPosterior",
    "VonMisesFisher",
]
