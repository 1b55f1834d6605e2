"""Gaussian noise whose scale the decoder says."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from ..random import RowNoise
from .decoder_noise import DecoderNoise
from .gaussian import Gaussian


class GaussianDecoder(DecoderNoise, Gaussian):
    """x_d is Gaussian around mean_d(z), with the deviation scale_d(z).

    Inside the model x has mean 0 and deviation 1 a feature; there the scale is 0.05 + softplus of
    what the decoder emits: noise may be large in some rows and small in others.

    Parameters
    ----------
    reach : float or None, default=5.0
        As in :class:`Gaussian`.

    See Also
    --------
    Gaussian : One learned scale a feature.

    Examples
    --------
    >>> from skpoe.likelihoods import GaussianDecoder
    >>> GaussianDecoder().n_outputs(4)
    8
    """

    name = "gaussian_decoder"

    def n_outputs(self, n_features: int) -> int:
        return 2 * n_features

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale inside the model."""
        mean, scale = raw.chunk(2, dim=-1)
        return mean, F.softplus(scale) + self.floor

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        mean, scale = self._parts(raw)
        jacobian = self.spread.log().to(raw.dtype)
        constant = 0.5 * math.log(2 * math.pi) + jacobian
        return -0.5 * ((x - mean) / scale).square() - scale.log() - constant

    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(raw.chunk(2, dim=-1)[0])

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        _, scale = self._parts(raw)
        error = noise.normal(event=scale.shape[-1], dtype=scale.dtype)
        return self.mean(raw) + scale * self.spread * error
