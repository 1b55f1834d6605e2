"""What every variational strategy can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from ..data.batch import Batch
from ..factor_analysis import FactorAnalysis
from ..posteriors import Family, Params
from ..priors import Natural


class Strategy(nn.Module, ABC):
    """Turns a batch and a list of subsets into posterior parameters."""

    family: Family
    # whether it has a trust: a power of the experts of subsets that lack modalities
    tempers = False

    @property
    def has_linear_start(self) -> bool:
        """Whether it can start at factor analysis."""
        return False

    def start_at(self, start: FactorAnalysis, widths: Sequence[int], trust: float = 1.0) -> None:
        """Start at the posteriors of a factor analysis of modalities of these widths.

        Encoders must be ``nn.LinearPlus``. A strategy with ``has_linear_start`` has this.
        """
        raise NotImplementedError

    def set_trust(self, trust: float) -> None:
        """Set the power of the experts of subsets that lack modalities.

        A strategy that ``tempers`` has this.
        """
        raise NotImplementedError

    def trust_in(self, shown: Tensor) -> Tensor | float:
        """How much what a subset shows is believed: (..., ) of bool (..., M), 1 is as it is."""
        return 1.0

    @abstractmethod
    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        """Encode and combine what each subset holds.

        Parameters
        ----------
        batch : Batch
            Encoded values (N, F_m), zero where missing.
        membership : bool Tensor of shape (S, N, M)
            Modality m of row n is read for subset s only where this is True. An empty subset
            gives the prior.
        prior : Natural
            The prior's parameters, leaves (D,).
        """
