"""Categories in an order."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import LinearMap, bounded, unbounded
from .levels import Levels
from .threshold import LIKELY, normal, threshold_model


class Ordinal(Levels):
    r"""x_d is at most level l with probability sigmoid(cut_dl - raw_d): proportional odds.

    The cut points of each feature are learned, and always in order; at the start they are where
    the shares of the training data put them. Data are the numbers 0, 1, 2, ... of the levels;
    columns of a DataFrame with an ordered dtype 'category' are read so, and given back as they
    were.

    Parameters
    ----------
    n_levels : int or sequence of int, default=None
        How many levels each feature has; what the training data show when None.

    References
    ----------
    Regression models for ordinal data (McCullagh, 1980), Journal of the Royal Statistical Society
    B 42, equation 2.1 (section 2).

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Ordinal
    >>> grade = Ordinal()
    >>> x = torch.tensor([[0.0], [1.0], [2.0], [2.0]])
    >>> grade.start([(x, torch.ones(4, 1, dtype=torch.bool), torch.ones(4))])
    >>> [round(p, 3) for p in grade.mean(torch.zeros(1)).tolist()]
    [0.25, 0.25, 0.5]
    >>> grade.best_guess(grade.mean(torch.tensor([[-3.0], [3.0]]))).tolist()
    [[0.0], [2.0]]
    """

    name = "ordinal"
    title = "ordinal"
    _above: Tensor
    _below: Tensor

    def _start_shape(self) -> None:
        below = self._below_cuts()
        self._start_cuts(below.clamp(1e-6, 1 - 1e-6).logit())
        # each level lies between two of: no lower end, no upper end, the cut points
        n_cuts, feature, level = below.shape[1], self.feature_of, self.level_of
        cut = 2 + feature * n_cuts + level
        ones = torch.ones_like(level)
        self.register_buffer("_above", torch.where(level < self._last()[feature], cut, ones))
        self.register_buffer("_below", torch.where(level > 0, cut - 1, 0 * ones))

    def _below_cuts(self) -> Tensor:
        """Share of the training data below each cut point, (F, most levels - 1)."""
        return self._by_feature(self.share, 0.0).cumsum(-1)[:, :-1]

    def _start_cuts(self, cuts: Tensor) -> None:
        """Make parameters of cut points (F, most levels - 1); those behind the last are idle."""
        gaps = cuts.diff(dim=1).clamp(min=1e-3)
        dtype = torch.get_default_dtype()
        self.first = nn.Parameter(cuts[:, :1].to(dtype))
        self.gaps = nn.Parameter(unbounded(gaps.log()).to(dtype))

    def cuts(self) -> Tensor:
        """Cut points of each feature, (F, most levels - 1); those behind its last are idle."""
        return torch.cat([self.first, self.first + bounded(self.gaps).exp().cumsum(1)], dim=1)

    def log_probabilities(self, raw: Tensor) -> Tensor:
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no digits are lost
        cuts = self.cuts().flatten()
        ends = torch.cat([cuts.new_tensor([-torch.inf, torch.inf]), cuts])
        above, below = ends[self._above], ends[self._below]
        raw = raw[..., self.feature_of]
        width = (-torch.expm1(below - above)).log()
        return F.logsigmoid(above - raw) + F.logsigmoid(raw - below) + width

    @torch.no_grad()
    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        """Start as if levels were cuts through a hidden Gaussian number, as close as may be.

        Its loadings are those of least squares to the covariances of z and the levels.
        """
        cuts = torch.special.ndtri(self._below_cuts().to(loadings).clamp(*LIKELY))
        # densities at the ends of each level: at no end, none
        ends = torch.cat([cuts.new_zeros(2), normal(cuts).flatten()])
        moved = ends[self._below] - ends[self._above]
        n_features = len(self.seen)

        def total(x: Tensor) -> Tensor:
            return x.new_zeros(n_features, *x.shape[1:]).index_add(0, self.feature_of, x)

        covariance = loadings * self._deviation().to(loadings)[:, None]
        hidden = (
            total(moved[:, None] * covariance) / total(moved.square()).clamp(min=1e-6)[:, None]
        )
        slope, scale = threshold_model(hidden)
        cuts = cuts * scale[:, None]
        self.first.copy_(cuts[:, :1])
        self.gaps.copy_(unbounded(cuts.diff(dim=1).clamp(min=1e-3).log()))
        return LinearMap(slope, torch.zeros_like(scale), noise)

    def best_guess(self, mean: Tensor) -> Tensor:
        """Give the middle level of each feature: as probable to be below as above, (..., F)."""
        below = self._by_feature(mean, 0.0).cumsum(-1)
        return (below < 0.5 * below[..., -1:]).sum(-1).to(mean.dtype)

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Round outwards to levels that there are."""
        last = self._last()
        return low.floor().clamp(min=0).minimum(last), high.ceil().clamp(min=0).minimum(last)
