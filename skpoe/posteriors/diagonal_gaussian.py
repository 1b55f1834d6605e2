"""Gaussian posteriors with a diagonal covariance."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..device import holds
from .base import Family, LinearExpert, Params, added

# exp(12) = 160,000: an expert may say a great deal, but may not overflow
_LOG_PRECISIONS = -12.0, 12.0


class DiagonalGaussian(Family):
    """N(mean, diag(1 / precision)); an encoder emits a mean and a log-precision a dimension.

    Leaves of experts: ``h`` (precision times mean) and ``precision``, (N, M, D). Leaves of
    posteriors: ``mean`` and ``precision``, (S, N, D).
    """

    name = "diagonal_gaussian"
    has_linear_experts = True
    shortcuts = {
        "has_linear_experts": ("n_outputs", "experts"),
        "read": ("experts", "product"),
        "product_with_prior": ("product",),
        "log_prob_of": ("rsample", "log_prob"),
    }

    def n_outputs(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def experts(self, raw: Tensor, shared: Any = None, masks: Any = None) -> Params:
        mean, precision = _said(raw)
        return {"h": mean * precision, "precision": precision}

    def read(
        self, raw: Tensor, shown: Tensor, prior: Params, shared: Any = None, masks: Any = None
    ) -> Params:
        mean, precision = _said(raw)
        if not holds(shown.all(), otherwise=False):
            mean = torch.where(shown[..., None], mean, prior["h"] / prior["precision"])
            precision = torch.where(shown[..., None], precision, prior["precision"])
        return {"mean": mean, "precision": precision}

    def evidence(self, loadings: Tensor, noise: Tensor, alone: bool) -> LinearExpert:
        """Exact where what x tells of one variable does not depend on another; all of x shown."""
        natural = (loadings / noise[:, None]).mT  # (D, F)
        precision = (natural * loadings.mT).sum(-1) + (1.0 if alone else 0.0)
        precision = precision.clamp(min=1e-6)
        return LinearExpert(
            torch.cat([natural / precision[:, None], torch.zeros_like(natural)]),
            torch.cat([torch.zeros_like(precision), precision.log()]),
        )

    def lift(self, natural: Params) -> Params:
        return {leaf: value[None, None] for leaf, value in natural.items()}

    def at(self, natural: Params) -> Params:
        precision = natural["precision"][None, None]
        return {"mean": natural["h"] / precision, "precision": precision}

    def product(self, experts: Params, membership: Tensor) -> Params:
        return _moments(*added([experts["h"], experts["precision"]], membership))

    def product_with_prior(
        self, experts: Params, powers: Tensor, prior: Params, held: Tensor | None = None
    ) -> Params:
        h, precision = added([experts["h"], experts["precision"]], powers)
        own = [prior["h"], prior["precision"]]
        if held is not None:
            own = [held[..., None] * natural for natural in own]
        return _moments(h + own[0], precision + own[1])

    def rsample(self, params: Params, noise: Tensor) -> Tensor:
        mean, scale = params["mean"], params["precision"].rsqrt()
        if len(noise) == 1:  # nothing to add up over draws in the gradient
            return (mean + scale * noise[0])[None]
        return mean + scale * noise

    def log_prob_of(self, params: Params, noise: Tensor) -> Tensor | None:
        square = noise.square().sum(-1) + noise.shape[-1] * math.log(2 * math.pi)
        return 0.5 * (params["precision"].log().sum(-1) - square)

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        precision = params["precision"]
        square = (z - params["mean"]).square() * precision
        return 0.5 * (precision.log() - square - math.log(2 * math.pi)).sum(-1)

    def kl(self, params: Params, other: Params) -> Tensor:
        ratio = other["precision"] / params["precision"]
        square = (params["mean"] - other["mean"]).square() * other["precision"]
        return 0.5 * ((ratio - ratio.log() + square).sum(-1) - square.shape[-1])

    def mean(self, params: Params) -> Tensor:
        return params["mean"]


def _said(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and precision."""
    mean, log_precision = raw.chunk(2, dim=-1)
    # a clamp whose gradient is one operation
    return mean, F.hardtanh(log_precision, *_LOG_PRECISIONS).exp()


def _moments(h: Tensor, precision: Tensor) -> Params:
    return {"mean": h / precision, "precision": precision}
