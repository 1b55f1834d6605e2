"""Student-t posteriors, with products that heed experts less the further out they are."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..distributions.student_t import student_t_sample
from ..random import RowNoise
from .base import Family, Params

_LARGEST_LOG_PRECISION = 12.0
_ROUNDS = 8


class StudentT(Family):
    r"""Independent Student-t distributions with ``df`` degrees of freedom.

    An encoder emits a location and a log-precision a dimension. Experts with heavy tails give way:
    where one contradicts the others, a product of Gaussians lies in the middle, a product of
    Student-t densities with the majority. Such a product has no closed form. It is replaced by a
    Student-t distribution at its mode, which eight rounds of iteratively reweighted least squares
    approach, each expert weighed by :math:`w_m = (1 + \tau_m) / (1 + \tau_m d_m^2)` with
    :math:`\tau = 1 / \mathrm{df}` (zero for the Gaussian prior) and d the standardised distance;
    its precision is :math:`\sum_m w_m \lambda_m / (1 + \tau)`. One expert alone is itself,
    exactly. Bounds and importance weights use the density of what is drawn from, so they stay
    right.

    Leaves of experts and posteriors: ``mean``, ``precision`` (of the scale) and ``tail``, tau.

    Parameters
    ----------
    df : float, default=5.0
        Degrees of freedom.
    """

    name = "student_t"
    has_kl = False
    has_prior_kl = False

    def __init__(self, df: float = 5.0) -> None:
        self.df = df

    def n_outputs(self, latent_dim: int) -> int:
        return 2 * latent_dim

    def experts(self, raw: Tensor, shared: Any = None, masks: Any = None) -> Params:
        mean, log_precision = raw.chunk(2, dim=-1)
        precision = log_precision.clamp(-_LARGEST_LOG_PRECISION, _LARGEST_LOG_PRECISION).exp()
        return {"mean": mean, "precision": precision, "tail": torch.full_like(mean, 1 / self.df)}

    def at(self, natural: Params) -> Params:
        precision = natural["precision"][None, None]
        mean = natural["h"] / precision
        return {"mean": mean, "precision": precision, "tail": torch.zeros_like(mean)}

    def product(self, experts: Params, membership: Tensor) -> Params:
        mean, precision, tail = (experts[leaf] for leaf in ("mean", "precision", "tail"))
        held = membership[..., None].to(mean.dtype)  # (S, N, M, 1)
        weight = held * precision
        mode = (weight * mean).sum(2) / weight.sum(2)
        for _ in range(_ROUNDS):
            square = (mode[:, :, None] - mean).square() * precision
            weight = held * precision * (1 + tail) / (1 + tail * square)
            mode = (weight * mean).sum(2) / weight.sum(2)
        heaviest = (held * tail).amax(2)  # zero where the prior is alone
        return {"mean": mode, "precision": weight.sum(2) / (1 + heaviest), "tail": heaviest}

    def noise(self, source: RowNoise, n_draws: int, params: Params) -> Any:
        """Draw standard normal numbers, for the prior, and Student-t numbers."""
        mean = params["mean"]
        lead, event = (n_draws, len(mean)), mean.shape[-1]
        normals = source.normal(*lead, event=event, dtype=mean.dtype)
        radial = source.fold("tail").uniform(*lead, event=event, dtype=torch.float64)
        angular = torch.special.ndtr(normals.double())  # so that both kinds have the same sign
        return torch.stack([normals, student_t_sample(radial, angular, self.df).to(mean.dtype)])

    def mirror(self, noise: Any) -> Any:
        """Add the draws on the other side of the mode."""
        return torch.cat([noise, -noise], dim=1)

    def rsample(self, params: Params, noise: Tensor) -> Tensor:
        normals, students = noise
        error = torch.where(params["tail"] > 0, students, normals)
        return params["mean"] + params["precision"].rsqrt() * error

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        precision, df = params["precision"], self.df
        square = (z - params["mean"]).square() * precision
        student = (
            math.lgamma(0.5 * (df + 1))
            - math.lgamma(0.5 * df)
            - 0.5 * math.log(math.pi * df)
            - 0.5 * (df + 1) * torch.log1p(square / df)
        )
        normal = -0.5 * (square + math.log(2 * math.pi))
        return (torch.where(params["tail"] > 0, student, normal) + 0.5 * precision.log()).sum(-1)

    def kl(self, params: Params, other: Params) -> Tensor:
        raise ValueError("The divergence of two Student-t distributions has no closed form.")

    def mean(self, params: Params) -> Tensor:
        return params["mean"]
