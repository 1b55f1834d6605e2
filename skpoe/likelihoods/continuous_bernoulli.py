"""Data between zero and one, as pixels are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..random import RowNoise
from .base import Labels, refuse_outside
from .unit_interval import UnitInterval

_SMALL = 0.3  # below, series: closed forms lose digits


class ContinuousBernoulli(UnitInterval):
    r"""x_d in [0, 1] has density proportional to exp(raw_d x_d).

    With :math:`\lambda = \mathrm{sigmoid}(\mathrm{raw})` that is :math:`\lambda^x (1 -
    \lambda)^{1 - x}`, as for :class:`Bernoulli`, times what makes it a density:

    .. math:: \log p(x) = \mathrm{raw} \, (x - \tfrac12)
        - \log \frac{\sinh(\mathrm{raw} / 2)}{\mathrm{raw} / 2}

    It is uniform at raw = 0, and has no noise to learn. Encoders read x minus the observed mean of
    its column.

    See Also
    --------
    Beta : Data strictly between zero and one, with a learned concentration.

    References
    ----------
    The continuous Bernoulli: fixing a pervasive error in variational autoencoders (Loaiza-Ganem &
    Cunningham, 2019), https://arxiv.org/abs/1907.06845.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import ContinuousBernoulli
    >>> pixel = ContinuousBernoulli()
    >>> pixel.log_density(torch.tensor([[0.3]]), torch.zeros(1, 1)).exp().item()
    1.0
    """

    name = "continuous_bernoulli"
    is_stateless = True
    shortcuts = {"is_stateless": ("log_density", "log_prob")}

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        refuse_outside(
            (x >= 0) & (x <= 1) | np.isnan(x),
            x,
            modality,
            first_row,
            labels,
            title="continuous Bernoulli",
            needs="values from 0 to 1",
            remedy="Scale the modality to that range",
        )

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        return raw * (x - 0.5) - _log_sinhc(0.5 * raw)

    def mean(self, raw: Tensor) -> Tensor:
        return 0.5 + 0.5 * _langevin(0.5 * self._quiet(raw))

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        uniform = noise.uniform(event=raw.shape[-1], dtype=raw.dtype)
        raw = self._quiet(raw)
        # the inverse CDF of a falling density; a rising one is its mirror image
        slope = raw.abs().clamp(min=1e-12)
        falling = -torch.log1p(uniform * torch.expm1(-slope)) / slope
        return torch.where(raw > 0, 1.0 - falling, falling)


def _log_sinhc(x: Tensor) -> Tensor:
    """Log(sinh(x) / x), exact to rounding in value and gradient, also about zero."""
    size = x.abs()
    small = size < _SMALL
    square = x.where(small, 0.0).square()
    series = square * (
        1 / 6 - square * (1 / 180 - square * (1 / 2835 - square * (1 / 37800 - square / 467775)))
    )
    size = size.where(~small, 1.0)
    return torch.where(small, series, size + (-torch.expm1(-2 * size)).log() - (2 * size).log())


def _langevin(x: Tensor) -> Tensor:
    """Coth(x) - 1 / x, the slope of :func:`_log_sinhc`."""
    small = x.abs() < _SMALL
    near = x.where(small, 0.0)
    square = near.square()
    series = near * (
        1 / 3 - square * (1 / 45 - square * (2 / 945 - square * (1 / 4725 - square * (2 / 93555))))
    )
    x = x.where(~small, 1.0)
    return torch.where(small, series, 1 / torch.tanh(x) - 1 / x)
