"""Laplace posteriors: one expert at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..device import holds
from ..distributions.laplace import laplace_sample
from ..random import RowNoise
from .base import Family, Params, added

_SMALLEST = 1e-6


def select(experts: Params, membership: Tensor, name: str) -> Params:
    """Give each subset the one expert that it holds: leaves (N, M, D) to (S, N, D)."""
    if holds((membership.sum(-1) > 1).any(), otherwise=False):
        raise ValueError(
            f"A product of {name} experts is not {name}. Let each subset hold one modality (a "
            "mixture of experts), or take a family with products, such as the diagonal Gaussian."
        )
    return dict(zip(experts, added(list(experts.values()), membership), strict=True))


class Laplace(Family):
    r"""Independent Laplace distributions, density :math:`e^{-|z - \mu| / b} / 2 b`.

    An encoder emits a location and a score a dimension; the scales are b = D softmax(scores), so
    their mean is one: how the unit of uncertainty is dealt out, the prior's scale says how large
    it is.

    Leaves of experts and of posteriors: ``mean`` and ``scale``. The product of two Laplace
    densities is none, so a subset holds one expert: a mixture of experts.

    References
    ----------
    Variational mixture-of-experts autoencoders (Shi et al., 2019),
    https://arxiv.org/abs/1911.03393, section 4 and appendix B.
    """

    name = "laplace"
    prior_kind = "laplace"
    has_products = False

    def n_outputs(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def experts(self, raw: Tensor, shared: Any = None, masks: Any = None) -> Params:
        mean, score = raw.chunk(2, dim=-1)
        scale = F.softmax(score, dim=-1) * score.shape[-1] + _SMALLEST
        return {"mean": mean, "scale": scale}

    def at(self, natural: Params) -> Params:
        return {leaf: value[None, None] for leaf, value in natural.items()}

    def product(self, experts: Params, membership: Tensor) -> Params:
        return select(experts, membership, "Laplace")

    def noise(self, source: RowNoise, n_draws: int, params: Params) -> Any:
        """Draw what the inverse of the distribution function makes of uniform numbers."""
        mean = params["mean"]
        event = mean.shape[-1]
        uniform = source.uniform(n_draws, len(mean), event=event, dtype=torch.float64)
        return laplace_sample(uniform).to(mean.dtype)

    mirror = Family.mirror  # its noise is as likely on either side

    def rsample(self, params: Params, noise: Tensor) -> Tensor:
        return params["mean"] + params["scale"] * noise

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        scale = params["scale"]
        away = (z - params["mean"]).abs() / scale
        return -away.sum(-1) - (2.0 * scale).log().sum(-1)  # of draws, their distance alone

    def kl(self, params: Params, other: Params) -> Tensor:
        gap = (params["mean"] - other["mean"]).abs()
        ratio = params["scale"] / other["scale"]
        decay = ratio * torch.exp(-gap / params["scale"])
        return (gap / other["scale"] + decay - ratio.log() - 1.0).sum(-1)

    def mean(self, params: Params) -> Tensor:
        return params["mean"]
