"""The Laplace prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..distributions.laplace import laplace_sample
from ..random import RowNoise
from .base import Natural, Prior
from .gaussian import dealt_scale


class Laplace(Prior):
    """Independent Laplace distributions around zero with learned scales whose mean is one.

    Parameters
    ----------
    latent_dim : int
        D.
    learn_scale : bool, default=True
        False keeps every scale at one.
    """

    kind = "laplace"
    is_natural = True
    shortcuts = {"is_natural": ("natural", "log_prob")}

    def __init__(self, latent_dim: int, learn_scale: bool = True) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(latent_dim), requires_grad=learn_scale)

    @property
    def latent_dim(self) -> int:
        return len(self.scores)

    @property
    def learn_scale(self) -> bool:
        """Whether the scales are learned."""
        return self.scores.requires_grad

    def natural(self) -> Natural:
        return {"mean": torch.zeros_like(self.scores), "scale": dealt_scale(self.scores)}

    def log_prob(self, z: Tensor) -> Tensor:
        scale = dealt_scale(self.scores)
        return -(z.abs() / scale).sum(-1) - (2.0 * scale).log().sum(-1)

    def sample(self, noise: RowNoise) -> Tensor:
        uniform = noise.uniform(event=len(self.scores), dtype=torch.float64)
        return dealt_scale(self.scores) * laplace_sample(uniform).to(self.scores.dtype)
