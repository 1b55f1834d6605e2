"""Power Spherical posteriors on a product of spheres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..device import holds
from ..distributions import PowerSpherical as Distribution
from ..distributions import gamma_sample, power_spherical_sample
from ..distributions.pathwise import mode_and_concentration
from ..random import RowNoise
from .base import Params
from .spherical import Spherical


@dataclass(frozen=True)
class FallNoise:
    """Random numbers for draws: directions, and two gamma numbers that say how far they fall.

    Parameters
    ----------
    normals : Tensor of shape (K, S, N, n_spheres, d)
        Directions around the modes.
    far : Tensor of shape (K, S, N, n_spheres)
        Gamma((d - 1) / 2) numbers.
    near : callable
        From a round to what ``gamma_sample`` reads.
    """

    normals: Tensor
    far: Tensor
    near: Callable[[int], tuple[Tensor, Tensor]]


class PowerSpherical(Spherical):
    """Independent Power Spherical distributions on unit spheres, of one encoder.

    Its parameter is eta, the concentration times the mode, as in :class:`VonMisesFisher`; but a
    product of two such densities is none: the etas add up only where there is one expert and the
    uniform prior.

    Parameters
    ----------
    sphere_dim : int, default=1
        Dimension of each sphere, d - 1.

    References
    ----------
    The Power Spherical distribution (De Cao & Aziz, 2020), https://arxiv.org/abs/2006.04437.
    """

    name = "power_spherical"
    has_products = False
    has_kl = False

    def n_held(self, latent_dim: int) -> int:
        return 4 * latent_dim  # of each coordinate: its direction, and what the fall is made of

    def product(self, experts: Params, membership: Tensor) -> Params:
        if holds(((membership > 0).sum(-1) > 1).any(), otherwise=False):
            raise ValueError("A product of Power Spherical experts is not Power Spherical.")
        return super().product(experts, membership)

    def noise(self, source: RowNoise, n_draws: int, params: Params) -> Any:
        eta = params["eta"]
        n_spheres, n_subsets, rest = eta.shape[-2], len(eta), self.dim - 1
        lead = (n_draws, n_subsets)

        def normal(label: str, event: int) -> Tensor:
            return source.fold(label).normal(*lead, event=event, dtype=torch.float64)

        def near(number: int) -> tuple[Tensor, Tensor]:
            stream = source.fold("near").fold(number)
            uniforms = stream.fold("uniform").uniform(
                2, *lead, event=n_spheres, dtype=torch.float64
            )
            return stream.normal(*lead, event=n_spheres, dtype=torch.float64), uniforms

        directions = normal("direction", n_spheres * self.dim)
        squares = normal("far", n_spheres * rest).unflatten(-1, (n_spheres, rest)).square()
        return FallNoise(
            directions.unflatten(-1, (n_spheres, self.dim)), 0.5 * squares.sum(-1), near
        )

    def mirror(self, noise: Any) -> Any:
        """Add the points as far from the modes on the other side."""

        def near(number: int) -> tuple[Tensor, Tensor]:
            normals, uniforms = noise.near(number)
            return torch.cat([normals, normals]), torch.cat([uniforms, uniforms], dim=1)

        both = torch.cat([noise.normals, -noise.normals]), torch.cat([noise.far, noise.far])
        return replace(noise, normals=both[0], far=both[1], near=near)

    def rsample(self, params: Params, noise: Any) -> Tensor:
        mu, kappa = mode_and_concentration(params["eta"])
        near = gamma_sample(kappa + 0.5 * (self.dim - 1), noise.near)
        x = power_spherical_sample(mu, near, noise.far, noise.normals)
        return x.to(params["eta"].dtype).flatten(-2)

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        density = self._distribution(params).log_prob(self._spheres(z).double())
        return density.sum(-1).to(z.dtype)

    def kl(self, params: Params, other: Params) -> Tensor:
        if holds(other["eta"].any(), otherwise=False):
            raise ValueError(
                "The divergence of two Power Spherical distributions has no closed form; only "
                "that from the uniform distribution has."
            )
        return self.prior_kl(params, other).expand(self._leading(params, other))

    def prior_kl(self, params: Params, prior: Params) -> Tensor:
        kl = self._distribution(params)._kl_to_uniform()
        return kl.sum(-1).to(params["eta"].dtype)

    def mean(self, params: Params) -> Tensor:
        return self._distribution(params).mean.to(params["eta"].dtype).flatten(-2)

    @staticmethod
    def _leading(params: Params, other: Params) -> torch.Size:
        return torch.broadcast_shapes(params["eta"].shape[:2], other["eta"].shape[:2])

    @staticmethod
    def _distribution(params: Params) -> Distribution:
        return Distribution(*mode_and_concentration(params["eta"]), validate_args=False)
