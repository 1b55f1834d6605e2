"""The posterior of a batch under a list of subsets: a value that a model makes and forgets."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..random import RowNoise
from .base import Family, Params


@dataclass(frozen=True)
class SubsetPosterior:
    """S posteriors a row, and the mixture of them.

    Parameters
    ----------
    family : Family
    params : Params
        Leaves with leading axes (S or 1, N or 1).
    log_weights : Tensor of shape (S, N)
        Log mixture weights; -inf where a subset holds nothing of the row.
    prior : Params
        The prior in the family's parameters, leading axes (1, 1).
    """

    family: Family
    params: Params
    log_weights: Tensor
    prior: Params

    def __getitem__(self, s: int | slice) -> SubsetPosterior:
        """Keep some of the subsets, S axis included."""
        part = slice(s, s + 1 or None) if isinstance(s, int) else s
        params = {leaf: v if len(v) == 1 else v[part] for leaf, v in self.params.items()}
        return SubsetPosterior(self.family, params, self.log_weights[part], self.prior)

    def rsample(self, n_draws: int, noise: RowNoise, antithetic: bool = False) -> Tensor:
        """Draw from each of the S posteriors, differentiably: (K, S, N, D).

        With ``antithetic``, draw k + K / 2 mirrors draw k (K is rounded up to an even number), so
        that the average over draws of a linear function is exact.
        """
        half = -(-n_draws // 2) if antithetic else n_draws
        source = self.family.noise(noise, half, self.params)
        if antithetic:
            source = self.family.mirror(source)
        return self.family.rsample(self.params, source)

    def component_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of each draw under the posterior it was drawn from: (K, S, N) nats."""
        return self.family.log_prob(self.params, z)

    def mixture_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of each draw under the whole mixture: (K, S, N) nats."""
        n_subsets = len(self.log_weights)
        if n_subsets == 1:
            return self.component_log_prob(z)
        # draws of all subsets become K * S draws, judged by every component in turn
        draws = z.flatten(0, 1)[:, None].expand(-1, n_subsets, -1, -1)
        joint = self.family.log_prob(self.params, draws) + self.log_weights
        return joint.logsumexp(1).view(z.shape[:-1])

    def kl(self) -> Tensor:
        """KL(q_s || prior) of each subset: (S, N) nats."""
        return self.family.kl(self.params, self.prior)

    def average(self, value: Tensor) -> Tensor:
        """Average over subsets by their weights: (..., S, N) -> (..., N)."""
        return (self.log_weights.exp().to(value.dtype) * value).sum(-2)

    def mean(self) -> Tensor:
        """Mean of the mixture, where z lives: (N, D)."""
        weights = self.log_weights.exp()[..., None]
        means = self.family.mean(self.params)
        return self.family.place((weights.to(means.dtype) * means).sum(0))
