"""What every likelihood can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..random import RowNoise
from ..shortcuts import WithShortcuts

Chunks = Iterable[tuple[Tensor, Tensor, Tensor]]
Labels = Sequence[Hashable] | None

_ROWS = 512  # at a time, so that float64 copies stay in the cache
_BOUND = 15.0


class Likelihood(WithShortcuts, nn.Module, ABC):
    """p(x_m | z) of one modality, independent between features given z.

    A decoder emits ``raw``, shape (..., N, n_outputs(F)). Values inside the model are
    ``standardise(x)``, shape (N, W); densities, means and samples are in the data's own units.
    W is F, unless a feature takes several numbers to say: a level of a category is one of so many
    columns of 0 and 1, and its mean is their probabilities. What is read off the data is kept in
    float64, whatever the dtype of the model: 1e9 + 1 has no float32 neighbour that would do.
    """

    name: str
    # whether each feature has a noise variance that no z moves: noise_variance
    has_own_noise = False
    # whether a decoder can start at a factor analysis of what encoders read: start_at
    can_start = False
    # whether the mean is linear in raw: then the mean over z is at the mean of z
    mean_is_linear = False
    # whether densities depend on nothing but x and raw, so that those of several modalities may
    # be one call, with masks and values (M, 1, 1, N, W)
    is_stateless = False
    # whether features have levels, with probabilities
    has_levels = False
    # whether values are whole numbers
    is_whole = False
    seen: Tensor

    @property
    def feature_of(self) -> Tensor | None:
        """Which feature each of the W values inside the model is about; None if one is one."""
        return None

    @property
    def width(self) -> int:
        """W, once started."""
        return len(self.seen) if self.feature_of is None else len(self.feature_of)

    @abstractmethod
    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        """Raise ValueError where the observed values of x (N, F) are outside the support.

        Columns are named by ``labels``, or by their positions when None.
        """

    def start(self, chunks: Chunks) -> None:
        """Read what depends on the data off chunks of rows.

        Parameters
        ----------
        chunks : iterable of (x, mask, weight)
            It is gone over as often as needed. x (n, F) is zero where missing, mask is (n, F) or
            (n, 1), weight (n,) is positive.

        A member that needs more than which columns were ever seen extends this.
        """
        self._see(chunks)

    def _see(self, chunks: Chunks) -> Moments:
        """Note which columns were ever seen, and give the moments of all: of two passes."""
        moments = observed_moments(chunks)
        self.register_buffer("seen", moments.seen)
        return moments

    @property
    def n_values(self) -> list[int]:
        """How many of the W values inside the model each feature has."""
        if self.feature_of is None:
            return [1] * len(self.seen)
        return torch.bincount(self.feature_of, minlength=len(self.seen)).tolist()

    def stand_in(self, n_values: Sequence[int]) -> None:
        """Start on a row that shows how many values each feature has: for a state to be loaded."""
        row = torch.tensor(n_values, dtype=torch.float64)[None] - 1
        self.start([(row, torch.ones_like(row, dtype=torch.bool), torch.ones(1))])

    def read_linearly(self) -> None:
        """Give encoders values that a linear one can use: of deviation 1, not clipped."""

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        """Start where a factor analysis of what encoders read says.

        Parameters
        ----------
        loadings : Tensor of shape (W, D)
        mean, noise : Tensor of shape (W,)
            Of each value, and its variance given z.

        Returns
        -------
        start : LinearMap
            From z to raw. Zero may have become another value, so what was read before is off.
        """
        raise NotImplementedError

    def start_tail(self, residuals: Tensor, weights: Tensor) -> None:
        """Start at the shape of these residuals (N, W) of variance 1, if noise can have another.

        Weights (N, W) are zero where there is no residual.
        """

    def members(self) -> Iterator[Likelihood]:
        """Give the likelihoods that columns have: this one, unless it is made of others."""
        yield self

    def describe(self, labels: Sequence[Hashable]) -> Any:
        """Name it, for people; by column, if columns differ."""
        return self.name

    def n_outputs(self, n_features: int) -> int:
        """How many numbers a decoder emits a row."""
        return n_features

    def standardise(self, x: Tensor) -> Tensor:
        """Take x (N, F) from the data's units to the model's, (N, W)."""
        return x

    def encode(self, x: Tensor) -> Tensor:
        """Take standardised x to what an encoder reads, shape (N, W)."""
        return x

    def comparable(self, x: Tensor) -> Tensor:
        """Take standardised x to values of deviation 1, so that errors of all can be summed."""
        return x

    @abstractmethod
    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        """Log-density in nats, in the data's units, of each entry of standardised x.

        x is (N, W), raw (..., N, n_outputs); returns (..., N, W), finite also where x is missing.
        The values of one feature sum to its log-density.
        """

    def log_prob(self, x: Tensor, mask: Tensor | None, raw: Tensor) -> Tensor:
        """Sum :meth:`log_density` over the observed features: (..., N) nats.

        mask is (N, W) or (N, 1); None where everything is observed.
        """
        return self._over_observed(self.log_density(x, raw), mask)

    @staticmethod
    def _over_observed(density: Tensor, mask: Tensor | None) -> Tensor:
        """Sum (..., N, F) over the observed features."""
        if mask is None:
            return density.sum(-1)
        if mask.shape[-1] == 1:  # rows observed whole or not at all: sum first, it is cheaper
            return density.sum(-1) * mask[..., 0]
        return (density * mask).sum(-1)

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Mean in the data's units, shape (..., N, W); means of several raws may be averaged."""

    def standardised_mean(self, raw: Tensor) -> Tensor:
        """Mean in the model's units, shape (..., N, W)."""
        return self.standardise(self.mean(raw))

    @abstractmethod
    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        """Draw x for raw (N, n_outputs) in the data's units, shape (N, F)."""

    def best_guess(self, mean: Tensor) -> Tensor:
        """Say each feature by one number in the data's units: (..., W) means to (..., F)."""
        return mean

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        """Probabilities (..., levels) of each feature that has levels, from (..., W) means."""
        return {}

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Say quantiles of draws (N, F) as ends of intervals; NaN where values have no order.

        What lies between two draws is no value where these are whole numbers: it is rounded
        outwards.
        """
        return (low.floor(), high.ceil()) if self.is_whole else (low, high)

    def _quiet(self, raw: Tensor) -> Tensor:
        """Silence the outputs of columns that no row of the training data showed."""
        return raw * self.seen


class LinearMap(NamedTuple):
    """raw = weight z + bias, and the noise variance of what encoders read, given z."""

    weight: Tensor
    bias: Tensor
    noise: Tensor


class Moments(NamedTuple):
    """What the observed entries of each column show: float64, shape (F,).

    A column without an observed entry is not ``seen``, bool, and has mean, low and high 0; one
    that does not vary has deviation 1. ``n_rows`` is the number of all rows.
    """

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor
    seen: Tensor
    n_rows: int


def observed_moments(chunks: Chunks) -> Moments:
    """Mean, standard deviation, smallest and largest value of each column where observed."""

    def blocks() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x, mask, weight in chunks:
            for start in range(0, len(x), _ROWS):
                rows = slice(start, start + _ROWS)
                yield x[rows], mask[rows], mask[rows] * weight[rows, None].double()

    count, total, n_rows = torch.zeros(()), torch.zeros(()), 0
    low, high = torch.tensor(torch.inf), torch.tensor(-torch.inf)
    for x, mask, share in blocks():
        count, total = count + share.sum(0), total + (x.double() * share).sum(0)
        n_rows += len(x)
        whole = bool(mask.all())  # nothing to hide: cheaper
        low = torch.minimum(low, (x if whole else x.where(mask, torch.inf)).amin(0))
        high = torch.maximum(high, (x if whole else x.where(mask, -torch.inf)).amax(0))
    seen = (count > 0).expand_as(total).clone()
    low, high = (torch.where(seen, end.double(), 0.0) for end in (low, high))
    count = torch.where(count > 0, count, 1.0)
    mean = total / count
    # in units of a power of two, which changes no digit: squares of tiny numbers would be zero
    unit = torch.ldexp(torch.ones_like(low), torch.frexp(high - low).exponent)
    squares = torch.zeros(())
    for x, _, share in blocks():
        squares = squares + (((x.double() - mean) / unit).square() * share).sum(0)
    deviation = (squares / count).sqrt() * unit
    still = deviation <= 1e-12 * mean.abs()  # constant, rounding aside
    return Moments(mean, torch.where(still, 1.0, deviation), low, high, seen, n_rows)


class Mapped:
    """Chunks of rows whose values go through a function; iterable as often as they are.

    ``columns`` says of which columns of x those are that it gives; the same ones when None.
    """

    def __init__(
        self,
        chunks: Chunks,
        function: Callable[[Tensor], Tensor],
        columns: Tensor | Sequence[int] | None = None,
    ) -> None:
        self._chunks, self._function, self._columns = chunks, function, columns

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x, mask, weight in self._chunks:
            is_whole = self._columns is None or mask.shape[1] == 1  # a mask of rows, not entries
            yield self._function(x), mask if is_whole else mask[:, self._columns], weight


def bounded(x: Tensor) -> Tensor:
    """Bound x smoothly to (-15, 15), so that its exponential can be no extreme number.

    A gradient remains beyond, where clamping would leave none.
    """
    return _BOUND * torch.tanh(x / _BOUND)


def unbounded(x: Tensor) -> Tensor:
    """Solve :func:`bounded`."""
    return _BOUND * torch.atanh(x / _BOUND)


def refuse_outside(
    good: np.ndarray,
    x: np.ndarray,
    modality: str,
    first_row: int,
    labels: Labels,
    *,
    title: str,
    needs: str,
    remedy: str,
) -> None:
    """Raise ValueError that names the first entry of x (N, F) that is not good, and a remedy."""
    if not good.all():
        row, column = np.argwhere(~good)[0]
        label = column if labels is None else repr(labels[column])
        raise ValueError(
            f"The {title} likelihood of modality '{modality}' needs {needs} (NaN where missing), "
            f"but column {label} has {x[row, column]:.12g} in row {first_row + row}. {remedy}, "
            "or choose another likelihood for it."
        )
