"""Laplace draws from uniform numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def laplace_sample(uniform: Tensor) -> Tensor:
    """Give the quantiles of the standard Laplace distribution, of scale 1, at uniform numbers.

    Examples
    --------
    >>> laplace_sample(torch.tensor([0.25, 0.5, 0.75]))
    tensor([-0.6931, 0.0000, 0.6931])
    """
    centred = uniform - 0.5
    return torch.copysign(centred.abs().mul_(-2.0).log1p_(), centred)
