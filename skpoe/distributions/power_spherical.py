"""The Power Spherical distribution: near a von Mises-Fisher one, and drawn without rejection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, Gamma, constraints
from torch.distributions.kl import register_kl

from .hyperspherical_uniform import (
    HypersphericalUniform,
    around_a_mode,
    check_dims,
    log_area,
    unit_sphere,
)
from .pathwise import legendre, over, place

_Size = torch.Size | Sequence[int]

# below this share of the dimension, the divergence is integrated rather than subtracted
_FLAT = 0.1
_NODES = 20


class PowerSpherical(Distribution):
    """Density proportional to (1 + loc.x)^concentration on the unit sphere of R^d.

    A product of such densities is no such density, unlike for
    :class:`~skpoe.distributions.VonMisesFisher`.

    Parameters
    ----------
    loc : Tensor of shape ``(*batch, d)``
        Mode, of length 1.
    concentration : Tensor of shape batch or float
        At least 0; 0 is the uniform distribution. Broadcasts with the batch of loc.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If shapes do not fit, or if a parameter has a value that it must not have.

    Notes
    -----
    Computed in float64 inside; results have the dtype of the parameters.

    References
    ----------
    The Power Spherical distribution (De Cao & Aziz, 2020).

    Examples
    --------
    >>> ps = PowerSpherical(torch.tensor([0.0, 0.6, 0.8]), torch.tensor(5.0))
    >>> ps.mean
    tensor([0.0000, 0.4286, 0.5714])
    >>> ps.sample((7,)).shape
    torch.Size([7, 3])
    >>> torch.distributions.kl_divergence(ps, HypersphericalUniform(3))
    tensor(0.9584)
    """

    arg_constraints = {"loc": unit_sphere, "concentration": constraints.nonnegative}
    support = unit_sphere
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        concentration: Tensor | float,
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.concentration = around_a_mode(loc, concentration)
        super().__init__(self.loc.shape[:-1], self.loc.shape[-1:], validate_args)

    def expand(self, batch_shape: _Size, _instance: Any = None) -> PowerSpherical:
        """Return the distribution with its parameters expanded to a batch shape."""
        new = self._get_checked_instance(PowerSpherical, _instance)
        batch = torch.Size(batch_shape)
        new.loc = self.loc.expand(batch + self.event_shape)
        new.concentration = self.concentration.expand(batch)
        super(PowerSpherical, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """Mean, inside of the sphere, shape ``(*batch, d)``."""
        mu, kappa = self._double()
        length = kappa / (kappa + (self.event_shape[0] - 1))
        return (length[..., None] * mu).to(self._dtype)

    def rsample(self, sample_shape: _Size = ()) -> Tensor:
        """Draw by torch's random numbers, differentiably; ``(*sample_shape, *batch, d)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        mu, kappa = self._double()
        half = 0.5 * (self.event_shape[0] - 1)
        one = torch.ones_like(kappa)
        near = Gamma(kappa + half, one, validate_args=False).rsample(shape[: -1 - kappa.ndim])
        far = Gamma(half * one, one, validate_args=False).sample(shape[: -1 - kappa.ndim])
        normals = torch.randn(shape, dtype=self._dtype, device=mu.device)
        return power_spherical_sample(mu, near, far, normals).to(self._dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats of points (..., d), relative to the area of the sphere.

        A ValueError is raised for points off the sphere, if arguments are validated.
        """
        if self._validate_args:
            self._validate_sample(value)
        mu, kappa = self._double()
        fall = 0.5 * (value.double() - mu).square().sum(-1)
        by_peak = kappa * torch.log1p(-0.5 * fall)
        return (by_peak + _log_peak(kappa, self.event_shape[0])).to(self._dtype)

    def entropy(self) -> Tensor:
        """Entropy in nats, shape batch; negative for a high concentration."""
        return (log_area(self.event_shape[0]) - self._kl_to_uniform()).to(self._dtype)

    def _kl_to_uniform(self) -> Tensor:
        return _Divergence.apply(self.concentration.double(), self.event_shape[0])

    @property
    def _dtype(self) -> torch.dtype:
        return torch.promote_types(self.loc.dtype, self.concentration.dtype)

    def _double(self) -> tuple[Tensor, Tensor]:
        """Mode and concentration in float64."""
        loc = self.loc.double()
        loc = loc / torch.linalg.vector_norm(loc, dim=-1, keepdim=True)
        return loc, self.concentration.double()


def power_spherical_sample(mu: Tensor, near: Tensor, far: Tensor, normals: Tensor) -> Tensor:
    """Turn random numbers from outside into Power Spherical draws, differentiably.

    Parameters
    ----------
    mu : float64 Tensor of shape (..., d)
        Modes, of length 1; broadcast with normals.
    near, far : float64 Tensor of shape (...)
        Draws of Gamma((d - 1) / 2 + concentration, 1), through which the gradient by the
        concentration goes, and of Gamma((d - 1) / 2, 1).
    normals : Tensor of shape (..., d)
        Standard normal numbers; one vector a draw.

    Returns
    -------
    float64 Tensor of the shape of normals
        Points on the sphere.

    Examples
    --------
    >>> mu, one = torch.eye(3).double()[0], torch.tensor(1.0).double()
    >>> power_spherical_sample(mu, one, one, torch.tensor([7.0, 0.0, 2.0]))
    tensor([0., 0., 1.], dtype=torch.float64)
    """
    # 1 - mu.x by the two gammas: 1 minus their beta would round to 0 for a high concentration
    return _ModePath.apply(mu, 2.0 * far / (near + far), normals)


@register_kl(PowerSpherical, HypersphericalUniform)
def _kl_uniform(q: PowerSpherical, p: HypersphericalUniform) -> Tensor:
    check_dims(q, p)
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q._kl_to_uniform().to(q._dtype).expand(shape)


class _Divergence(torch.autograd.Function):
    """KL(. || uniform) by the concentration kappa; its derivative is kappa _slope(kappa)."""

    @staticmethod
    def forward(ctx: Any, kappa: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(kappa)
        ctx.dim = dim
        b = 0.5 * (dim - 1)
        down = kappa * (torch.digamma(kappa + b) - torch.digamma(kappa + 2.0 * b))
        direct = log_area(dim) + _log_peak(kappa, dim) + down
        nodes, weights = legendre(_NODES, kappa)
        u = over(nodes, kappa)
        integral = (over(weights * nodes, kappa) * _slope(kappa * u, b)).sum(0)
        return torch.where(kappa < _FLAT * dim, kappa.square() * integral, direct)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (kappa,) = ctx.saved_tensors
        return grad * kappa * _slope(kappa, 0.5 * (ctx.dim - 1)), None


def _log_peak(kappa: Tensor, dim: int) -> Tensor:
    """Log-density at the mode."""
    b = 0.5 * (dim - 1)
    powers = b * math.log(4.0 * math.pi)
    return torch.lgamma(kappa + 2.0 * b) - torch.lgamma(kappa + b) - powers


def _slope(kappa: Tensor, b: float) -> Tensor:
    """Difference of the trigamma function at kappa + b and kappa + 2 b."""
    return torch.polygamma(1, kappa + b) - torch.polygamma(1, kappa + 2.0 * b)


class _ModePath(torch.autograd.Function):
    """Draw around a mode as a function of the mode and of the fall 1 - mu.x.

    The gradient by mu turns the draw with the mode; that by q moves it along the great circle
    through both.
    """

    @staticmethod
    def forward(ctx: Any, mu: Tensor, q: Tensor, normals: Tensor) -> Tensor:
        x, xi = place(mu, q, normals)
        ctx.save_for_backward(mu, q, x, xi)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        mu, q, x, xi = ctx.saved_tensors
        along = (grad * mu).sum(-1)
        by_mu = (1.0 - q)[..., None] * grad - along[..., None] * x
        tangent = (1.0 - q) / (q * (2.0 - q)).sqrt().clamp(min=1e-150)
        by_q = tangent * (grad * xi).sum(-1) - along
        return by_mu.sum_to_size(mu.shape), by_q.sum_to_size(q.shape), None
