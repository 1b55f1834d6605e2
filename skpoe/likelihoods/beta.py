"""Data strictly between zero and one: shares, rates, methylation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..random import RowNoise
from .base import (
    Chunks,
    Labels,
    Likelihood,
    Mapped,
    bounded,
    observed_moments,
    refuse_outside,
    unbounded,
)
from .gamma_draws import draw_gamma

_LEAST = 0.1  # concentration
_LOWEST, _HIGHEST = 0.5, 1000.0  # concentrations that a start may have


class Beta(Likelihood):
    r"""x_d in (0, 1) is Beta(mean_d c_d, (1 - mean_d) c_d) with a learned concentration c_d.

    .. math:: \mathrm{mean}_d(z) = \mathrm{sigmoid}(\mathrm{logit}\, \bar x_d + \mathrm{raw}_d),
        \quad c_d = 0.1 + e^{\rho_d}

    raw = 0 is the observed mean of the column, and raw and rho are bounded smoothly to (-15, 15).
    The variance of x_d is mean_d (1 - mean_d) / (1 + c_d); it starts at that of the column, as if
    z said nothing. Values inside the model are logits.

    Parameters
    ----------
    reach : float, default=5.0
        Encoders read standardised logits, clipped to so many deviations.

    See Also
    --------
    ContinuousBernoulli : Data that may be 0 and 1.

    References
    ----------
    Beta regression for modelling rates and proportions (Ferrari & Cribari-Neto, 2004), Journal of
    Applied Statistics 31.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Beta
    >>> share = Beta()
    >>> x = torch.tensor([[0.1], [0.3]])
    >>> share.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> round(share.mean(torch.zeros(1, 1)).item(), 4), round(share.concentration().item(), 4)
    (0.2, 15.0)
    """

    name = "beta"
    centre: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, reach: float = 5.0) -> None:
        super().__init__()
        self.reach = reach

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        refuse_outside(
            (x > 0) & (x < 1) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title="beta",
            needs="values between 0 and 1, ends excluded",
            remedy="Take 'continuous_bernoulli' if 0 and 1 are possible",
        )

    def start(self, chunks: Chunks) -> None:
        moments = self._see(chunks)
        mean = moments.mean.where(self.seen, 0.5)
        self.register_buffer("centre", torch.logit(mean))
        # constant columns have no variance: the highest concentration
        variance = moments.deviation.square() * (moments.high > moments.low)
        concentration = (mean * (1 - mean) / variance - 1).clamp(_LOWEST, _HIGHEST)
        rho = unbounded((concentration - _LEAST).log())
        self.rho = nn.Parameter(rho.to(torch.get_default_dtype()))
        logits = observed_moments(Mapped(chunks, _logit))
        self.register_buffer("shift", logits.mean)
        self.register_buffer("spread", logits.deviation)

    def standardise(self, x: Tensor) -> Tensor:
        return _logit(x)

    def encode(self, x: Tensor) -> Tensor:
        return self.comparable(x).clamp(-self.reach, self.reach)

    def comparable(self, x: Tensor) -> Tensor:
        return (x - self.shift.to(x.dtype)) / self.spread.to(x.dtype)

    def concentration(self) -> Tensor:
        """Concentration of each feature, (F,): large is little noise."""
        return _LEAST + bounded(self.rho).exp()

    def _logit_of_mean(self, raw: Tensor) -> Tensor:
        return self.centre.double() + bounded(raw).double()

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        # in float64: gamma functions of large numbers nearly cancel
        total, logit = self.concentration().double(), self._logit_of_mean(raw)
        first, second = total * torch.sigmoid(logit), total * torch.sigmoid(-logit)
        constant = torch.lgamma(total) - torch.lgamma(first) - torch.lgamma(second)
        log_x, log_rest = F.logsigmoid(x.double()), F.logsigmoid(-x.double())
        return (constant + (first - 1) * log_x + (second - 1) * log_rest).to(raw.dtype)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(self._logit_of_mean(self._quiet(raw)))

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        total, logit = self.concentration().double(), self._logit_of_mean(self._quiet(raw))
        first = draw_gamma(total * torch.sigmoid(logit), noise.fold(0))
        second = draw_gamma(total * torch.sigmoid(-logit), noise.fold(1))
        ends = torch.finfo(torch.float64)
        return (first / (first + second)).clamp(ends.tiny, 1 - ends.eps)  # rounding: inside


def _logit(x: Tensor) -> Tensor:
    """Logit of x in float64; finite also where x is missing, that is zero."""
    x = x.double()
    return x.clamp(min=torch.finfo(x.dtype).tiny).logit()
