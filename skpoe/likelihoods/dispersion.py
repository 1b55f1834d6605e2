"""The overdispersion of counts, one learned number a feature."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributions.poisson import poisson_sample
from ..random import RowNoise
from .base import bounded, unbounded
from .counts import log_factorial
from .gamma_draws import draw_gamma

# inverse dispersions that a start may have: below, all is noise; above, it is nearly Poisson
_LOWEST, _HIGHEST = 0.05, 100.0


class Dispersion(nn.Module):
    r"""Negative binomial noise: a count of mean mu has variance mu + mu^2 / theta_d.

    theta is the exponential of a learned number, bounded as the rates are; it starts where the
    moments of the columns put it, as if z said nothing.

    Parameters
    ----------
    mean, variance : Tensor of shape (F,)
        Of the columns.
    """

    def __init__(self, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        excess = (variance - mean).clamp(min=0.0)
        theta = (mean.square() / excess).nan_to_num(nan=_HIGHEST).clamp(_LOWEST, _HIGHEST)
        self.rho = nn.Parameter(unbounded(theta.log()).to(torch.get_default_dtype()))

    def theta(self) -> Tensor:
        """Inverse dispersion of each feature, (F,): large is nearly Poisson."""
        return bounded(self.rho).exp()

    def log_density(self, x: Tensor, raw: Tensor, log_base: Tensor) -> Tensor:
        """Log-density of counts x (N, F) whose log-rates are log_base + bounded(raw)."""
        log_theta = bounded(self.rho.double())
        theta = log_theta.exp()
        # large numbers that nearly cancel, the same for all draws of z: in float64
        ways = torch.lgamma(x.double() + theta) - torch.lgamma(theta) - log_factorial(x)
        gap = bounded(raw) + (log_base - log_theta).to(raw.dtype)
        spread = theta.to(raw.dtype) * F.softplus(gap) + x * F.softplus(-gap)
        return ways.to(raw.dtype) - spread

    @torch.no_grad()
    def sample(self, rate: Tensor, noise: RowNoise) -> Tensor:
        """Draw counts of these rates (N, F): Poisson ones, whose own rates are gamma numbers."""
        theta = self.theta().double().expand_as(rate)
        varied = rate * draw_gamma(theta, noise) / theta
        uniform = noise.fold("counts").uniform(event=rate.shape[-1], dtype=torch.float64)
        return poisson_sample(uniform, varied)
