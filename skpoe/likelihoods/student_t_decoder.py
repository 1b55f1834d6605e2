"""Student-t noise whose scale and degrees of freedom the decoder says."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ..distributions.student_t import student_t_log_density
from ..random import RowNoise
from .decoder_noise import DecoderNoise
from .gaussian import Gaussian
from .student_t import draw_errors


class StudentTDecoder(DecoderNoise, Gaussian):
    """x_d is Student-t around mean_d(z), with scale_d(z) and df_d(z) degrees of freedom.

    Inside the model x has mean 0 and deviation 1 a feature; there the scale is 0.001 + softplus
    and df is 3 + softplus of what the decoder emits, so mean and variance exist. Freak values cost
    little, and do not drag the mean along.

    Parameters
    ----------
    reach : float or None, default=5.0
        As in :class:`Gaussian`.

    See Also
    --------
    StudentT : One learned scale a feature, one number of degrees of freedom a modality.

    References
    ----------
    MIWAE: deep generative modelling and imputation of incomplete data sets (Mattei & Frellsen,
    2019), https://arxiv.org/abs/1812.02633, section 2.1 and the authors' code.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import StudentTDecoder
    >>> StudentTDecoder().n_outputs(4)
    12
    """

    name = "student_t_decoder"
    floor = 1e-3

    def n_outputs(self, n_features: int) -> int:
        return 3 * n_features

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, scale and degrees of freedom inside the model."""
        mean, scale, df = raw.chunk(3, dim=-1)
        return mean, F.softplus(scale) + self.floor, F.softplus(df) + 3.0

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        mean, scale, df = self._parts(raw)
        square = ((x - mean) / scale).square()
        jacobian = self.spread.log().to(raw.dtype)
        return student_t_log_density(square, df) - scale.log() - jacobian

    def mean(self, raw: Tensor) -> Tensor:
        return super().mean(raw.chunk(3, dim=-1)[0])

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        _, scale, df = self._parts(raw)
        error = draw_errors(noise, scale, df)
        return self.mean(raw) + scale * self.spread * error
