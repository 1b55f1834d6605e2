"""What every objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise


class Objective(nn.Module, ABC):
    """A value a row, to be maximised.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of KL(q || prior).
    n_samples : int, default=1
        Draws K from each posterior.
    """

    def __init__(self, beta: float = 1.0, n_samples: int = 1) -> None:
        super().__init__()
        self.beta = beta
        self.n_samples = n_samples

    @property
    @abstractmethod
    def is_bound(self) -> bool:
        """Whether the expected value is at most log p(x_observed)."""

    @abstractmethod
    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        """Return the objective in nats, shape (N,); zero for a row that shows nothing.

        Parameters
        ----------
        model : MultimodalVAE
        batch : Batch
            Standardised values.
        noise : RowNoise
            One stream a row of the batch.
        kl_weight : float, default=1.0
            Multiplies beta: training warms it up from 0 to 1.
        """
