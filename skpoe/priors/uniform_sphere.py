"""The uniform prior on a product of spheres."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..distributions import log_area
from ..random import RowNoise
from .base import Natural, Prior


class UniformSphere(Prior):
    """Uniform on ``n_spheres`` unit spheres, relative to whose area densities are.

    Parameters
    ----------
    n_spheres : int
    sphere_dim : int
        Dimension of each sphere; it lies in one dimension more.
    """

    kind = "uniform"
    is_natural = True
    shortcuts = {"is_natural": ("natural", "log_prob")}
    eta: Tensor

    def __init__(self, n_spheres: int, sphere_dim: int) -> None:
        super().__init__()
        self.n_spheres, self.sphere_dim = n_spheres, sphere_dim
        self.register_buffer("eta", torch.zeros(n_spheres, sphere_dim + 1), persistent=False)

    @property
    def latent_dim(self) -> int:
        return self.eta.numel()

    def natural(self) -> Natural:
        return {"eta": self.eta}

    def log_prob(self, z: Tensor) -> Tensor:
        n_spheres, dim = self.eta.shape
        return torch.full_like(z[..., 0], -n_spheres * log_area(dim))

    def sample(self, noise: RowNoise) -> Tensor:
        normals = noise.normal(event=self.latent_dim, dtype=self.eta.dtype)
        return F.normalize(normals.unflatten(-1, self.eta.shape), dim=-1).flatten(-2)
