"""What every likelihood can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ..random import RowNoise

_ROWS = 512  # at a time, so that float64 copies stay in the cache


class Likelihood(nn.Module, ABC):
    """p(x_m | z) of one modality, independent between features given z.

    A decoder emits ``raw``, shape (..., N, n_outputs(F)). Values inside the model are
    ``standardise(x)``; densities, means and samples are in the data's own units. What is read off
    the data is kept in float64, whatever the dtype of the model: 1e9 + 1 has no float32 neighbour
    that would do.
    """

    name: str
    seen: Tensor

    @abstractmethod
    def check(self, x: np.ndarray, modality: str) -> None:
        """Raise ValueError where the observed values of x (N, F) are outside the support."""

    def start(self, x: Tensor, mask: Tensor, weight: Tensor | None = None) -> None:
        """Read what depends on the data off x (N, F), zero where missing, and its mask.

        Rows count by their weight (N,), positive; equally when None.

        A member that needs more than which columns were ever seen extends this.
        """
        self.register_buffer("seen", mask.any(0).expand(x.shape[1]).clone())

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


def observed_moments(
    x: Tensor, mask: Tensor, weight: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column over its observed entries.

    x (N, F) is zero where missing, weight is (N,); the moments are float64, shape (F,). A column
    without an observed entry has mean 0; one that does not vary has deviation 1.
    """
    weight = torch.ones(len(x), device=x.device) if weight is None else weight

    def chunks() -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            yield x[rows].double(), mask[rows] * weight[rows, None].double()

    count = torch.stack([share.sum(0) for _, share in chunks()]).sum(0)
    count = torch.where(count > 0, count, 1.0)
    mean = torch.stack([(part * share).sum(0) for part, share in chunks()]).sum(0) / count
    squares = [((part - mean).square() * share).sum(0) for part, share in chunks()]
    deviation = (torch.stack(squares).sum(0) / count).sqrt()
    still = deviation <= 1e-12 * mean.abs()  # constant, rounding aside
    return mean, torch.where(still, 1.0, deviation)
