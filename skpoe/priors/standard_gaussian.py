"""The standard Gaussian prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..posteriors import Params
from ..random import RowNoise
from .base import Prior


class StandardGaussian(Prior):
    """N(0, I).

    Parameters
    ----------
    latent_dim : int
        D.
    """

    precision: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("precision", torch.ones(latent_dim), persistent=False)

    @property
    def latent_dim(self) -> int:
        return len(self.precision)

    def natural(self) -> Params:
        return {"h": torch.zeros_like(self.precision), "precision": self.precision}

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def sample(self, noise: RowNoise) -> Tensor:
        return noise.normal(event=len(self.precision), dtype=self.precision.dtype)
