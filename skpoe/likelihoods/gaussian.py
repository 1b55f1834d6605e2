"""Gaussian noise with a learned scale a feature."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..random import RowNoise
from .base import Chunks, Labels, Likelihood, LinearMap

_LARGEST = 1e150
_LEAST_START = 1.05  # times the floor: at the floor itself the gradient of rho vanishes
# deviations beyond what training showed that are read as they are: a new row often is the furthest
_BEYOND = 1.0


class Gaussian(Likelihood):
    """x_d = mean_d(z) + scale_d * noise, with one learned scale a feature.

    Inside the model x has mean 0 and deviation 1 a feature over what is observed. The scale there
    is 0.05 + softplus(rho_d), so no feature can be explained without error.

    Parameters
    ----------
    reach : float or None, default=5.0
        Encoders read values clipped to so many deviations: a freak value says "far out", not how
        far. None clips to a deviation beyond the range that each feature had in the training
        data: linear encoders need the values as they are, near what training showed.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Gaussian
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> noise = Gaussian()
    >>> noise.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> noise.mean(noise.standardise(x)).tolist()
    [[1.0], [3.0]]

    The noise can be told where to start, in standardised units:

    >>> noise.start_noise(torch.tensor([0.25]))
    >>> round(noise.noise_variance().item(), 4), round(noise.scale().item(), 4)
    (0.25, 0.5)
    """

    name = "gaussian"
    has_own_noise = True
    can_start = True
    mean_is_linear = True
    floor = 0.05
    shift: Tensor
    spread: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, reach: float | None = 5.0) -> None:
        super().__init__()
        self.reach = reach

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        """Accept real numbers whose squares are finite."""
        if not float(np.nanmax(np.abs(x), initial=0.0)) < _LARGEST:
            raise ValueError(
                f"Modality '{modality}' has values beyond {_LARGEST:g}, whose squares overflow. "
                "Rescale it."
            )

    def start(self, chunks: Chunks) -> None:
        moments = self._see(chunks)
        self.register_buffer("shift", moments.mean)
        self.register_buffer("spread", moments.deviation)
        self.register_buffer("low", self._standardise(moments.low) - _BEYOND)
        self.register_buffer("high", self._standardise(moments.high) + _BEYOND)
        self._make_noise(len(moments.mean))

    def _make_noise(self, n_features: int) -> None:
        """Make what is learned of the noise; it starts at variance 1, as if z said nothing."""
        self.rho = nn.Parameter(torch.empty(n_features))
        self.start_noise(torch.ones(n_features))

    @torch.no_grad()
    def start_noise(self, variance: Tensor) -> None:
        """Start at these variances of the noise, (F,), or slightly above the floor."""
        variance = variance.to(self.rho.device, torch.float64)
        scale = (variance / self._unit_variance()).sqrt().clamp(min=_LEAST_START * self.floor)
        self.rho.copy_(self._rho_of(scale))

    def read_linearly(self) -> None:
        self.reach = None

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        self.start_noise(noise)
        self.recentre(mean)
        # the floor may be larger: posteriors must be those of the noise that there is
        return LinearMap(loadings, torch.zeros_like(mean), self.noise_variance().to(noise))

    def recentre(self, mean: Tensor) -> None:
        """Make this standardised value, (F,), the zero of the model's units."""
        self.shift += self.spread * mean.to(self.shift)
        self.low -= mean.to(self.low)
        self.high -= mean.to(self.high)

    def noise_variance(self) -> Tensor:
        """Variance of each feature given z in standardised units, shape (F,)."""
        return self._inner_scale().square() * self._unit_variance()

    def standardise(self, x: Tensor) -> Tensor:
        return self._standardise(x)

    def _standardise(self, x: Tensor) -> Tensor:
        return (x - self.shift) / self.spread

    def encode(self, x: Tensor) -> Tensor:
        if self.reach is None:
            return x.clamp(self.low.to(x.dtype), self.high.to(x.dtype))
        return x.clamp(-self.reach, self.reach)

    def scale(self) -> Tensor:
        """Scale of the noise of each feature in the data's units, shape (F,)."""
        return self._inner_scale() * self.spread

    def _inner_scale(self) -> Tensor:
        return F.softplus(self.rho) + self.floor

    def _rho_of(self, scale: Tensor) -> Tensor:
        """Solve :meth:`_inner_scale` for rho."""
        above = scale - self.floor
        return above + (-torch.expm1(-above)).log()  # of softplus; large scales do not overflow

    def _unit_variance(self) -> Tensor | float:
        """Variance of the noise where its scale is 1."""
        return 1.0

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        scale = self._inner_scale()
        jacobian = self.spread.log().to(raw.dtype)
        constant = -scale.log() - jacobian - 0.5 * math.log(2 * math.pi)
        gap = (x - raw) / scale
        return torch.addcmul(constant, gap, gap, value=-0.5)

    def mean(self, raw: Tensor) -> Tensor:
        return self.shift + self.spread * self._quiet(raw)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        error = noise.normal(event=raw.shape[-1], dtype=raw.dtype)
        return self.mean(raw) + self.scale() * error
