"""Noise that the decoder says."""

from __future__ import annotations

from typing import NoReturn

from torch import Tensor


class DecoderNoise:
    """What replaces the learned noise of :class:`Gaussian` where a decoder emits it."""

    has_own_noise = False
    can_start = False

    def _make_noise(self, n_features: int) -> None:
        """Make nothing: the decoder says all of it."""

    def start_noise(self, variance: Tensor) -> NoReturn:
        raise ValueError("The decoder says this noise, so it has no variance to start at.")

    def _inner_scale(self) -> NoReturn:
        raise ValueError("The decoder says this noise: it has no scale or variance of its own.")
