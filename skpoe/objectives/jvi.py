"""Jackknife variational inference: importance weighting with less bias."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.batch import Batch
from ..device import kept
from ..model import MultimodalVAE
from ..random import RowNoise
from .base import where_shown
from .iwae import IWAE

# subsets of the draws that are averaged over, of each size
_MOST_SUBSETS = 64


class JVI(IWAE):
    r"""Combine importance-weighted bounds of K, K - 1, ... draws so that their bias cancels.

    .. math:: \sum_{j=0}^{r} c(K, r, j) \, \bar L_{K - j}, \quad
        c(K, r, j) = (-1)^j \frac{(K - j)^r}{(r - j)! \, j!}

    where :math:`\bar L_{K - j}` averages the bound of K - j draws over subsets of the K draws (all
    of them, up to 64 of each size). Its bias is of order :math:`K^{-(r + 1)}`; it is no bound.

    Parameters
    ----------
    beta, n_samples, likelihood_weights
        See :class:`Objective`. ``n_samples`` must exceed ``order``.
    order : int, default=1
        r; with 0 it is the importance-weighted bound.

    References
    ----------
    Debiasing evidence approximations: on importance-weighted autoencoders and jackknife
    variational inference (Nowozin, 2018), https://openreview.net/forum?id=HyZoi-WRb, equations 17
    and 21.
    """

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 2,
        *,
        likelihood_weights: Sequence[float] | None = None,
        order: int = 1,
    ) -> None:
        if n_samples <= order:
            raise ValueError(
                f"Jackknife variational inference of order {order} needs n_samples > {order}; "
                f"got n_samples={n_samples}."
            )
        super().__init__(beta, n_samples, likelihood_weights=likelihood_weights)
        self.order = order

    @property
    def is_bound(self) -> bool:
        return self.order == 0 and super().is_bound

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        posterior = model.posterior(batch, noise=noise)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        ratio = self._times_beta(posterior.log_ratio(z), kl_weight)
        log_weight = self._fit(model, z, batch).sum(-1) + ratio
        # a draw of each component at a time: (K, N)
        log_weight = (log_weight + posterior.log_weights).logsumexp(1)
        return where_shown(jackknife(log_weight, self.order), batch)


def jackknife(log_weight: Tensor, order: int) -> Tensor:
    """Jackknife estimate of log E[w] from log-weights (K, N): (N,)."""
    n_draws = len(log_weight)
    value = torch.zeros_like(log_weight[0])
    for j, coefficient in enumerate(coefficients(n_draws, order)):
        left_out = _left_out(n_draws, j, log_weight.device)  # (C, K)
        # -inf, never log1p(-exp(.)) of a difference: that loses everything when one draw rules
        kept = log_weight.masked_fill(left_out[..., None], -math.inf)
        bounds = kept.logsumexp(1) - math.log(n_draws - j)
        value = value + coefficient * bounds.mean(0)
    return value


def coefficients(n_draws: int, order: int) -> list[float]:
    """Give c(K, r, j) for j = 0 ... r; they sum to one."""
    return [
        (-1) ** j * (n_draws - j) ** order / (math.factorial(order - j) * math.factorial(j))
        for j in range(order + 1)
    ]


@kept
def _left_out(n_draws: int, size: int, device: torch.device) -> Tensor:
    """Mark which draws each subset lacks, (C, K): all subsets, or up to 64 spread over them."""
    total = math.comb(n_draws, size)
    step = -(-total // _MOST_SUBSETS)
    chosen = itertools.islice(itertools.combinations(range(n_draws), size), 0, total, step)
    rows = torch.tensor(list(chosen), dtype=torch.long, device=device)
    mask = torch.zeros(len(rows), n_draws, dtype=torch.bool, device=device)
    return mask.scatter_(1, rows, True) if size else mask
