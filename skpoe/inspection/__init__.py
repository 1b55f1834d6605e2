"""Displays of fitted estimators, in scikit-learn's convention, and a report."""

from .contribution import ModalityContributionDisplay
from .coverage import CoverageDisplay
from .imputation import ImputationDisplay
from .latent import LatentDisplay
from .loss_curve import LossCurveDisplay
from .missingness import MissingnessDisplay
from .posterior import PosteriorDisplay

__all__ = [
    "CoverageDisplay",
    "ImputationDisplay",
    "LatentDisplay",
    "LossCurveDisplay",
    "MissingnessDisplay",
    "ModalityContributionDisplay",
    "PosteriorDisplay",
]
