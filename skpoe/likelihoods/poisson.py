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
    library, reach
        See :class:`skpoe.likelihoods.counts.Counts`: whether rates are multiplied by the row's
        library size, and where encoders clip.

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
