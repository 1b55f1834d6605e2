"""The Bessel functions behind the von Mises-Fisher distribution, without over- and underflow.

On the unit sphere of R^d, a von Mises-Fisher distribution with the mode mu and the concentration
kappa has the density ``exp(kappa mu.x - log_normalizer(kappa, d))`` relative to the uniform one.
Its mean, entropy and divergences are the smooth functions of kappa in this file. They are computed
directly, never as a difference of logarithms of Bessel functions, so they keep their digits where
those underflow (large d) or cancel (small and large kappa). Nothing divides by kappa.

The work is done in float64 whatever the dtype of kappa; results have the dtype of kappa.

References
----------
NIST Digital Library of Mathematical Functions, equations 10.41.3 and 10.29.1.
Computation of modified Bessel functions and their ratios (Amos, 1974), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from ..device import kept

# from this order on, so many terms of the expansion give 12 digits for every kappa
_LOWEST_ORDER = 20
_N_TERMS = 10


def log_normalizer(kappa: Tensor, dim: int) -> Tensor:
    """Log of the mean of exp(kappa mu.x) over the sphere.

    The log-density relative to the uniform distribution is ``kappa mu.x - log_normalizer``.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        In nats, 0 at 0. The derivative is :func:`mean_resultant_length`.

    References
    ----------
    Directional Statistics (Mardia & Jupp, 2000), equation 9.3.4.

    Examples
    --------
    >>> log_normalizer(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([0.0000e+00, 1.6144e-01, 9.9999e+05])
    """
    return _Known.apply(kappa, dim, Ladder.log_normalizer, Ladder.length, mean_resultant_length)


def log_peak(kappa: Tensor, dim: int) -> Tensor:
    """Log-density at the mode, relative to the uniform distribution: kappa - log_normalizer.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        In nats, 0 at 0. The derivative is :func:`mean_shortfall`.

    Examples
    --------
    >>> log_peak(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([ 0.0000,  0.8386, 14.5087])
    """
    return _Known.apply(kappa, dim, Ladder.log_peak, Ladder.shortfall, mean_shortfall)


def kl_to_uniform(kappa: Tensor, dim: int) -> Tensor:
    """Divergence of the von Mises-Fisher distribution from the uniform one.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        In nats, 0 at 0. The derivative is kappa times :func:`mean_slope`.

    References
    ----------
    Hyperspherical variational auto-encoders (Davidson et al., 2018), equation 4.

    Examples
    --------
    >>> kl_to_uniform(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([ 0.0000,  0.1516, 13.5087])
    """
    return _Known.apply(
        kappa, dim, Ladder.kl, lambda b: b.kappa * b.slope(), lambda k, d: k * mean_slope(k, d)
    )


def mean_resultant_length(kappa: Tensor, dim: int) -> Tensor:
    """Length A of the mean: E[mu.x] = I_{d/2}(kappa) / I_{d/2-1}(kappa).

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        From 0 to 1. The derivative is :func:`mean_slope`.

    References
    ----------
    Directional Statistics (Mardia & Jupp, 2000), section 9.3.2.

    Examples
    --------
    >>> mean_resultant_length(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([0.0000, 0.3130, 1.0000])
    """
    return _Known.apply(kappa, dim, Ladder.length, Ladder.slope, mean_slope)


def mean_shortfall(kappa: Tensor, dim: int) -> Tensor:
    """E[1 - mu.x] = 1 - A, with all its digits where A is near 1.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        From 1 to 0. The derivative is minus :func:`mean_slope`.

    Examples
    --------
    >>> mean_shortfall(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([1.0000e+00, 6.8696e-01, 1.0000e-06])
    """
    return _Known.apply(
        kappa, dim, Ladder.shortfall, lambda b: -b.slope(), lambda k, d: -mean_slope(k, d)
    )


def mean_slope(kappa: Tensor, dim: int) -> Tensor:
    """Variance of mu.x, which is the derivative of :func:`mean_resultant_length`.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        1 / dim at 0. Differentiable.

    Examples
    --------
    >>> mean_slope(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([3.3333e-01, 2.7594e-01, 1.0000e-12])
    """
    return Ladder(kappa, dim).slope().to(kappa.dtype)


def mean_ratio(kappa: Tensor, dim: int) -> Tensor:
    """Return A / kappa: the mean is ``mean_ratio(kappa, d) * eta``, where eta = kappa mu.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Returns
    -------
    Tensor of the shape and dtype of kappa
        1 / dim at 0.

    Examples
    --------
    >>> mean_ratio(torch.tensor([0.0, 1.0, 1e6]), 3)
    tensor([3.3333e-01, 3.1304e-01, 1.0000e-06])
    """
    return _Known.apply(
        kappa,
        dim,
        Ladder.ratio,
        lambda b: b.kappa * b.curvature(),
        lambda k, d: k * Ladder(k, d).curvature(),
    )


class Ladder:
    """All that is known about the Bessel functions of one tensor of kappa, in float64.

    The expansion gives the ratio of Bessel functions at an order w; a recurrence comes down to the
    order d/2 - 1 for what the ratio lacks of (sqrt(kappa^2 + w^2) - w) / kappa, and for the
    logarithmic derivative. The operations are ordinary ones, which autograd can follow.

    Parameters
    ----------
    kappa : Tensor of any shape
        At least 0.
    dim : int
        Of the space that the sphere is in; a ValueError is raised below 2.

    Attributes
    ----------
    kappa : Tensor
        In float64.

    Examples
    --------
    >>> ladder = Ladder(torch.tensor(1.0), 3)
    >>> ladder.length(), ladder.shortfall()
    (tensor(0.3130, dtype=torch.float64), tensor(0.6870, dtype=torch.float64))
    """

    def __init__(self, kappa: Tensor, dim: int) -> None:
        x = kappa.double()
        n_steps, coefficients = _expansion(dim)
        w = 0.5 * dim - 1.0 + n_steps
        s = (x * x + w * w).sqrt()
        by_s2, f_by_x2 = (x * x + w * w).reciprocal(), (s + w).reciprocal()
        p = w / s
        constant, others = _on(x.device, coefficients).split([1, len(coefficients) - 1])
        powers = p[..., None].expand(*p.shape, len(others)).cumprod(-1)
        first, second, self._log_sum = (powers @ others + constant[0]).unbind(-1)

        # f + delta is x times the ratio at the order u, and shrink its logarithmic derivative
        f = x * x * f_by_x2
        delta_by_x2 = -by_s2 * (0.5 + first)
        delta, ratio = x * x * delta_by_x2, f_by_x2 + delta_by_x2
        steep = p * f_by_x2 + (2.0 * p * p - 1.0) * delta_by_x2 + (x * by_s2).square() * second
        steep = steep / ratio
        self._climbs: list[Tensor] = []
        for k in range(n_steps):
            twice = 2.0 * (w - k)
            self._above, self._steep_above = ratio, steep
            y = f + delta
            self._climbs.append(y)
            ratio = (y + twice).reciprocal()
            steep = ratio * (twice - y * steep)
            gap = ratio * (2.0 * k - delta)
            delta = f * gap
        self._delta_by_x = x * f_by_x2 * gap
        self.kappa, self._w, self._s, self._f, self._delta = x, w, s, f, delta
        self._ratio, self._steep = ratio, steep

    @cached_property
    def _logs(self) -> Tensor:
        """Return f less the log-normalizer; kl and log_peak only add to it."""
        w, s, f = self._w, self._s, self._f
        logs = w * torch.log1p(f / (2.0 * w)) + 0.5 * torch.log1p(f / w) + f / s * self._log_sum
        twice = 2.0 * (w - torch.arange(len(self._climbs), dtype=s.dtype, device=s.device))
        climbs = torch.stack(self._climbs, dim=-1) / twice
        return logs - climbs.log1p().sum(-1)

    def log_normalizer(self) -> Tensor:
        """Return :func:`log_normalizer`."""
        return self._f - self._logs

    def log_peak(self) -> Tensor:
        """Return :func:`log_peak`."""
        return self._w * (self._f + self.kappa) / (self._s + self.kappa) + self._logs

    def kl(self) -> Tensor:
        """Return :func:`kl_to_uniform`."""
        return self._delta + self._logs

    def length(self) -> Tensor:
        """Return :func:`mean_resultant_length`."""
        return self.kappa * self._ratio

    def shortfall(self) -> Tensor:
        """Return :func:`mean_shortfall`."""
        x, s, w = self.kappa, self._s, self._w
        return w * (1.0 + x / (s + w)) / (x + s) - self._delta_by_x

    def slope(self) -> Tensor:
        """Return :func:`mean_slope`."""
        return self._ratio * self._steep

    def ratio(self) -> Tensor:
        """Return :func:`mean_ratio`."""
        return self._ratio

    def curvature(self) -> Tensor:
        """Return the derivative of :func:`mean_ratio`, divided by kappa; it is regular at 0.

        The covariance of x is ``ratio I + curvature eta eta'`` with eta = kappa mu.
        """
        return -self._ratio.square() * self._above * (1.0 + self._steep_above)


class _Known(torch.autograd.Function):
    """A function of kappa whose derivative is another one, and never that of its operations."""

    @staticmethod
    def forward(
        ctx: Any,
        kappa: Tensor,
        dim: int,
        value: Callable[[Ladder], Tensor],
        slope: Callable[[Ladder], Tensor],
        derivative: Callable[[Tensor, int], Tensor],
    ) -> Tensor:
        ladder = Ladder(kappa, dim)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(kappa, slope(ladder))
            ctx.dim, ctx.derivative = dim, derivative
        return value(ladder).to(kappa.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        kappa, slope = ctx.saved_tensors
        if torch.is_grad_enabled():  # someone will differentiate this too
            slope = ctx.derivative(kappa, ctx.dim)
        return (grad * slope).to(kappa.dtype), None, None, None, None


@kept
def _on(device: torch.device, coefficients: tuple[tuple[float, ...], ...]) -> Tensor:
    """Send numbers to a device, once."""
    return torch.tensor(coefficients, dtype=torch.float64, device=device)


@lru_cache(maxsize=1)
def _debye_polynomials() -> list[list[Fraction]]:
    """Coefficients of D_1, D_2, ...: log of the sum in DLMF 10.41.3 is sum_n D_n(p) / w^n.

    They obey D_{n+1} = p^2 (1 - p^2) D_n' / 2 + int_0^p u^2 (1 - u^2) sum_j D_j' D_{n-j}' du / 2,
    which is the recurrence DLMF 10.41.9 for the logarithm.
    """
    polynomials = [[Fraction(0), Fraction(1, 8), Fraction(0), Fraction(-5, 24)]]
    for n in range(1, _N_TERMS):
        slopes = [[i * c for i, c in enumerate(polynomial)][1:] for polynomial in polynomials]
        following = [Fraction(0)] * (3 * n + 4)
        for i, c in enumerate(slopes[-1]):
            following[i + 2] += c / 2
            following[i + 4] -= c / 2
        for j in range(n - 1):
            for a, left in enumerate(slopes[j]):
                for b, right in enumerate(slopes[n - 2 - j]):
                    following[a + b + 3] += left * right / (2 * (a + b + 3))
                    following[a + b + 5] -= left * right / (2 * (a + b + 5))
        polynomials.append(following)
    return polynomials


@lru_cache(maxsize=256)
def _expansion(dim: int) -> tuple[int, tuple[tuple[float, float, float], ...]]:
    """How many orders lie above d/2 - 1, and the coefficients of three polynomials in p there.

    With L(p) the sum over D_n(p) / w^n: p L'(p), p (p L'(p))', and (L(1) - L(p)) / (1 - p).
    """
    if dim < 2:
        raise ValueError(f"dim must be at least 2, the circle; got {dim}.")
    lowest = Fraction(dim, 2) - 1
    n_steps = max(1, math.ceil(_LOWEST_ORDER - lowest))
    degree = 3 * _N_TERMS
    total = [Fraction(0)] * (degree + 1)
    for n, polynomial in enumerate(_debye_polynomials(), start=1):
        for m, c in enumerate(polynomial):
            total[m] += c / (lowest + n_steps) ** n
    rest = [sum(total[m + 1 :], Fraction(0)) for m in range(degree + 1)]
    rows = tuple(
        (float(m * total[m]), float(m * m * total[m]), float(rest[m])) for m in range(degree + 1)
    )
    return n_steps, rows
