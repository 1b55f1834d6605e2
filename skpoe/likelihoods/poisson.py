"""Counts without overdispersion."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions.poisson import poisson_sample
from ..random import RowNoise
from .base import bounded
from .counts import Counts, log_factorial


class Poisson(Counts):
    r"""x_d is a count with mean and variance rate_d(z) = base_d * exp(raw_d).

    Parameters
    ----------
    library : bool, default=False
        Whether the rate of a row is multiplied by its library size: the sum of its observed
        counts over what is typical of the same entries. Densities are then conditional on the
        row's total; means and samples are those of a typical row.
    reach : float, default=5.0
        Encoders read standardised log(1 + x), clipped to so many deviations.

    See Also
    --------
    NegativeBinomial : Counts that vary more than their mean says.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Poisson
    >>> counts = Poisson()
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> counts.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> counts.mean(torch.zeros(1, 1)).item()
    2.0
    >>> round(counts.log_density(torch.zeros(1, 1), torch.zeros(1, 1)).item(), 4)
    -2.0
    """

    name = "poisson"
    title = "Poisson"

    def _log_density(self, x: Tensor, raw: Tensor, log_base: Tensor) -> Tensor:
        # the logarithm of rate / x stays small where x is large: float32 keeps what counts
        near = x.double().clamp(min=1.0)
        gap = bounded(raw) + (log_base - near.log()).to(raw.dtype)
        constant = x * near.log() - near - log_factorial(x)
        return x * gap - near.to(raw.dtype) * torch.expm1(gap) + constant.to(raw.dtype)

    @torch.no_grad()
    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        uniform = noise.uniform(event=raw.shape[-1], dtype=torch.float64)
        return poisson_sample(uniform, self.rate(raw))
