"""The uniform distribution on the unit sphere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

_Size = torch.Size | Sequence[int]


def log_area(dim: int) -> float:
    """Log of the area of the unit sphere of R^dim: the entropy of the uniform distribution on it.

    Parameters
    ----------
    dim : int
        At least 2; 2 is the circle.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        If dim is below 2.

    References
    ----------
    NIST Digital Library of Mathematical Functions, equation 5.19.4.

    Examples
    --------
    >>> round(math.exp(log_area(3)) / math.pi, 6)
    4.0
    """
    if dim < 2:
        raise ValueError(f"dim must be at least 2, the circle; got {dim}.")
    return math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


class UnitSphere(constraints.Constraint):
    """Vectors of length 1, up to rounding.

    Examples
    --------
    >>> UnitSphere().check(torch.tensor([[0.6, 0.8], [1.0, 1.0]]))
    tensor([ True, False])
    """

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        """Tell which vectors, (..., d), have length 1."""
        tolerance = max(1e-5, 8.0 * torch.finfo(value.dtype).eps)
        return (torch.linalg.vector_norm(value.double(), dim=-1) - 1.0).abs() <= tolerance


unit_sphere = UnitSphere()


def check_vectors(name: str, value: Tensor) -> Tensor:
    """Return vectors (..., d); raise a ValueError that names them if d is not at least 2."""
    if value.ndim < 1 or value.shape[-1] < 2:
        raise ValueError(f"{name} must have shape (..., d), d >= 2; got {tuple(value.shape)}.")
    return value


def around_a_mode(loc: Tensor, concentration: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return modes ``(*batch, d)`` and concentrations of the same batch.

    A ValueError that names them is raised if their shapes do not fit.
    """
    check_vectors("loc", loc)
    kappa = torch.as_tensor(concentration, device=loc.device)
    if not isinstance(concentration, Tensor):
        kappa = kappa.to(loc.dtype)
    try:
        batch = torch.broadcast_shapes(loc.shape[:-1], kappa.shape)
    except RuntimeError as error:
        raise ValueError(
            f"concentration has shape {tuple(kappa.shape)}, which does not broadcast with the "
            f"batch {tuple(loc.shape[:-1])} of loc."
        ) from error
    return loc.expand(*batch, loc.shape[-1]), kappa.expand(batch)


def check_dims(q: Distribution, p: Distribution) -> None:
    """Raise a ValueError if two distributions do not live on the same sphere."""
    if q.event_shape != p.event_shape:
        raise ValueError(f"The spheres differ: {q.event_shape[0]} and {p.event_shape[0]} axes.")


class HypersphericalUniform(Distribution):
    """Uniform distribution on the unit sphere of R^dim.

    Parameters
    ----------
    dim : int
        Of the space that the sphere is in, at least 2.
    batch_shape : sequence of int, default=()
    dtype : torch.dtype, optional
        Of samples; the default dtype of torch if not given.
    device : torch.device, optional
        Of samples.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If dim is below 2.

    Examples
    --------
    >>> uniform = HypersphericalUniform(3)
    >>> uniform.log_prob(torch.tensor([0.6, 0.0, 0.8]))
    tensor(-2.5310)
    >>> uniform.sample((7,)).shape
    torch.Size([7, 3])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    support = unit_sphere
    has_rsample = True

    def __init__(
        self,
        dim: int,
        batch_shape: _Size = (),
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._log_area = log_area(dim)
        self.dim = dim
        self._like = torch.zeros((), dtype=dtype or torch.get_default_dtype(), device=device)
        super().__init__(torch.Size(batch_shape), torch.Size((dim,)), validate_args)

    def expand(self, batch_shape: _Size, _instance: Any = None) -> HypersphericalUniform:
        """Return the distribution with another batch shape."""
        like = self._like
        return HypersphericalUniform(
            self.dim,
            batch_shape,
            dtype=like.dtype,
            device=like.device,
            validate_args=self._validate_args,
        )

    @property
    def mean(self) -> Tensor:
        """Mean, zeros of shape ``(*batch_shape, dim)``."""
        return self._like.expand(self._extended_shape())

    def rsample(self, sample_shape: _Size = ()) -> Tensor:
        """Draw, shape ``(*sample_shape, *batch_shape, dim)``."""
        shape = self._extended_shape(torch.Size(sample_shape))
        normals = torch.randn(shape, dtype=self._like.dtype, device=self._like.device).double()
        x = normals / torch.linalg.vector_norm(normals, dim=-1, keepdim=True)
        return x.to(self._like.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats of points (..., dim), relative to the area of the sphere.

        A ValueError is raised for points off the sphere, if arguments are validated.
        """
        if self._validate_args:
            self._validate_sample(value)
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        return torch.full(shape, -self._log_area, dtype=value.dtype, device=value.device)

    def entropy(self) -> Tensor:
        """Entropy in nats, shape batch_shape: the log of the area of the sphere."""
        return torch.full_like(self._like, self._log_area).expand(self.batch_shape)
