"""Draws on the sphere, and how they move with the parameters that they were drawn with.

A draw is ``x = (1 - q) mu + sqrt(q (2 - q)) xi``: its fall q = 1 - mu.x below the mode, of which
nothing is ever computed as 1 minus a cosine, and a direction xi, tangential at the mode mu.
For a von Mises-Fisher distribution, the path of a draw as the natural parameter
eta = kappa mu changes keeps the distribution exact, and its speed is bounded, at eta = 0 too.

References
----------
Implicit reparameterization gradients (Figurnov, Mohamed & Mnih, 2018), section 3.
Pathwise derivatives beyond the reparameterization trick (Jankowiak & Obermeyer, 2018).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..device import kept
from .bessel import mean_shortfall

# what lies this many nats below the start of an integrand is left out
_RANGE = 30.0
_RADIAL_NODES = 20
_TANGENTIAL_NODES = 16
# the square of a smaller concentration underflows, and nothing tells it from 0
_SMALLEST = 1e-150


def mode_and_concentration(eta: Tensor) -> tuple[Tensor, Tensor]:
    """Split eta = kappa mu, in float64.

    Parameters
    ----------
    eta : Tensor of shape (..., d)

    Returns
    -------
    mu : Tensor of shape (..., d)
        Of length 1; the first axis where eta is 0, where any would do.
    kappa : Tensor of shape (...)

    Examples
    --------
    >>> mu, kappa = mode_and_concentration(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    >>> mu.tolist(), kappa.tolist()
    ([[0.6, 0.8], [1.0, 0.0]], [5.0, 0.0])
    """
    eta = eta.double()
    kappa = torch.linalg.vector_norm(eta, dim=-1)
    tiny = kappa < _SMALLEST
    first = torch.zeros(eta.shape[-1], dtype=eta.dtype, device=eta.device)
    first[:1].fill_(1.0)  # a number is not sent to a GPU for it
    mu = torch.where(tiny[..., None], first, eta / kappa.clamp(min=_SMALLEST)[..., None])
    return mu, kappa


def radial_field(q: Tensor, kappa: Tensor, dim: int, shortfall: Tensor | None = None) -> Tensor:
    """Speed of atanh(mu.x) as kappa grows and its distribution function stays where it is.

    Parameters
    ----------
    q : float64 Tensor
        1 - mu.x, above 0 and at most 2.
    kappa : float64 Tensor
        Broadcasts with q.
    dim : int
    shortfall : float64 Tensor, optional
        :func:`~skpoe.distributions.bessel.mean_shortfall` of kappa, where it is known already.

    Returns
    -------
    float64 Tensor
        The derivative of mu.x is q (2 - q) times this. It is (1 - A) / (d - 1) for q = 0 and
        (1 + A) / (d - 1) for q = 2, between them for other q, and 1 / (d - 1) for kappa = 0.

    Examples
    --------
    >>> q, kappa = torch.tensor([0.5, 2.0]).double(), torch.tensor([0.0, 3.0]).double()
    >>> radial_field(q, kappa, 5)
    tensor([0.2500, 0.3722], dtype=torch.float64)
    """
    if shortfall is None:
        shortfall = mean_shortfall(kappa, dim)
    # It is an integral over all that is nearer to the mode than q, or over the rest. One has a
    # positive integrand. Seen from the other pole, that of the rest is the first with -kappa.
    near = q <= shortfall
    start = torch.where(near, q, 2.0 - q)
    fall = start * torch.where(near, -kappa, kappa)
    gap = (shortfall - q).abs()
    by_rest = start / torch.where(near, 2.0 - q, q).clamp(min=torch.finfo(q.dtype).tiny)
    # With (1 - u) the root of what is left of the start, and w = 1 - (1 - u)^2, the logarithm of
    # the integrand is a log(1 - w) - fall w + b log(1 + by_rest w).
    a, b = 0.5 * (dim - 2), 0.5 * (dim - 3)
    end = _end(a, fall, max(b, 0.0), by_rest)
    nodes, weights = legendre(_RADIAL_NODES, q)
    size = end / (1.0 + (1.0 - end).sqrt())
    # nodes that crowd at 0: the singularity at w = -1 / by_rest is near
    u = size * over(nodes.square(), size)
    w = u * (2.0 - u)
    log = torch.log1p(by_rest * w).mul_(b).addcmul_(fall, w, value=-1.0)
    if dim > 2:
        log.add_(torch.log1p(-u), alpha=2.0 * a)
    integrand = log.exp_().mul_(torch.addcmul(gap, start, w))
    total = (integrand * over(nodes * weights, size)).sum(0)
    return total * size * (2.0 + 2.0 * by_rest)


def tangential_field(q: Tensor, kappa: Tensor, dim: int) -> Tensor:
    """Speed of a draw across the mode, per shift of eta across the mode.

    Parameters
    ----------
    q : float64 Tensor
        1 - mu.x, from 0 to 2.
    kappa : float64 Tensor
        Broadcasts with q.
    dim : int

    Returns
    -------
    float64 Tensor
        1F1(1; d; -kappa mu.x) / (d - 1): the solution f of t f' + (d - 1 + kappa t) f = 1, for
        t = mu.x, that has no pole at t = 0.

    Examples
    --------
    >>> q, kappa = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.0, 2.0]).double()
    >>> tangential_field(q, kappa, 2)
    tensor([1.0000, 0.6321], dtype=torch.float64)
    """
    # No draw is so far behind; the exponential must not overflow all the same.
    fall = (kappa * (1.0 - q)).clamp(min=-600.0)
    slope = fall + (dim - 2)
    root = (slope.square() + 2.0 * _RANGE * (dim - 2)).sqrt()
    size = 2.0 * _RANGE / (slope + root).clamp(min=2.0 * _RANGE)
    nodes, weights = legendre(_TANGENTIAL_NODES, q)
    u = size * over(nodes, size)
    log = torch.log1p(-u).mul_(float(dim - 2)).addcmul_(fall, u, value=-1.0)
    return (log.exp_() * over(weights, size)).sum(0) * size


def first_accepted(kappa: Tensor, dim: int, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Turn J proposals a draw into 1 - mu.x of a von Mises-Fisher draw: a pure function.

    Parameters
    ----------
    kappa : Tensor of shape (...)
        Concentrations; broadcasts with the axes of the draws.
    dim : int
        Of the space that the sphere is in, at least 2.
    uniforms : Tensor of shape (J, 3, ...)
        In the open interval (0, 1). In three dimensions the first number decides alone.

    Returns
    -------
    q : float64 Tensor of shape (...)
        Of the first proposal that is accepted; of the last one if none is.
    accepted : bool Tensor of shape (...)
        Whether one is. At least .65 of the proposals are, for every kappa and dim.

    Raises
    ------
    ValueError
        If dim is below 2, or uniforms lack the axes J and 3.

    References
    ----------
    Simulation of the von Mises Fisher distribution (Wood, 1994), algorithm VM*.
    Computer generation of distributions on the m-sphere (Ulrich, 1984), for the symmetric beta.

    Examples
    --------
    >>> u = torch.tensor([[0.5, 0.25, 0.5], [0.5, 0.5, 0.5]])
    >>> first_accepted(torch.tensor(2.0), 5, u)
    (tensor(0.5858, dtype=torch.float64), tensor(True))
    """
    if uniforms.ndim < 2 or uniforms.shape[0] < 1 or uniforms.shape[1] != 3:
        raise ValueError(f"uniforms must have shape (J, 3, ...); got {tuple(uniforms.shape)}.")
    if dim < 2:
        raise ValueError(f"dim must be at least 2, the circle; got {dim}.")
    kappa, uniforms = kappa.double(), uniforms.double()
    if dim == 3:
        q = _fall_in_three(kappa, uniforms[0, 0])
        return q, torch.ones_like(q, dtype=torch.bool)
    left, right = _symmetric_beta(dim, uniforms[:, 0], uniforms[:, 1])
    b = (dim - 1) / (2.0 * kappa + (4.0 * kappa.square() + (dim - 1) ** 2).sqrt())
    spread = right + b * left
    q = 2.0 * b * left / spread
    c = (0.5 - 0.5 * b) * (left - right) / spread
    accepted = (dim - 1) * (torch.log1p(c) - c) >= uniforms[:, 2].log()
    first = q[-1]
    for j in reversed(range(len(q) - 1)):
        first = torch.where(accepted[j], q[j], first)
    return first, accepted.any(0)


def place(mu: Tensor, q: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
    """Go from the mode as far as q says, in a direction that normal numbers choose.

    Parameters
    ----------
    mu : float64 Tensor of shape (..., d)
        Of length 1.
    q : float64 Tensor of shape (...)
        1 - mu.x, from 0 to 2.
    normals : Tensor of shape (..., d)
        Standard normal numbers; any of the axes in front may broadcast.

    Returns
    -------
    x : float64 Tensor of shape (..., d)
        On the sphere.
    xi : float64 Tensor of shape (..., d)
        The direction: on the sphere and orthogonal to mu.

    Examples
    --------
    >>> mu, z = torch.eye(3).double()[0], torch.tensor([7.0, 0.0, 2.0])
    >>> place(mu, torch.tensor(1.0).double(), z)[0]
    tensor([0., 0., 1.], dtype=torch.float64)
    """
    xi = normals.double()
    for _ in range(2):  # the second time for what rounding left, where normals are close to mu
        xi = xi - (xi * mu).sum(-1, keepdim=True) * mu
    xi = xi / torch.linalg.vector_norm(xi, dim=-1, keepdim=True).clamp(min=_SMALLEST)
    return (1.0 - q)[..., None] * mu + (q * (2.0 - q)).sqrt()[..., None] * xi, xi


class NaturalPath(torch.autograd.Function):
    """Draw from a von Mises-Fisher distribution as a function of eta, given how it fell.

    ``NaturalPath.apply(eta, q, normals)`` is x of :func:`place`, (..., d), in the dtype of eta;
    eta may broadcast. Its gradient holds for q that was drawn with the concentration of eta, and
    is that of eta only: with g the gradient by x, and Pg = g - (g.x) x,
    ``f (Pg - (mu.Pg) mu) + h (mu.Pg) mu``, for f of :func:`tangential_field` and h of
    :func:`radial_field`. Both are 1 / (d - 1) at eta = 0, where mu does not matter.

    Examples
    --------
    >>> eta = torch.zeros(3, requires_grad=True)
    >>> x = NaturalPath.apply(eta, torch.tensor(1.0).double(), torch.tensor([7.0, 0.0, 2.0]))
    >>> x[0].backward()
    >>> eta.grad
    tensor([0.5000, 0.0000, 0.0000])
    """

    @staticmethod
    def forward(ctx: Any, eta: Tensor, q: Tensor, normals: Tensor) -> Tensor:
        """Return x."""
        mu, kappa = mode_and_concentration(eta)
        x, _ = place(mu, q, normals)
        ctx.save_for_backward(eta, mu, kappa, q, x)
        return x.to(eta.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient by eta."""
        eta, mu, kappa, q, x = ctx.saved_tensors
        f = tangential_field(q, kappa, eta.shape[-1])[..., None]
        h = radial_field(q, kappa, eta.shape[-1])[..., None]
        grad = grad.double()
        grad = torch.addcmul(grad, torch.linalg.vecdot(grad, x)[..., None], x, value=-1.0)
        along = torch.linalg.vecdot(grad, mu)[..., None]
        by_eta = torch.addcmul(f * grad, (h - f) * along, mu)
        return by_eta.sum_to_size(eta.shape).to(eta.dtype), None, None


def _fall_in_three(kappa: Tensor, uniform: Tensor) -> Tensor:
    """Invert the distribution function of 1 - mu.x in three dimensions.

    References
    ----------
    Numerically stable sampling of the von Mises Fisher distribution on S2 (Jakob, 2012).
    """
    flat = kappa == 0.0
    safe = torch.where(flat, 1.0, kappa)
    q = -torch.log1p(uniform * torch.expm1(-2.0 * safe)) / safe
    return torch.where(flat, 2.0 * uniform, q).clamp(max=2.0)


def _symmetric_beta(dim: int, radius: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Turn two uniform numbers into B and 1 - B, both with all their digits.

    B has the distribution Beta(a, a) with a = (dim - 1) / 2. It is (1 + r cos(2 pi angle)) / 2
    for r^2 = 1 - radius^(2 / (2 a - 1)), and r = 1 for dim = 2.

    References
    ----------
    Non-Uniform Random Variate Generation (Devroye, 1986), section IX.4.3.
    """
    half = math.pi * angle
    low, high = half.cos().square(), half.sin().square()
    if dim == 2:
        return low, high
    log = radius.log() * (2.0 / (dim - 2))
    r = (-torch.expm1(log)).sqrt()
    short = 0.5 * log.exp() / (1.0 + r)  # half of 1 - r
    return short + r * low, short + r * high


def _end(a: float, fall: Tensor, b: float, by_rest: Tensor) -> Tensor:
    """Where in (0, 1] ``-a log(1 - w) + fall w - b log(1 + by_rest w)`` reaches the range."""
    slope = a + fall - b * by_rest
    curve = a + b * by_rest.square()
    root = (slope.square() + 2.0 * _RANGE * curve).sqrt()
    w = 2.0 * _RANGE / (slope + root).clamp(min=_RANGE)
    w = w.clamp(max=0.99)
    drop = fall * w - a * torch.log1p(-w) - b * torch.log1p(by_rest * w)
    slope = fall + a / (1.0 - w) - b * by_rest / (1.0 + by_rest * w)
    # one step of Newton: the function is convex, so what follows is not short
    return (w + (_RANGE - drop) / slope.clamp(min=_SMALLEST)).clamp(max=1.0)


@lru_cache(maxsize=8)
def _gauss(n: int) -> tuple[list[float], list[float]]:
    """Nodes and weights of Gauss and Legendre on (0, 1), from the matrix of Golub and Welsch."""
    k = torch.arange(1, n, dtype=torch.float64)
    off = k / (4.0 * k * k - 1.0).sqrt()
    nodes, vectors = torch.linalg.eigh(off.diag(1) + off.diag(-1))
    return (0.5 + 0.5 * nodes).tolist(), vectors[0].square().tolist()


def legendre(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return n nodes and n weights on (0, 1), with the dtype and on the device of a tensor."""
    return _nodes_on(n, like.device, like.dtype)


@kept
def _nodes_on(n: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    nodes, weights = (torch.tensor(part, dtype=dtype, device=device) for part in _gauss(n))
    return nodes, weights


def over(values: Tensor, like: Tensor) -> Tensor:
    """Put values (n,) on an axis in front of all axes of a tensor."""
    return values.view(-1, *[1] * like.ndim)
