"""Student-t noise with a learned scale a feature and learned degrees of freedom."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributions.student_t import student_t_log_constant, student_t_sample
from ..random import RowNoise
from .gaussian import Gaussian

_TINY = 1e-12
# residuals of a smaller mean square, where 1 is expected, are those of a copy or a sum
_DETERMINED = 0.05
# degrees of freedom that a start may have
_TAILS = (2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0)


class StudentT(Gaussian):
    r"""x_d = mean_d(z) + scale_d * noise, the noise Student-t: freak values cost little.

    Each feature has a scale and the modality has one number of degrees of freedom, all learned.
    Inside the model, where x has mean 0 and deviation 1 a feature,

    .. math:: \mathrm{scale}_d^2 = 0.05^2 + e^{2 \rho_d}, \quad
        \mathrm{df} = 2 + \mathrm{softplus}(r),

    so the variance is finite, and the noise is nearly Gaussian where df is large. At the start df
    is 5.05 and the variance 1, as if z said nothing; beside a factor analysis both are what its
    residuals say. A residual's pull on the mean falls again beyond :math:`\sqrt{\mathrm{df}}`
    scales.

    Parameters
    ----------
    reach : float or None, default=5.0
        As in :class:`Gaussian`.

    See Also
    --------
    StudentTDecoder : Scale and degrees of freedom of each entry are said by the decoder.

    References
    ----------
    Robust statistical modeling using the t distribution (Lange, Little & Taylor, 1989), Journal of
    the American Statistical Association 84.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import StudentT
    >>> noise = StudentT()
    >>> noise.start([(torch.randn(9, 2), torch.ones(9, 1, dtype=torch.bool), torch.ones(9))])
    >>> noise.start_noise(torch.tensor([0.25, 0.5]))
    >>> [round(variance, 4) for variance in noise.noise_variance().tolist()]
    [0.25, 0.5]
    >>> round(noise.df().item(), 2)
    5.05
    """

    name = "student_t"

    def _make_noise(self, n_features: int) -> None:
        self.tail = nn.Parameter(torch.tensor(3.0))
        super()._make_noise(n_features)

    def df(self) -> Tensor:
        """Degrees of freedom, a number above 2."""
        return 2.0 + F.softplus(self.tail)

    @torch.no_grad()
    def start_tail(self, residuals: Tensor, weights: Tensor) -> None:
        """Start at the degrees of freedom under which these residuals are likeliest.

        A feature that others determine leaves far less than its noise says, and would pass for
        the middle of a heavy tail: its residuals are read in units of their own.
        """
        square = residuals.square()
        own = (weights * square).sum(0) / weights.sum(0).clamp(min=_TINY)
        square = square / torch.where(own < _DETERMINED, own.clamp(min=_TINY), 1.0)
        variance = self.noise_variance()
        df = torch.tensor(_TAILS).to(residuals)[:, None, None]
        square_scale = (df - 2) / df
        density = student_t_log_constant(df) - 0.5 * (
            square_scale.log() + (df + 1) * torch.log1p(square / (df * square_scale))
        )
        best = float(df[(density * weights).sum((1, 2)).argmax()])
        self.tail.fill_(math.log(math.expm1(best - 2)))
        self.start_noise(variance)

    def _inner_scale(self) -> Tensor:
        return self._square_scale().sqrt()

    def _square_scale(self) -> Tensor:
        return self.floor**2 + (2.0 * self.rho).exp()

    def _rho_of(self, scale: Tensor) -> Tensor:
        return 0.5 * (scale.square() - self.floor**2).log()

    def _unit_variance(self) -> Tensor:
        excess = F.softplus(self.tail)  # df - 2, which rounding would take to zero
        return (2.0 + excess) / excess

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        df, square_scale = self.df(), self._square_scale()
        jacobian = self.spread.log().to(raw.dtype)
        constant = student_t_log_constant(df) - 0.5 * square_scale.log() - jacobian
        # one product for each entry: scale and df meet first
        tail = torch.log1p((x - raw).square() * (df * square_scale).reciprocal())
        return constant - 0.5 * (df + 1) * tail

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        error = draw_errors(noise, raw, self.df())
        return self.mean(raw) + self.scale() * error


def draw_errors(noise: RowNoise, like: Tensor, df: Tensor) -> Tensor:
    """Draw standard Student-t numbers, of the shape (N, F) and dtype of ``like``."""
    event, dtype = like.shape[-1], like.dtype
    radial, angular = (noise.fold(f).uniform(event=event, dtype=dtype) for f in (0, 1))
    return student_t_sample(radial, angular, df)
