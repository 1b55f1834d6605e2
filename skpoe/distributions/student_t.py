"""The Student-t density, and numbers from uniform ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def student_t_log_constant(df: Tensor) -> Tensor:
    """Log-density of a standard Student-t number at zero, in nats."""
    return torch.lgamma(0.5 * (df + 1)) - torch.lgamma(0.5 * df) - 0.5 * (math.pi * df).log()


def student_t_log_density(square: Tensor, df: Tensor) -> Tensor:
    """Log-density of a standard Student-t number, in nats, given its square."""
    return student_t_log_constant(df) - 0.5 * (df + 1) * torch.log1p(square / df)


def student_t_sample(radial: Tensor, angular: Tensor, df: Tensor | float) -> Tensor:
    """Make a standard Student-t number of two uniform numbers on (0, 1); it rises in the second.

    A bivariate t has a radius of known quantiles and a uniform angle; this is one coordinate.

    References
    ----------
    Polar generation of random variates with the t-distribution (Bailey, 1994), Mathematics of
    Computation 62.
    """
    radius = (df * torch.expm1(-2.0 / df * radial.log())).sqrt()
    return -radius * torch.cos(math.pi * angular)
