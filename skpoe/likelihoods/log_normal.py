"""Positive data whose logarithms have Gaussian noise."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..random import RowNoise
from .base import Chunks, Labels, Mapped, refuse_outside
from .gaussian import Gaussian

_LARGEST = 700.0  # exponent in float64


class LogNormal(Gaussian):
    r"""log x_d = location_d(z) + scale_d * noise, the noise Gaussian: errors are in proportion.

    Inside the model log x has mean 0 and deviation 1 a feature over what is observed, and the
    noise there is that of :class:`Gaussian`. Densities are those of x, so they compare with other
    likelihoods of x. The mean of x is exp(location_d + scale_d^2 / 2), its median
    exp(location_d).

    Parameters
    ----------
    reach : float or None, default=5.0
        As in :class:`Gaussian`, of the logarithms.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import LogNormal
    >>> noise = LogNormal()
    >>> x = torch.tensor([[1.0], [100.0]])
    >>> noise.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> noise.start_noise(torch.tensor([0.01]))
    >>> round(noise.mean(torch.zeros(1, 1)).item(), 2)  # 10 exp(scale^2 / 2)
    10.27
    """

    name = "log_normal"
    mean_is_linear = False

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        refuse_outside(
            (x > 0) & np.isfinite(x) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title="log-normal",
            needs="positive numbers",
            remedy="If zeros mean 'not measured', set them to NaN",
        )

    def start(self, chunks: Chunks) -> None:
        super().start(Mapped(chunks, _log))

    def standardise(self, x: Tensor) -> Tensor:
        return self._standardise(_log(x))

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        log_x = self.shift.to(raw.dtype) + self.spread.to(raw.dtype) * x
        return super().log_density(x, raw) - log_x

    def mean(self, raw: Tensor) -> Tensor:
        return _exp(super().mean(raw) + 0.5 * self.scale().square())

    def standardised_mean(self, raw: Tensor) -> Tensor:
        return self._quiet(raw)  # of the logarithm

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        error = noise.normal(event=raw.shape[-1], dtype=raw.dtype)
        return _exp(super().mean(raw) + self.scale() * error)


def _log(x: Tensor) -> Tensor:
    """Log of x in float64; finite also where x is missing, that is zero."""
    x = x.double()
    return x.clamp(min=torch.finfo(x.dtype).tiny).log()


def _exp(x: Tensor) -> Tensor:
    return x.clamp(-_LARGEST, _LARGEST).exp()
