"""Levels as cuts through a hidden Gaussian number, to start logistic decoders at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# least and greatest probability that a start may say, and how much of the hidden number z may
# explain
LIKELY = 1e-3, 1 - 1e-3
_MOST = 0.9
# the logistic function of 1.702 t is within .01 of the normal one of t
_LOGISTIC = 1.702


def threshold_model(loadings: Tensor) -> tuple[Tensor, Tensor]:
    """Write P(t > threshold | z), t ~ N(loadings z, what is left of a variance of 1), as logistic.

    Parameters
    ----------
    loadings : Tensor of shape (F, D)
        Scaled down where they explain more than nine tenths of the variance.

    Returns
    -------
    slope : Tensor of shape (F, D)
    scale : Tensor of shape (F,)
        The logit is slope z - scale * threshold.
    """
    explained = loadings.square().sum(1, keepdim=True)
    loadings = loadings * (_MOST / explained.clamp(min=_MOST)).sqrt()
    left = 1 - explained.clamp(max=_MOST)
    scale = _LOGISTIC / left.sqrt()
    return scale * loadings, scale[:, 0]


def normal(x: Tensor) -> Tensor:
    """Give the standard normal density."""
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
