"""What every likelihood can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..random import RowNoise

Chunks = Iterable[tuple[Tensor, Tensor, Tensor]]

_ROWS = 512  # at a time, so that float64 copies stay in the cache
_BOUND = 15.0


class Likelihood(nn.Module, ABC):
    """p(x_m | z) of one modality, independent between features given z.

    A decoder emits ``raw``, shape (..., N, n_outputs(F)). Values inside the model are
    ``standardise(x)``; densities, means and samples are in the data's own units. What is read off
    the data is kept in float64, whatever the dtype of the model: 1e9 + 1 has no float32 neighbour
    that would do.
    """

    name: str
    # whether each feature has a noise variance that no z moves: noise_variance and start_noise
    has_own_noise = False
    seen: Tensor

    @abstractmethod
    def check(self, x: np.ndarray, modality: str, first_row: int = 0) -> None:
        """Raise ValueError where the observed values of x (N, F) are outside the support."""

    def start(self, chunks: Chunks) -> None:
        """Read what depends on the data off chunks of rows.

        Parameters
        ----------
        chunks : iterable of (x, mask, weight)
            It is gone over as often as needed. x (n, F) is zero where missing, mask is (n, F) or
            (n, 1), weight (n,) is positive.

        A member that needs more than which columns were ever seen extends this.
        """
        seen: Tensor | None = None
        for x, mask, _ in chunks:
            here = mask.any(0).expand(x.shape[1])
            seen = here.clone() if seen is None else seen | here
        self.register_buffer("seen", seen)

    def noise_variance(self) -> Tensor:
        """Variance of each feature given z, (F,), in standardised units."""
        raise NotImplementedError

    def start_noise(self, variance: Tensor) -> None:
        """Start at these variances of the noise, (F,), in standardised units."""
        raise NotImplementedError

    def start_tail(self, residuals: Tensor, weights: Tensor) -> None:
        """Start at the shape of these residuals (N, F) of variance 1, if noise can have another.

        Weights (N, F) are zero where there is no residual.
        """

    def recentre(self, mean: Tensor) -> None:
        """Make this standardised value, (F,), the zero of the model's units."""
        raise NotImplementedError

    def n_outputs(self, n_features: int) -> int:
        """How many numbers a decoder emits a row."""
        return n_features

    def standardise(self, x: Tensor) -> Tensor:
        """Take x (N, F) from the data's units to the model's."""
        return x

    def encode(self, x: Tensor) -> Tensor:
        """Take standardised x to what an encoder reads, shape (N, F)."""
        return x

    @abstractmethod
    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        """Log-density in nats, in the data's units, of each entry of standardised x.

        x is (N, F), raw (..., N, n_outputs); returns (..., N, F), finite also where x is missing.
        """

    def log_prob(self, x: Tensor, mask: Tensor, raw: Tensor) -> Tensor:
        """Sum :meth:`log_density` over the observed features: (..., N) nats."""
        return self._over_observed(self.log_density(x, raw), mask)

    @staticmethod
    def _over_observed(density: Tensor, mask: Tensor) -> Tensor:
        """Sum (..., N, F) over the observed features."""
        if mask.shape[-1] == 1:  # rows observed whole or not at all: sum first, it is cheaper
            return density.sum(-1) * mask[:, 0]
        return (density * mask).sum(-1)

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """Mean in the data's units, shape (..., N, F)."""

    @abstractmethod
    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        """Draw x for raw (N, n_outputs) in the data's units, shape (N, F)."""

    def _quiet(self, raw: Tensor) -> Tensor:
        """Silence the outputs of columns that no row of the training data showed."""
        return raw * self.seen


class Moments(NamedTuple):
    """What the observed entries of each column show: float64, shape (F,).

    A column without an observed entry has mean, low and high 0; one that does not vary has
    deviation 1.
    """

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor


def observed_moments(chunks: Chunks) -> Moments:
    """Mean, standard deviation, smallest and largest value of each column where observed."""

    def blocks() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x, mask, weight in chunks:
            for start in range(0, len(x), _ROWS):
                rows = slice(start, start + _ROWS)
                yield x[rows], mask[rows], mask[rows] * weight[rows, None].double()

    count = total = torch.zeros(())
    low, high = torch.tensor(torch.inf), torch.tensor(-torch.inf)
    for x, mask, share in blocks():
        count, total = count + share.sum(0), total + (x.double() * share).sum(0)
        whole = bool(mask.all())  # nothing to hide: cheaper
        low = torch.minimum(low, (x if whole else x.where(mask, torch.inf)).amin(0))
        high = torch.maximum(high, (x if whole else x.where(mask, -torch.inf)).amax(0))
    low, high = (torch.where(count > 0, end.double(), 0.0) for end in (low, high))
    count = torch.where(count > 0, count, 1.0)
    mean = total / count
    squares = torch.zeros(())
    for x, _, share in blocks():
        squares = squares + ((x.double() - mean).square() * share).sum(0)
    deviation = (squares / count).sqrt()
    still = deviation <= 1e-12 * mean.abs()  # constant, rounding aside
    return Moments(mean, torch.where(still, 1.0, deviation), low, high)


class Mapped:
    """Chunks of rows whose values go through a function; iterable as often as they are."""

    def __init__(self, chunks: Chunks, function: Callable[[Tensor], Tensor]) -> None:
        self._chunks, self._function = chunks, function

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for x, mask, weight in self._chunks:
            yield self._function(x), mask, weight


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
    *,
    title: str,
    needs: str,
    remedy: str,
) -> None:
    """Raise ValueError that names the first entry of x (N, F) that is not good, and a remedy."""
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise ValueError(
            f"The {title} likelihood of modality '{modality}' needs {needs} (NaN where missing), "
            f"but column {column} has {x[row, column]:.12g} in row {first_row + row}. {remedy}, "
            "or choose another likelihood for it."
        )
