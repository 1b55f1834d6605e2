"""Binary data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .base import Chunks, Labels, Likelihood, LinearMap, observed_moments, refuse_outside
from .threshold import LIKELY, normal, threshold_model


class Bernoulli(Likelihood):
    """x_d is 1 with probability sigmoid(raw_d), else 0.

    Encoders read x minus the observed mean of its column, so a missing entry (zero) is neutral.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Bernoulli
    >>> coin = Bernoulli()
    >>> round(coin.log_density(torch.ones(1, 1), torch.zeros(1, 1)).exp().item(), 3)
    0.5
    """

    name = "bernoulli"
    can_start = True
    is_stateless = True
    has_levels = True
    shift: Tensor
    linear = False

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        refuse_outside(
            (x == 0) | (x == 1) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title="Bernoulli",
            needs="values 0 and 1",
            remedy="Binarise the modality",
        )

    def start(self, chunks: Chunks) -> None:
        super().start(chunks)
        self.register_buffer("shift", observed_moments(chunks).mean)

    def encode(self, x: Tensor) -> Tensor:
        return self.comparable(x) if self.linear else x - self.shift.to(x.dtype)

    @staticmethod
    def encode_block(likelihoods: Sequence[Likelihood], block: Tensor) -> Tensor:
        coins = cast("Sequence[Bernoulli]", likelihoods)
        # one that was made of this class may encode in its own way
        if any(coin.linear or type(coin).encode is not Bernoulli.encode for coin in coins):
            return Likelihood.encode_block(likelihoods, block)
        return block - torch.stack([coin.shift for coin in coins]).to(block.dtype)[:, None]

    def comparable(self, x: Tensor) -> Tensor:
        return (x - self.shift.to(x.dtype)) / self._deviation().to(x.dtype)

    def _deviation(self) -> Tensor:
        variance = self.shift * (1 - self.shift)
        return variance.where(variance > 0, 1.0).sqrt()

    def read_linearly(self) -> None:
        self.linear = True

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        """Start as if x were 1 where a hidden Gaussian number is above a threshold.

        Its loadings are such that z and x have the covariance that factor analysis found.
        """
        deviation = self._deviation().to(mean)
        chance = (self.shift.to(mean) + deviation * mean).clamp(*LIKELY)
        threshold = torch.special.ndtri(1 - chance)
        slope, scale = threshold_model(loadings * (deviation / normal(threshold))[:, None])
        return LinearMap(slope, -threshold * scale, noise)

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        return -_cross_entropy(x, raw)

    def log_prob(self, x: Tensor, mask: Tensor | None, raw: Tensor) -> Tensor:
        return -self._over_observed(_cross_entropy(x, raw), mask)  # negates the small sums alone

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(self._quiet(raw))

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return {d: torch.stack([1 - p, p], dim=-1) for d, p in enumerate(mean.unbind(-1))}

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        threshold = noise.uniform(event=raw.shape[-1], dtype=raw.dtype)
        return (threshold < self.mean(raw)).to(raw.dtype)


def _cross_entropy(x: Tensor, raw: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(raw, x.expand_as(raw), reduction="none")
