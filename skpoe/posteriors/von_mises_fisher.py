"""Von Mises-Fisher posteriors on a product of spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..distributions import kl_to_uniform, mean_ratio, vmf_kl, vmf_log_prob, vmf_sample
from ..random import RowNoise
from .base import Family, Params, added

_PROPOSALS = 4


@dataclass(frozen=True)
class SphereNoise:
    """Random numbers for draws on spheres: normal ones now, uniform ones as often as asked.

    Parameters
    ----------
    normals : Tensor of shape (K, S, N, n_spheres, d)
        Directions around the modes.
    uniforms : callable
        From a round to uniform numbers (J, 3, K, S, N, n_spheres): how far from the modes.
    """

    normals: Tensor
    uniforms: Callable[[int], Tensor]


class VonMisesFisher(Family):
    r"""Independent vMF distributions on ``n_spheres`` unit spheres, each in d dimensions.

    An encoder emits a direction and one number r a sphere; the natural parameter of its expert is
    :math:`\eta = (1 + \mathrm{softplus}(r)) \, \mu`, the concentration times the mode. A product
    of experts is a sum of etas, and eta = 0 is the uniform distribution.

    Leaves of experts: ``eta`` (N, M, n_spheres, d). Leaves of posteriors: ``eta``
    (S, N, n_spheres, d). z (K, S, N, D) has D = n_spheres * d: the spheres side by side. Densities
    are relative to the area of the spheres.

    Parameters
    ----------
    sphere_dim : int, default=1
        Dimension of each sphere, d - 1.

    References
    ----------
    Hyperspherical variational auto-encoders (Davidson et al., 2018),
    https://arxiv.org/abs/1804.00891, section 3.1.
    """

    name = "von_mises_fisher"
    prior_kind = "uniform"

    def __init__(self, sphere_dim: int = 1) -> None:
        self.dim = sphere_dim + 1

    def n_outputs(self, latent_dim: int) -> int:
        return latent_dim + latent_dim // self.dim

    def n_held(self, latent_dim: int) -> int:
        return _PROPOSALS * 3 * latent_dim

    def experts(self, raw: Tensor, shared: Any = None, masks: Any = None) -> Params:
        n_spheres = raw.shape[-1] // (self.dim + 1)
        direction = raw[..., :-n_spheres].unflatten(-1, (n_spheres, self.dim))
        concentration = 1.0 + F.softplus(raw[..., -n_spheres:])
        return {"eta": F.normalize(direction, dim=-1) * concentration[..., None]}

    def lift(self, natural: Params) -> Params:
        return {"eta": natural["eta"][None, None]}

    def at(self, natural: Params) -> Params:
        return {"eta": natural["eta"][None, None]}

    def product(self, experts: Params, membership: Tensor) -> Params:
        eta = experts["eta"]
        return {"eta": added(eta.flatten(2), membership).unflatten(2, eta.shape[2:])}

    def product_with_prior(
        self, experts: Params, powers: Tensor, prior: Params, held: Tensor | None = None
    ) -> Params:
        return self.product(experts, powers)  # the prior is uniform: its eta is 0

    def noise(self, source: RowNoise, n_draws: int, params: Params) -> Any:
        eta = params["eta"]
        n_spheres, n_subsets = eta.shape[-2], len(eta)
        size = n_spheres * self.dim
        normals = source.normal(n_draws, n_subsets, event=size, dtype=eta.dtype)

        def uniforms(number: int) -> Tensor:
            stream = source.fold("round").fold(number)
            lead = (_PROPOSALS, 3, n_draws, n_subsets)
            return stream.uniform(*lead, event=n_spheres, dtype=torch.float64)

        return SphereNoise(normals.unflatten(-1, (n_spheres, self.dim)), uniforms)

    def mirror(self, noise: Any) -> Any:
        """Add the points as far from the modes on the other side."""

        def uniforms(number: int) -> Tensor:
            once = noise.uniforms(number)
            return torch.cat([once, once], dim=2)

        return replace(
            noise, normals=torch.cat([noise.normals, -noise.normals]), uniforms=uniforms
        )

    def rsample(self, params: Params, noise: Any) -> Tensor:
        return vmf_sample(params["eta"], noise.uniforms, noise.normals).flatten(-2)

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        return vmf_log_prob(params["eta"], self._spheres(z)).sum(-1)

    def kl(self, params: Params, other: Params) -> Tensor:
        return vmf_kl(params["eta"], other["eta"]).sum(-1)

    def prior_kl(self, params: Params, prior: Params) -> Tensor:
        # uniform: half of the Bessel functions
        kappa = torch.linalg.vector_norm(params["eta"], dim=-1)
        return kl_to_uniform(kappa, self.dim).sum(-1)

    def mean(self, params: Params) -> Tensor:
        eta = params["eta"]
        kappa = torch.linalg.vector_norm(eta, dim=-1, keepdim=True)
        return (mean_ratio(kappa, self.dim) * eta).flatten(-2)

    def place(self, mean: Tensor) -> Tensor:
        """Take each sphere's part of a mean to the sphere; zero, which has no direction, stays."""
        return F.normalize(self._spheres(mean), dim=-1).flatten(-2)

    def _spheres(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (z.shape[-1] // self.dim, self.dim))
