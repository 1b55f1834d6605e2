"""What families on a product of spheres share: experts that say a mode and a concentration."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from .base import Family, Params, added


class Spherical(Family):
    r"""Distributions on ``n_spheres`` unit spheres, each in d dimensions, by eta.

    An encoder emits a direction and one number r a sphere; its expert is
    :math:`\eta = (1 + \mathrm{softplus}(r)) \, \mu`, the concentration times the mode, and eta = 0
    is the uniform distribution.

    Leaves of experts: ``eta`` (N, M, n_spheres, d). Leaves of posteriors: ``eta``
    (S, N, n_spheres, d). z (K, S, N, D) has D = n_spheres * d: the spheres side by side. Densities
    are relative to the area of the spheres.

    Parameters
    ----------
    sphere_dim : int, default=1
        Dimension of each sphere, d - 1.
    """

    prior_kind = "uniform"

    def __init__(self, sphere_dim: int = 1) -> None:
        self.sphere_dim = sphere_dim

    @property
    def dim(self) -> int:
        """Of the space that each sphere is in, d."""
        return self.sphere_dim + 1

    def n_outputs(self, latent_dim: int) -> int:
        return latent_dim + latent_dim // self.dim

    def experts(self, raw: Tensor, shared: Any = None, masks: Any = None) -> Params:
        n_spheres = raw.shape[-1] // (self.dim + 1)
        direction = raw[..., :-n_spheres].unflatten(-1, (n_spheres, self.dim))
        concentration = 1.0 + F.softplus(raw[..., -n_spheres:])
        return {"eta": F.normalize(direction, dim=-1) * concentration[..., None]}

    def at(self, natural: Params) -> Params:
        return {"eta": natural["eta"][None, None]}

    def product(self, experts: Params, membership: Tensor) -> Params:
        eta = experts["eta"]
        (total,) = added([eta.flatten(2)], membership)
        return {"eta": total.unflatten(2, eta.shape[2:])}

    def product_with_prior(
        self, experts: Params, powers: Tensor, prior: Params, held: Tensor | None = None
    ) -> Params:
        return self.product(experts, powers)  # the prior is uniform: its eta is 0

    def place(self, mean: Tensor) -> Tensor:
        """Take each sphere's part of a mean to the sphere; zero, which has no direction, stays."""
        return F.normalize(self._spheres(mean), dim=-1).flatten(-2)

    def _spheres(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (z.shape[-1] // self.dim, self.dim))
