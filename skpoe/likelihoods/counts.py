"""What likelihoods of counts share."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .base import (
    Chunks,
    Labels,
    Likelihood,
    LinearMap,
    Mapped,
    bounded,
    observed_moments,
    refuse_outside,
)

_MOST_SLOPE = 2.0  # of a log-rate, at a start: twenty-fold from one deviation of z to the next
_LEAST_TOTAL = 0.5  # of a row that shows zeros alone: none would say that all rates are zero


class Counts(Likelihood):
    r"""Counts with the rate base_d * exp(raw_d), where base_d is the observed mean of column d.

    raw is bounded smoothly to (-15, 15), so that no rate overflows; up to 3 it changes by less
    than 0.04. Values inside the model are the counts themselves.

    Parameters
    ----------
    library, reach
        As in :class:`Poisson`. Densities of rows given their totals do not compare with others.
    """

    is_whole = True
    title: str
    shortcuts = {"log_prob": ("log_density",)}
    base: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, library: bool = False, reach: float = 5.0) -> None:
        super().__init__()
        self.library = library
        self.reach = reach

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        good = (x >= 0) & (x == np.floor(x)) | np.isnan(x)
        refuse_outside(
            good,
            x,
            modality,
            first_row,
            labels,
            title=self.title,
            needs="counts 0, 1, 2, ...",
            remedy="Give the counts as they were read, neither scaled nor as logarithms",
        )

    def start(self, chunks: Chunks) -> None:
        moments = self._see(chunks)
        logs = observed_moments(Mapped(chunks, lambda x: x.double().log1p()))
        self.register_buffer("shift", logs.mean)
        self.register_buffer("spread", logs.deviation)
        base = moments.mean
        if bool((base == 0).any()):  # as if all rows together showed half a count
            base = base.where(base > 0, 0.5 / moments.n_rows)
        self.register_buffer("base", base)
        varies = moments.high > moments.low
        self._start_shape(moments.mean, moments.deviation.square() * varies)

    def _start_shape(self, mean: Tensor, variance: Tensor) -> None:
        """Make what is learned beside the rate, given the moments of the columns, (F,)."""

    def encode(self, x: Tensor) -> Tensor:
        return self.comparable(x).clamp(-self.reach, self.reach)

    def comparable(self, x: Tensor) -> Tensor:
        return (x.log1p() - self.shift.to(x.dtype)) / self.spread.to(x.dtype)

    @property
    def can_start(self) -> bool:  # type: ignore[override]
        """Whether rates are those of rows: factor analysis knows nothing of library sizes."""
        return not self.library

    def read_linearly(self) -> None:
        self.reach = math.inf

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        """Start with log-rates that move log(1 + x), at the mean, as factor analysis says.

        A bias keeps the mean of the rates, over z, where it is.
        """
        base = self.base.to(loadings)
        slope = loadings * (self.spread.to(loadings) * (1 + base) / base)[:, None]
        size = slope.norm(dim=1, keepdim=True)
        slope = slope * (_MOST_SLOPE / size.clamp(min=_MOST_SLOPE))
        bias = -0.5 * slope.square().sum(1)
        rest = self.n_outputs(len(base)) - len(base)  # of other outputs
        return LinearMap(F.pad(slope, (0, 0, 0, rest)), F.pad(bias, (0, rest)), noise)

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        return self._log_density(x, raw, self._log_base(x, None))

    def log_prob(self, x: Tensor, mask: Tensor | None, raw: Tensor) -> Tensor:
        return self._over_observed(self._log_density(x, raw, self._log_base(x, mask)), mask)

    @abstractmethod
    def _log_density(self, x: Tensor, raw: Tensor, log_base: Tensor) -> Tensor:
        """Log-density of each entry; ``log_base`` (F,) or (N, F) is float64."""

    def _log_base(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Logarithm of the rate where raw is zero: float64, (F,), or (N, F) for each row."""
        base = self.base.double()
        if not self.library:
            return base.log()
        counts, expected = x.double(), base.expand_as(x)
        if mask is not None:
            counts, expected = counts * mask, expected * mask
        total = counts.sum(-1, keepdim=True).clamp(min=_LEAST_TOTAL)
        typical = expected.sum(-1, keepdim=True)
        typical = typical.where(typical > 0, total)  # of rows that show nothing
        return base.log() + (total / typical).log()

    def rate(self, raw: Tensor) -> Tensor:
        """Rate of each entry at library size 1, given its raw number; never-seen columns rest."""
        return self.base * bounded(self._quiet(raw)).to(self.base).exp()

    def mean(self, raw: Tensor) -> Tensor:
        return self.rate(raw)

    @abstractmethod
    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor: ...


def log_factorial(x: Tensor) -> Tensor:
    """Log x! in float64: lgamma of a million is off by a nat in float32."""
    return torch.lgamma(x.double() + 1.0)
