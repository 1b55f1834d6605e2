"""Von Mises-Fisher posteriors on a product of spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..distributions import kl_to_uniform, mean_ratio, vmf_kl, vmf_log_prob, vmf_sample
from ..random import RowNoise
from .base import Params
from .spherical import Spherical

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


class VonMisesFisher(Spherical):
    r"""Independent vMF distributions on unit spheres.

    Eta is the natural parameter, so a product of experts is a sum of etas. What encoders emit and
    the leaves are those of every family on spheres: a direction and one number r a sphere, and
    :math:`\eta = (1 + \mathrm{softplus}(r)) \, \mu` of (..., n_spheres, d), 0 where uniform.

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
    shortcuts = {"prior_kl": ("at", "kl")}

    def n_held(self, latent_dim: int) -> int:
        return _PROPOSALS * 3 * latent_dim

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
