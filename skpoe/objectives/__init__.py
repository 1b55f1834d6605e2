"""Objectives: a model and a batch to a value a row, in nats, to be maximised."""

from .aligned_elbo import AlignedELBO
from .base import Objective
from .elbo import ELBO
from .iwae import IWAE
from .subset_elbo import SubsetELBO

OBJECTIVES = {
    "elbo": ELBO,
    "iwae": IWAE,
    "subset_elbo": SubsetELBO,
    "aligned_elbo": AlignedELBO,
}

__all__ = ["ELBO", "IWAE", "OBJECTIVES", "AlignedELBO", "Objective", "SubsetELBO"]
