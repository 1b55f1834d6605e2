"""Counts with more zeros than a negative binomial explains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .counts import Counts
from .dispersion import Dispersion

_RARE = 3.0  # a decoder that says zero inflates a twentieth


class ZeroInflatedNegativeBinomial(Counts):
    r"""x_d is 0 with probability pi_d(z), else negative binomial with mean rate_d(z).

    .. math:: \pi_d = \mathrm{sigmoid}(\mathrm{raw}_{F + d} - 3), \quad
        \mathrm{rate}_d = \mathrm{base}_d \, e^{\mathrm{raw}_d}

    base_d is the observed mean of the column, and raw_d is bounded smoothly to (-15, 15). Each
    feature has a learned inverse dispersion, as in :class:`NegativeBinomial`. The mean of x_d is
    (1 - pi_d) rate_d.

    Parameters
    ----------
    library, reach
        As in :class:`Poisson`.

    References
    ----------
    Deep generative modeling for single-cell transcriptomics (Lopez, Regier, Cole, Jordan & Yosef,
    2018), Nature Methods 15. There the library size is a latent variable; here it is read off.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import ZeroInflatedNegativeBinomial
    >>> counts = ZeroInflatedNegativeBinomial()
    >>> counts.n_outputs(4)
    8
    >>> x = torch.tensor([[0.0], [2.0], [10.0]])
    >>> counts.start([(x, torch.ones(3, 1, dtype=torch.bool), torch.ones(3))])
    >>> round(counts.mean(torch.zeros(1, 2)).item(), 4)  # 4 (1 - sigmoid(-3))
    3.8103
    """

    name = "zero_inflated_negative_binomial"
    title = "zero-inflated negative binomial"
    dispersion: Dispersion

    def _start_shape(self, mean: Tensor, variance: Tensor) -> None:
        self.dispersion = Dispersion(mean, variance)

    def n_outputs(self, n_features: int) -> int:
        return 2 * n_features

    def _log_density(self, x: Tensor, raw: Tensor, log_base: Tensor) -> Tensor:
        raw, logit = raw.chunk(2, dim=-1)
        logit = logit - _RARE
        count = self.dispersion.log_density(x, raw, log_base)
        # both over the odds of being a count: log(1 - pi) stands before the bracket
        return torch.where(x == 0, torch.logaddexp(logit, count), count) - F.softplus(logit)

    def _share(self, logit: Tensor) -> Tensor:
        """Share of the entries that are counts; never-seen columns rest."""
        return torch.sigmoid(_RARE - self._quiet(logit))

    def mean(self, raw: Tensor) -> Tensor:
        raw, logit = raw.chunk(2, dim=-1)
        return self._share(logit) * self.rate(raw)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        raw, logit = raw.chunk(2, dim=-1)
        uniform = noise.fold("zeros").uniform(event=raw.shape[-1], dtype=raw.dtype)
        counts = self.dispersion.sample(self.rate(raw), noise)
        return counts * (uniform < self._share(logit))
