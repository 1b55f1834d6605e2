"""Gaussian priors with mean zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..random import RowNoise
from ..slots import slot
from .base import Natural, Prior


def dealt_scale(scores: Tensor) -> Tensor:
    """D softmax(scores): scales whose mean is one."""
    return F.softmax(scores, dim=-1) * scores.shape[-1]


class StandardGaussian(Prior):
    """N(0, I).

    Parameters
    ----------
    latent_dim : int
        D.
    """

    is_natural = True
    shortcuts = {"is_natural": ("natural", "log_prob")}
    precision: Tensor = slot("buffers")
    h: Tensor = slot("buffers")

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("precision", torch.ones(latent_dim), persistent=False)
        self.register_buffer("h", torch.zeros(latent_dim), persistent=False)

    @property
    def latent_dim(self) -> int:
        return len(self.precision)

    def natural(self) -> Natural:
        return {"h": self.h, "precision": self.precision}

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))

    def sample(self, noise: RowNoise) -> Tensor:
        return noise.normal(event=len(self.precision), dtype=self.precision.dtype)


class ScaledGaussian(Prior):
    """N(0, diag(scale^2)) with learned scales whose mean is one.

    Parameters
    ----------
    latent_dim : int
        D.
    """

    is_natural = True
    shortcuts = {"is_natural": ("natural", "log_prob")}

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(latent_dim))

    @property
    def latent_dim(self) -> int:
        return len(self.scores)

    def scale(self) -> Tensor:
        """Give the standard deviations, shape (D,)."""
        return dealt_scale(self.scores)

    def natural(self) -> Natural:
        precision = self.scale() ** -2
        return {"h": torch.zeros_like(precision), "precision": precision}

    def log_prob(self, z: Tensor) -> Tensor:
        scale = self.scale()
        terms = (z / scale).square() + 2 * scale.log() + math.log(2 * math.pi)
        return -0.5 * terms.sum(-1)

    def sample(self, noise: RowNoise) -> Tensor:
        return self.scale() * noise.normal(event=len(self.scores), dtype=self.scores.dtype)
