"""Gaussian data that an instrument reports within its limits only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..random import RowNoise
from .base import Chunks, Labels, refuse_outside
from .gaussian import Gaussian
from .threshold import normal

# in the units of the model a limit is met to rounding only
_NEAR = 1e-5
Limits = float | Sequence[float] | None


class CensoredGaussian(Gaussian):
    r"""x_d is Gaussian around mean_d(z), but reported as a limit where it lies beyond it.

    A value at a limit says that the true one is there or beyond: it has the probability of that,
    where values between the limits have a density. Means and draws are those of what is reported.
    For assays with a limit of detection, and counts of a scale that ends.

    Parameters
    ----------
    low, high : float or sequence of float, default=None
        Limits in the data's units, for all features or for each; none when None.
    reach : float or None, default=5.0
        As in :class:`Gaussian`.

    References
    ----------
    Estimation of relationships for limited dependent variables (Tobin, 1958), Econometrica 26.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import CensoredGaussian
    >>> assay = CensoredGaussian(low=0.0)
    >>> x = torch.tensor([[0.0], [2.0]])
    >>> assay.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> below = assay.log_density(assay.standardise(x), torch.tensor([[-1.0]]))
    >>> round(below[0].exp().item(), 3)  # the mean is at the limit
    0.5
    """

    name = "censored_gaussian"
    mean_is_linear = False
    _low: Tensor
    _high: Tensor

    def __init__(self, low: Limits = None, high: Limits = None, reach: float | None = 5.0) -> None:
        super().__init__(reach)
        self.limits = low, high

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        super().check(x, modality, first_row, labels)
        # a limit that data say in single precision is no longer the one that was given
        low, high = (end.astype(x.dtype) for end in _bounds(self.limits))
        refuse_outside(
            (x >= low) & (x <= high) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title="censored Gaussian",
            needs=f"values within its limits, {self.limits[0]} and {self.limits[1]}",
            remedy="Set values beyond a limit to the limit",
        )

    def start(self, chunks: Chunks) -> None:
        super().start(chunks)
        for name, end in zip(("_low", "_high"), _bounds(self.limits), strict=True):
            limit = torch.from_numpy(end).to(self.shift)
            self.register_buffer(name, limit.expand_as(self.shift).clone())

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        density = super().log_density(x, raw)
        # masses where there is no limit are not asked for: their gradients would not be finite
        for end, sign in ((self._low, 1.0), (self._high, -1.0)):
            limit = self._standardise(end).to(raw.dtype)
            at = sign * (x - limit) <= _NEAR
            beyond = sign * (_or_zero(limit) - raw) / self._inner_scale()
            density = torch.special.log_ndtr(beyond.where(at, 0.0)).where(at, density)
        return density

    def mean(self, raw: Tensor) -> Tensor:
        centre, scale = super().mean(raw), self.scale()
        low, high = (self._low - centre) / scale, (self._high - centre) / scale
        below, above = torch.special.ndtr(low), torch.special.ndtr(-high)
        inner = (1 - below - above).clamp(min=0.0) * centre + scale * (normal(low) - normal(high))
        ends = below * _or_zero(self._low) + above * _or_zero(self._high)
        return (inner + ends).clamp(self._low, self._high)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        error = noise.normal(event=raw.shape[-1], dtype=raw.dtype)
        return (super().mean(raw) + self.scale() * error).clamp(self._low, self._high)


def _bounds(limits: tuple[Limits, Limits]) -> tuple[np.ndarray, np.ndarray]:
    low, high = limits
    return (
        np.asarray(-np.inf if low is None else low, dtype=float),
        np.asarray(np.inf if high is None else high, dtype=float),
    )


def _or_zero(end: Tensor) -> Tensor:
    return end.where(end.isfinite(), 0.0)
