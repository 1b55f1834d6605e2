"""Gamma draws from random numbers that come from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..device import holds

_MAX_ROUNDS = 10


def gamma_sample(alpha: Tensor, source: Callable[[int], tuple[Tensor, Tensor]]) -> Tensor:
    """Turn random numbers into draws of Gamma(alpha, 1), differentiably by alpha.

    Parameters
    ----------
    alpha : float64 Tensor
        Positive; broadcasts with the draws.
    source : callable
        From a round to standard normal numbers, of the shape of the draws, and numbers uniform in
        the open interval (0, 1), of shape ``(2, *draws)``. It is asked until all are accepted;
        each time, at least .95 of what is left is. After ten rounds the last proposal of a draw
        is kept.

    Returns
    -------
    float64 Tensor

    References
    ----------
    A simple method for generating gamma variables (Marsaglia & Tsang, 2000), and its section 6 for
    alpha below 1.

    Examples
    --------
    >>> numbers = torch.Generator().manual_seed(0)
    >>> def source(number):
    ...     return torch.randn(5000, generator=numbers), torch.rand(2, 5000, generator=numbers)
    >>> draws = gamma_sample(torch.tensor(3.0), source)
    >>> abs(draws.mean() - 3.0) < 0.1
    tensor(True)
    """
    alpha = alpha.double()
    with torch.no_grad():
        small = alpha < 1.0
        d = alpha + small.double() - 1.0 / 3.0
        draw, done = torch.zeros_like(d), torch.zeros_like(small)
        boost = torch.ones_like(d)
        for number in range(_MAX_ROUNDS):
            normals, uniforms = (part.double() for part in source(number))
            v = (1.0 + normals / (9.0 * d).sqrt()).pow(3)
            bound = 0.5 * normals.square() + d - d * v + d * v.clamp(min=1e-300).log()
            accepted = (v > 0.0) & (uniforms[0].log() < bound)
            proposal = d * v.clamp(min=1e-300)
            draw, done = torch.where(done, draw, proposal), done | accepted
            if number == 0:
                boost = torch.where(small, uniforms[1].log() / alpha, 0.0).exp()
            if holds(done.all(), otherwise=False):
                break
    return _Path.apply(alpha, (draw * boost).clamp(min=1e-300))


class _Path(torch.autograd.Function):
    """A draw as a function of alpha that keeps its distribution function where it is."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, draw: Tensor) -> Tensor:
        alpha = alpha.expand_as(draw)
        ctx.save_for_backward(alpha, draw)
        return draw.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        alpha, draw = ctx.saved_tensors
        return grad * torch._standard_gamma_grad(alpha, draw), None
