"""Gamma draws of the numbers of rows, for likelihoods that are made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..distributions.gamma import gamma_sample
from ..random import RowNoise


def draw_gamma(alpha: Tensor, noise: RowNoise) -> Tensor:
    """Draw Gamma(alpha, 1) numbers in float64, alpha being (N, F)."""
    event, dtype = alpha.shape[-1], torch.float64

    def source(number: int) -> tuple[Tensor, Tensor]:
        first, second = (noise.fold(2 * number + part) for part in (0, 1))
        return first.normal(event=event, dtype=dtype), second.uniform(2, event=event, dtype=dtype)

    return gamma_sample(alpha, source)
