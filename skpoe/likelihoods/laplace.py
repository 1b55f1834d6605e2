"""Laplace noise with a learned scale a feature."""

from __future__ import annotations

import math

from torch import Tensor

from ..distributions.laplace import laplace_sample
from ..random import RowNoise
from .gaussian import Gaussian


class Laplace(Gaussian):
    """x_d = mean_d(z) + scale_d * noise, the noise Laplace: absolute errors count, not squares.

    Each feature has one learned scale, the mean absolute error. Inside the model, where x has mean
    0 and deviation 1 a feature, it is 0.05 + softplus(rho_d) and starts at a variance of 1, as if
    z said nothing. The pull of a residual on the mean does not depend on its size.

    Parameters
    ----------
    reach : float or None, default=5.0
        As in :class:`Gaussian`.

    See Also
    --------
    StudentT : Tails that are heavier and learned.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Laplace
    >>> noise = Laplace()
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> noise.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> noise.start_noise(torch.tensor([0.5]))  # a variance of 2 * scale^2
    >>> round(noise.scale().item(), 4)
    0.5
    """

    name = "laplace"
    # what hidden modalities are predicted with is judged as if noise were Gaussian
    has_own_noise = False

    def _unit_variance(self) -> float:
        return 2.0

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        scale = self._inner_scale()
        constant = -scale.log() - self.spread.log().to(raw.dtype) - math.log(2.0)
        return constant - (x - raw).abs() / scale

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        error = laplace_sample(noise.uniform(event=raw.shape[-1], dtype=raw.dtype))
        return self.mean(raw) + self.scale() * error
