"""Objectives: a model and a batch to a value a row, in nats, to be maximised."""

from .aligned_elbo import AlignedELBO
from .autoregressive_elbo import AutoregressiveELBO
from .base import Objective
from .crmvae import CRMVAEObjective
from .elbo import ELBO
from .iwae import IWAE
from .jvi import JVI
from .mmvm import MMVMObjective
from .mvtcae import MVTCAEObjective
from .subset_elbo import SubsetELBO
from .vaevae import VAEVAEObjective

OBJECTIVES = {
    "elbo": ELBO,
    "iwae": IWAE,
    "jvi": JVI,
    "subset_elbo": SubsetELBO,
    "aligned_elbo": AlignedELBO,
    "autoregressive_elbo": AutoregressiveELBO,
    "vaevae": VAEVAEObjective,
    "mvtcae": MVTCAEObjective,
    "crmvae": CRMVAEObjective,
    "mmvm": MMVMObjective,
}

__all__ = [
    "ELBO",
    "IWAE",
    "JVI",
    "OBJECTIVES",
    "AlignedELBO",
    "AutoregressiveELBO",
    "CRMVAEObjective",
    "MMVMObjective",
    "MVTCAEObjective",
    "Objective",
    "SubsetELBO",
    "VAEVAEObjective",
]
