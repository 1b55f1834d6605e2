"""The von Mises-Fisher distribution, exact from the uniform distribution to a point.

Its natural parameter is eta = kappa mu, any vector of R^d: the mode times the concentration. A
product of such densities is another one, at the sum of the etas. Everything here is regular at
eta = 0, the uniform distribution, in value and gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import lazy_property

from ..device import can_ask
from .bessel import Ladder, kl_to_uniform, mean_ratio
from .hyperspherical_uniform import (
    HypersphericalUniform,
    around_a_mode,
    check_dims,
    check_vectors,
    log_area,
    unit_sphere,
)
from .pathwise import NaturalPath, first_accepted, mode_and_concentration

_Size = torch.Size | Sequence[int]

# at most .35 of the proposals are refused: 40 of them all are with a probability below 1e-18
_MAX_ROUNDS = 10
# where it is not asked whether any is left: all 20 are refused with a probability below 1e-9
_UNASKED_ROUNDS = 5
_PROPOSALS = 4
# concentrations that differ by less, relatively, are compared by the curvature
_CLOSE = 1e-5


def vmf_sample(
    eta: Tensor,
    uniform_source: Callable[[int], Tensor],
    normals: Tensor,
    max_rounds: int = _MAX_ROUNDS,
) -> Tensor:
    """Turn random numbers from outside into von Mises-Fisher draws, differentiably by eta.

    Parameters
    ----------
    eta : Tensor of shape (..., d)
        Mode times concentration; broadcasts with normals.
    uniform_source : callable
        Called with 0, 1, ... until all draws are accepted; returns J proposals a draw, uniform in
        the open interval (0, 1), of shape ``(J, 3, *normals.shape[:-1])``.
    normals : Tensor of shape (..., d)
        Standard normal numbers; one vector a draw.
    max_rounds : int, default=10
        After so many calls the last proposal of a draw is kept, accepted or not.

    Returns
    -------
    Tensor of the shape of normals and the dtype of eta
        Points on the sphere.

    Examples
    --------
    >>> eta, numbers = torch.zeros(5, 4), torch.Generator().manual_seed(0)
    >>> normals = torch.randn(9, 5, 4, generator=numbers)
    >>> x = vmf_sample(eta, lambda _: torch.rand(8, 3, 9, 5, generator=numbers), normals)
    >>> torch.linalg.vector_norm(x, dim=-1).allclose(torch.ones(9, 5))
    True
    """
    dim = eta.shape[-1]
    with torch.no_grad():
        kappa = torch.linalg.vector_norm(eta.double(), dim=-1).expand(normals.shape[:-1])
        q, done = first_accepted(kappa, dim, uniform_source(0))
        asks = can_ask(done)
        for number in range(1, max_rounds if asks else min(max_rounds, _UNASKED_ROUNDS)):
            if not asks:
                other, accepted = first_accepted(kappa, dim, uniform_source(number))
                q, done = torch.where(done, q, other), done | accepted
            elif bool(done.all()):
                break
            else:
                left = ~done
                new = first_accepted(kappa[left], dim, uniform_source(number)[:, :, left])
                q[left], done[left] = new
    return NaturalPath.apply(eta, q, normals)


def vmf_log_prob(eta: Tensor, x: Tensor) -> Tensor:
    """Log-density of points on the sphere, relative to its area.

    Parameters
    ----------
    eta : Tensor of shape (..., d)
        Mode times concentration.
    x : Tensor of shape (..., d)
        On the sphere; broadcasts with eta.

    Returns
    -------
    Tensor of shape (...)
        In nats. Differentiable in both; the gradient by x is right along the sphere.

    References
    ----------
    Directional Statistics (Mardia & Jupp, 2000), equation 9.3.4.

    Examples
    --------
    >>> vmf_log_prob(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([0.0, 0.6, 0.8]))
    tensor(-1.2284)
    """
    return _LogProb.apply(eta, x)


def vmf_kl(eta_q: Tensor, eta_p: Tensor) -> Tensor:
    """Divergence KL(q || p) of two von Mises-Fisher distributions.

    Parameters
    ----------
    eta_q, eta_p : Tensor of shape (..., d)
        Modes times concentrations; broadcast with each other. Either may be 0.

    Returns
    -------
    Tensor of shape (...)
        In nats. Differentiable in both, twice and more often.

    References
    ----------
    Directional Statistics (Mardia & Jupp, 2000), equation 9.3.4, integrated.

    Examples
    --------
    >>> vmf_kl(torch.tensor([0.0, 3.0]), torch.tensor([[0.0, 3.0], [0.0, 0.0]]))
    tensor([0.0000, 0.8446])
    """
    return _Divergence.apply(eta_q, eta_p)


class VonMisesFisher(Distribution):
    """Von Mises-Fisher distribution on the unit sphere of R^d.

    Parameters
    ----------
    loc : Tensor of shape ``(*batch, d)``, optional
        Mode, of length 1.
    concentration : Tensor of shape batch or float, optional
        At least 0; 0 is the uniform distribution. Broadcasts with the batch of loc.
    eta : Tensor of shape ``(*batch, d)``, optional
        Mode times concentration, instead of the two.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If not exactly one of (loc, concentration) and eta is given, if shapes do not fit, or if
        a parameter has a value that it must not have.

    Notes
    -----
    Computed in float64 inside; results have the dtype of the parameters. Gradients of samples are
    pathwise and exact: no correction term is missing.

    References
    ----------
    Directional Statistics (Mardia & Jupp, 2000), section 9.3.2.

    Examples
    --------
    >>> vmf = VonMisesFisher(torch.tensor([0.0, 0.6, 0.8]), torch.tensor(5.0))
    >>> vmf.mean
    tensor([0.0000, 0.4801, 0.6401])
    >>> vmf.sample((7,)).shape
    torch.Size([7, 3])
    >>> torch.distributions.kl_divergence(vmf, HypersphericalUniform(3))
    tensor(1.3031)
    """

    arg_constraints = {
        "loc": unit_sphere,
        "concentration": constraints.nonnegative,
        "eta": constraints.real_vector,
    }
    support = unit_sphere
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | None = None,
        concentration: Tensor | float | None = None,
        *,
        eta: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._by_mode = eta is None
        if eta is None:
            if loc is None or concentration is None:
                raise ValueError("Give both loc and concentration, or eta.")
            self.loc, self.concentration = around_a_mode(loc, concentration)
            given = self.loc
        else:
            if loc is not None or concentration is not None:
                raise ValueError("Give either loc and concentration, or eta, not both.")
            self.eta = given = check_vectors("eta", eta)
        super().__init__(given.shape[:-1], given.shape[-1:], validate_args)

    def expand(self, batch_shape: _Size, _instance: Any = None) -> VonMisesFisher:
        """Return the distribution with its parameters expanded to a batch shape."""
        new = self._get_checked_instance(VonMisesFisher, _instance)
        batch = torch.Size(batch_shape)
        new._by_mode = self._by_mode
        if self._by_mode:
            new.loc = self.loc.expand(batch + self.event_shape)
            new.concentration = self.concentration.expand(batch)
        else:
            new.eta = self.eta.expand(batch + self.event_shape)
        super(VonMisesFisher, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @lazy_property
    def loc(self) -> Tensor:
        """Mode, shape ``(*batch, d)``; the first axis where the concentration is 0."""
        return mode_and_concentration(self.eta)[0].to(self.eta.dtype)

    @lazy_property
    def concentration(self) -> Tensor:
        """Concentration, shape batch."""
        return mode_and_concentration(self.eta)[1].to(self.eta.dtype)

    @lazy_property
    def eta(self) -> Tensor:
        """Natural parameter, the mode times the concentration, shape ``(*batch, d)``."""
        return self._natural()[0].to(self._dtype)

    @property
    def mean(self) -> Tensor:
        """Mean, inside of the sphere, shape ``(*batch, d)``."""
        eta, kappa = self._natural()
        return (mean_ratio(kappa, self.event_shape[0])[..., None] * eta).to(self._dtype)

    def rsample(self, sample_shape: _Size = ()) -> Tensor:
        """Draw by torch's random numbers, differentiably; ``(*sample_shape, *batch, d)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        eta, _ = self._natural()

        def uniforms(_: int) -> Tensor:
            numbers = eta.new_empty((_PROPOSALS, 3, *shape[:-1])).uniform_()
            return numbers.clamp_(min=2.0**-54)  # 0 is among torch's uniform numbers

        normals = torch.randn(shape, dtype=self._dtype, device=eta.device)
        return vmf_sample(eta, uniforms, normals).to(self._dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats of points (..., d), relative to the area of the sphere.

        A ValueError is raised for points off the sphere, if arguments are validated.
        """
        if self._validate_args:
            self._validate_sample(value)
        return vmf_log_prob(self._natural()[0], value).to(self._dtype)

    def entropy(self) -> Tensor:
        """Entropy in nats, shape batch; negative for a high concentration."""
        return (log_area(self.event_shape[0]) - self._kl_to_uniform()).to(self._dtype)

    def _kl_to_uniform(self) -> Tensor:
        return kl_to_uniform(self._natural()[1], self.event_shape[0])

    @property
    def _dtype(self) -> torch.dtype:
        if self._by_mode:
            return torch.promote_types(self.loc.dtype, self.concentration.dtype)
        return self.eta.dtype

    def _natural(self) -> tuple[Tensor, Tensor]:
        """Eta and the concentration, in float64; made anew, so each result has its own graph."""
        if not self._by_mode:
            eta = self.eta.double()
            return eta, torch.linalg.vector_norm(eta, dim=-1)
        loc, kappa = self.loc.double(), self.concentration.double()
        loc = loc / torch.linalg.vector_norm(loc, dim=-1, keepdim=True)
        return kappa[..., None] * loc, kappa


@register_kl(VonMisesFisher, VonMisesFisher)
def _kl_two(q: VonMisesFisher, p: VonMisesFisher) -> Tensor:
    check_dims(q, p)
    dtype = torch.promote_types(q._dtype, p._dtype)
    return vmf_kl(q._natural()[0], p._natural()[0]).to(dtype)


@register_kl(VonMisesFisher, HypersphericalUniform)
def _kl_uniform(q: VonMisesFisher, p: HypersphericalUniform) -> Tensor:
    check_dims(q, p)
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q._kl_to_uniform().to(q._dtype).expand(shape)


class _LogProb(torch.autograd.Function):
    """The log-density, by the distance to the mode: x.eta would lose the digits of a high one."""

    @staticmethod
    def forward(ctx: Any, eta: Tensor, x: Tensor) -> Tensor:
        mu, kappa = mode_and_concentration(eta)
        ladder = Ladder(kappa, eta.shape[-1])
        gap = x.double() - mu
        ctx.save_for_backward(eta, x, mu, kappa, ladder.shortfall())
        value = ladder.log_peak() - 0.5 * kappa * gap.square().sum(-1) - log_area(eta.shape[-1])
        return value.to(torch.promote_types(eta.dtype, x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        eta, x, mu, kappa, shortfall = ctx.saved_tensors
        if torch.is_grad_enabled():  # the same, in operations that can be differentiated
            kappa = torch.linalg.vector_norm(eta.double(), dim=-1)[..., None]
            by_eta = x - mean_ratio(kappa, eta.shape[-1]) * eta
            by_x = eta - kappa * x
        else:
            gap = x.double() - mu
            by_eta, by_x = gap + shortfall[..., None] * mu, -kappa[..., None] * gap
        by_eta, by_x = grad[..., None] * by_eta, grad[..., None] * by_x
        return by_eta.sum_to_size(eta.shape).to(eta.dtype), by_x.sum_to_size(x.shape).to(x.dtype)


class _Divergence(torch.autograd.Function):
    """KL(q || p): its gradients are the mean of p less that of q, and cov(q) (eta_q - eta_p)."""

    @staticmethod
    def forward(ctx: Any, eta_q: Tensor, eta_p: Tensor) -> Tensor:
        dim = eta_q.shape[-1]
        mu_q, kappa_q = mode_and_concentration(eta_q)
        mu_p, kappa_p = mode_and_concentration(eta_p)
        q, p = Ladder(kappa_q, dim), Ladder(kappa_p, dim)
        slope, more = q.slope(), kappa_p - kappa_q
        ctx.save_for_backward(eta_q, eta_p, mu_q, q.ratio(), slope, p.ratio())
        across = kappa_p * q.length() * 0.5 * (mu_q - mu_p).square().sum(-1)
        # the same in two ways: the smaller the terms, the smaller what their difference loses
        by_normalizers = p.log_normalizer() - q.log_normalizer() - more * q.length()
        by_peaks = q.log_peak() - p.log_peak() + more * q.shortfall()
        along = torch.where(p.log_normalizer() < p.log_peak(), by_normalizers, by_peaks)
        # and the difference of nearly equal terms is worth less than its leading term
        close = more.abs() <= _CLOSE * kappa_q
        value = across + torch.where(close, 0.5 * slope * more.square(), along)
        return value.to(torch.promote_types(eta_q.dtype, eta_p.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        eta_q, eta_p, mu, ratio_q, slope, ratio_p = ctx.saved_tensors
        q, p = eta_q.double(), eta_p.double()
        gap = q - p
        if torch.is_grad_enabled():  # the same, in operations that can be differentiated
            kappa = torch.linalg.vector_norm(q, dim=-1)
            ratio_q = mean_ratio(kappa, q.shape[-1])[..., None]
            ratio_p = mean_ratio(torch.linalg.vector_norm(p, dim=-1), q.shape[-1])[..., None]
            curvature = Ladder(kappa, q.shape[-1]).curvature()[..., None]
            by_q = ratio_q * gap + curvature * (q * gap).sum(-1, keepdim=True) * q
        else:
            ratio_q, ratio_p, slope = ratio_q[..., None], ratio_p[..., None], slope[..., None]
            along = (gap * mu).sum(-1, keepdim=True) * mu
            by_q = ratio_q * (gap - along) + slope * along
        by_q, by_p = grad[..., None] * by_q, grad[..., None] * (ratio_p * p - ratio_q * q)
        return (
            by_q.sum_to_size(eta_q.shape).to(eta_q.dtype),
            by_p.sum_to_size(eta_p.shape).to(eta_p.dtype),
        )
