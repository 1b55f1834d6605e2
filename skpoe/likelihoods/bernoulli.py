"""Binary data."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .base import Labels, LinearMap, refuse_outside
from .threshold import LIKELY, normal, threshold_model
from .unit_interval import UnitInterval


class Bernoulli(UnitInterval):
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
    is_whole = True
    shortcuts = {"is_stateless": ("log_density", "log_prob")}

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
        # x is 0 or 1: a sign in front of raw, in fewer passes than the general cross-entropy
        return F.logsigmoid((2.0 * x - 1.0) * raw)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(self._quiet(raw))

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return {d: torch.stack([1 - p, p], dim=-1) for d, p in enumerate(mean.unbind(-1))}

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        threshold = noise.uniform(event=raw.shape[-1], dtype=raw.dtype)
        return (threshold < self.mean(raw)).to(raw.dtype)
