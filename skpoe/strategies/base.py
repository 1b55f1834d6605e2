"""What every variational strategy can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from ..data.batch import Batch
from ..posteriors import Family, Params


class Strategy(nn.Module, ABC):
    """Turns a batch and a list of subsets into posterior parameters."""

    family: Family

    @abstractmethod
    def encode(self, batch: Batch) -> list[Tensor]:
        """Apply each encoder, once: (N, outputs) for each."""

    @abstractmethod
    def forward(self, batch: Batch, membership: Tensor, prior: Params) -> Params:
        """Encode and combine what each subset holds.

        Parameters
        ----------
        batch : Batch
            Encoded values (N, F_m), zero where missing.
        membership : bool Tensor of shape (S, N, M)
            Modality m of row n is read for subset s only where this is True. An empty subset
            gives the prior.
        prior : Params
            The prior's natural parameters, leaves (D,).
        """
