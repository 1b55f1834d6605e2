"""Counts that vary more than their mean says."""

from __future__ import annotations

from torch import Tensor

from ..random import RowNoise
from .counts import Counts
from .dispersion import Dispersion


class NegativeBinomial(Counts):
    r"""x_d is a count with mean rate_d(z) and variance rate_d + rate_d^2 / theta_d.

    The rate is base_d * exp(raw_d), base_d being the observed mean of the column; raw is bounded
    smoothly to (-15, 15). Each feature has a learned inverse dispersion theta: the counts are
    nearly Poisson where it is large. It starts at the moments of the column.

    Parameters
    ----------
    library, reach
        As in :class:`Poisson`.

    See Also
    --------
    ZeroInflatedNegativeBinomial : Counts with more zeros than this explains.

    References
    ----------
    Differential expression analysis for sequence count data (Anders & Huber, 2010), Genome Biology
    11, R106.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import NegativeBinomial
    >>> counts = NegativeBinomial()
    >>> x = torch.tensor([[0.0], [2.0], [10.0]])
    >>> counts.start([(x, torch.ones(3, 1, dtype=torch.bool), torch.ones(3))])

    The mean is 4 and the variance 56/3 = 4 + 4^2 / theta:

    >>> counts.mean(torch.zeros(1, 1)).item(), round(counts.dispersion.theta().item(), 4)
    (4.0, 1.0909)
    """

    name = "negative_binomial"
    title = "negative binomial"
    dispersion: Dispersion

    def _start_shape(self, mean: Tensor, variance: Tensor) -> None:
        self.dispersion = Dispersion(mean, variance)

    def _log_density(self, x: Tensor, raw: Tensor, log_base: Tensor) -> Tensor:
        return self.dispersion.log_density(x, raw, log_base)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        return self.dispersion.sample(self.rate(raw), noise)
