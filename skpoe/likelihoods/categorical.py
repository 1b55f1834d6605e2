"""Categories without an order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .base import LinearMap
from .levels import Levels

# how much of the variance of z levels may explain at a start
_MOST = 0.9


class Categorical(Levels):
    r"""x_d is level l with probability share_dl exp(raw_dl), normalised over the levels of d.

    share_dl is how often the training data show the level. Data are the numbers 0, 1, 2, ... of
    the levels; columns of a DataFrame with the dtype 'category', or of strings, are read so, and
    given back as they were.

    Parameters
    ----------
    n_levels : int or sequence of int, default=None
        How many levels each feature has; what the training data show when None.

    See Also
    --------
    Ordinal : Levels in an order.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Categorical
    >>> kind = Categorical()
    >>> x = torch.tensor([[0.0], [1.0], [2.0], [2.0]])
    >>> kind.start([(x, torch.ones(4, 1, dtype=torch.bool), torch.ones(4))])
    >>> kind.mean(torch.zeros(1, 3)).tolist()
    [[0.25, 0.25, 0.5]]
    >>> kind.best_guess(kind.mean(torch.zeros(1, 3))).tolist()
    [[2.0]]
    """

    name = "categorical"
    title = "categorical"

    def n_outputs(self, n_features: int) -> int:
        return self.width

    def log_probabilities(self, raw: Tensor) -> Tensor:
        logits = raw + self.share.log().to(raw.dtype)
        total = self._by_feature(logits, -torch.inf).logsumexp(-1)
        return logits - total[..., self.feature_of]

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        """Start at linear discriminant analysis: z is Gaussian about a mean for each level.

        Factor analysis says these means, and z has the covariance I over all levels together.
        """
        share = self.share.to(loadings)
        means = loadings * (self._deviation().to(share) / share)[:, None]
        # rows of a feature: its levels, by the root of their shares
        rooted = F.pad(means * share.sqrt()[:, None], (0, 0, 0, 1))[self._slots]  # (F, levels, D)
        between = rooted @ rooted.mT
        largest = torch.linalg.eigvalsh(between)[:, -1]
        shrink = (_MOST / largest.clamp(min=_MOST))[:, None, None]
        means, rooted = means * shrink[self.feature_of, 0].sqrt(), rooted * shrink.sqrt()
        left = torch.eye(between.shape[-1]).to(between) - between * shrink
        # means / (I - rooted' rooted), by Woodbury
        own = rooted[self.feature_of]
        part = torch.linalg.solve(left[self.feature_of], own @ means[:, :, None])
        weight = means + (own.mT @ part)[:, :, 0]
        return LinearMap(weight, -0.5 * (weight * means).sum(1), noise)

    def best_guess(self, mean: Tensor) -> Tensor:
        """Give the most probable level of each feature, (..., F)."""
        return self._by_feature(mean, -1.0).argmax(-1).to(mean.dtype)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(low, torch.nan), torch.full_like(high, torch.nan)

    def _quiet(self, raw: Tensor) -> Tensor:
        return raw * self.seen[self.feature_of]
