"""Poisson draws from uniform numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def poisson_sample(uniform: Tensor, rate: Tensor) -> Tensor:
    """Give the quantiles of Poisson distributions at uniform numbers, by bisection.

    The distribution function at k is the regularised upper incomplete gamma function at
    (k + 1, rate).

    Parameters
    ----------
    uniform : Tensor
        In (2^-24, 1 - 2^-24), as those of :class:`skpoe.random.RowNoise` are.
    rate : Tensor
        Not negative; of the same shape.

    Returns
    -------
    float64 Tensor
        The least whole number whose distribution function is no lower than ``uniform``.

    Examples
    --------
    >>> poisson_sample(torch.tensor([0.3, 0.5, 0.9]), torch.tensor([2.0, 2.0, 2.0]))
    tensor([1., 2., 4.], dtype=torch.float64)
    """
    uniform, rate = uniform.double(), rate.double()
    # Bernstein's inequality: less than 2^-24 lies beyond on either side
    reach = 6.5 * rate.sqrt()
    low = (rate - reach).floor().sub(1.0).clamp(min=-1.0)  # always below the quantile
    high = (rate + reach).floor() + 17.0  # never below it
    n_steps = int((high - low).max().log2().ceil()) + 1 if rate.numel() else 0
    for _ in range(n_steps):  # a bracket of width 1 stays: rows do not feel their company
        middle = ((low + high) / 2).floor()
        above = torch.special.gammaincc(middle.clamp(min=0.0) + 1.0, rate) >= uniform
        above &= middle >= 0.0
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return high
