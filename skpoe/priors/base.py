"""What every prior can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..posteriors import Params
from ..random import RowNoise


class Prior(nn.Module, ABC):
    """p(z) on a latent space of D dimensions."""

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """D."""

    @abstractmethod
    def natural(self) -> Params:
        """Natural parameters, leaves (D,); an error that says why where there are none."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats of z (..., D), shape (...)."""

    @abstractmethod
    def sample(self, noise: RowNoise) -> Tensor:
        """Draw one z a row of the noise, shape (N, D)."""
