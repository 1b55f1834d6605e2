"""What likelihoods of values from 0 to 1 share: encoders read them about their mean."""

from __future__ import annotations

from torch import Tensor

from .base import Chunks, Likelihood


class UnitInterval(Likelihood):
    """Values from 0 to 1; encoders read x minus the observed mean of its column.

    A missing entry (zero) is then neutral. Linear encoders read it in deviations of a coin with
    that mean.
    """

    shift: Tensor
    linear = False

    def start(self, chunks: Chunks) -> None:
        moments = self._see(chunks)
        self.register_buffer("shift", moments.mean)

    def encode(self, x: Tensor) -> Tensor:
        return self.comparable(x) if self.linear else x - self.shift.to(x.dtype)

    def comparable(self, x: Tensor) -> Tensor:
        return (x - self.shift.to(x.dtype)) / self._deviation().to(x.dtype)

    def _deviation(self) -> Tensor:
        variance = self.shift * (1 - self.shift)
        return variance.where(variance > 0, 1.0).sqrt()

    def read_linearly(self) -> None:
        self.linear = True
