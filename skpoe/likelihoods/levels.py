"""What likelihoods of categories share: one feature is as many columns as it has levels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .base import Chunks, Labels, Likelihood, Mapped, observed_moments, refuse_outside

# of a level that no row shows, as if so many rows together did
_UNSEEN = 0.5
# more would be numbers, not levels
_MOST_LEVELS = 10_000


class Levels(Likelihood):
    """Categories by their numbers 0, 1, 2, ...; inside the model, a column of 0 and 1 a level.

    Its mean is the probabilities of the levels. Where raw is zero they are the shares of the
    training data; a level that no row showed has that of half a row.

    Parameters
    ----------
    n_levels : int or sequence of int, default=None
        How many levels each feature has; what the training data show when None.
    """

    title: str
    can_start = True
    has_levels = True
    level_of: Tensor
    share: Tensor
    _feature_of: Tensor
    _slots: Tensor

    def __init__(self, n_levels: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self.n_levels = n_levels
        self.linear = False

    @property
    def feature_of(self) -> Tensor:
        return self._feature_of

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        known = getattr(self, "_slots", None)
        if known is not None:
            most: int | np.ndarray = (known < self.width).sum(1).cpu().numpy()
        else:
            most = np.asarray(_MOST_LEVELS if self.n_levels is None else self.n_levels)
        refuse_outside(
            (x >= 0) & (x == np.floor(x)) & (x < most) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title=self.title,
            needs="numbers of levels, 0, 1, 2, ... as fit knows them",
            remedy="Give the column of a DataFrame the dtype 'category', with all its levels",
        )

    def start(self, chunks: Chunks) -> None:
        moments = self._see(chunks)
        n_features = len(self.seen)
        if self.n_levels is None:
            n_levels = (moments.high.long() + 1).tolist()
        else:
            n_levels = np.maximum(1, np.broadcast_to(self.n_levels, n_features)).tolist()
        most = max(n_levels)
        count = torch.tensor(n_levels, device=self.seen.device)
        at = torch.arange(most, device=count.device).expand(n_features, most)
        real = at < count[:, None]
        width = int(count.sum())
        slots = at.new_full((n_features, most), width)  # behind the last value: no level
        slots[real] = torch.arange(width, device=at.device)
        self.register_buffer("_slots", slots)
        self.register_buffer("level_of", at[real])
        self.register_buffer("_feature_of", real.nonzero()[:, 0])
        share = observed_moments(Mapped(chunks, self.standardise, self._feature_of)).mean
        share = share.where(share > 0, _UNSEEN / moments.n_rows)
        total = torch.zeros_like(share[:n_features]).index_add(0, self._feature_of, share)
        self.register_buffer("share", share / total[self._feature_of])
        self._start_shape()

    def _start_shape(self) -> None:
        """Make what is learned beside raw, given the shares of the levels."""

    def standardise(self, x: Tensor) -> Tensor:
        return (x[..., self._feature_of].round() == self.level_of).to(x.dtype)

    def encode(self, x: Tensor) -> Tensor:
        return self.comparable(x) if self.linear else x - self.share.to(x.dtype)

    def comparable(self, x: Tensor) -> Tensor:
        return (x - self.share.to(x.dtype)) / self._deviation().to(x.dtype)

    def read_linearly(self) -> None:
        self.linear = True

    def _deviation(self) -> Tensor:
        variance = self.share * (1 - self.share)
        return variance.where(variance > 0, 1.0).sqrt()

    @abstractmethod
    def log_probabilities(self, raw: Tensor) -> Tensor:
        """Log-probability of each level, (..., W)."""

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        return x * self.log_probabilities(raw)

    def mean(self, raw: Tensor) -> Tensor:
        return self.log_probabilities(self._quiet(raw)).exp()

    def standardised_mean(self, raw: Tensor) -> Tensor:
        return self.mean(raw)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        below = self._by_feature(self.mean(raw), 0.0).cumsum(-1)[..., :-1]
        threshold = noise.uniform(event=len(self._slots), dtype=raw.dtype)
        level = (threshold[..., None] > below).sum(-1)
        return level.clamp(max=self._last()).to(raw.dtype)  # rounding may leave a gap at the end

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        counts = (self._last() + 1).tolist()
        return dict(enumerate(mean.split(counts, dim=-1)))

    def _last(self) -> Tensor:
        """Give the number of the last level of each feature, (F,)."""
        return (self._slots < self.width).sum(1) - 1

    def _by_feature(self, x: Tensor, no_level: float) -> Tensor:
        """Arrange (..., W) as (..., F, most levels)."""
        return F.pad(x, (0, 1), value=no_level)[..., self._slots]
