"""What every prior can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..random import RowNoise
from ..shortcuts import WithShortcuts

Natural = dict[str, Tensor]


class Prior(WithShortcuts, nn.Module, ABC):
    """p(z) on a latent space of D dimensions."""

    # which families can say it, as an expert and where nothing is observed: Family.prior_kind
    kind = "gaussian"
    # whether ``natural`` says the prior itself, so that a KL from it may be in closed form; else
    # it is the Gaussian with the same moments, and ``log_prob`` alone says what the prior is
    is_natural = False

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """D."""

    @abstractmethod
    def natural(self) -> Natural:
        """Parameters that families of its kind read, leaves (D,)."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats of z (..., D), shape (...)."""

    @abstractmethod
    def sample(self, noise: RowNoise) -> Tensor:
        """Draw one z a row of the noise, shape (N, D)."""

    def bind(self, strategy: nn.Module) -> None:
        """Learn of the strategy that the prior is used with; most need not know."""
