"""What every objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..slots import slot


class Objective(nn.Module, ABC):
    """A value a row, to be maximised.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of KL(q || prior).
    n_samples : int, default=1
        Draws K from each posterior.
    free_bits : float, default=0.0
        Nats of KL(q || prior) of each row that cost nothing.
    likelihood_weights : sequence of float, default=None
        Factors of log p(x_m | z), one a modality; all one when None.
    """

    # whether the posteriors of several modalities together, or of parts, are asked for, beyond
    # the model's own subsets: a mixture of experts alone cannot give them
    combines = False
    # weight of a term for predictions, which has errors of its own: noise may then move faster
    prediction_weight = 0.0
    likelihood_weights: Tensor | None = slot("buffers")

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.n_samples = n_samples
        self.free_bits = free_bits
        weights = None if likelihood_weights is None else torch.tensor(list(likelihood_weights))
        self.register_buffer("likelihood_weights", weights, persistent=False)

    @property
    def is_bound(self) -> bool:
        """Whether the expected value is at most log p(x_observed)."""
        return False

    @property
    def _is_plain(self) -> bool:
        """Whether neither weights nor free bits move the value above a bound."""
        return self.likelihood_weights is None and not self.free_bits

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

    def _fit(
        self, model: MultimodalVAE, z: Tensor, batch: Batch, scored: Tensor | None = None
    ) -> Tensor:
        """Weighted log p(x_m | z) of every modality: (K, S, N, M)."""
        return self._weigh(model.log_likelihood(z, batch, scored))

    def _weigh(self, terms: Tensor) -> Tensor:
        weights = self.likelihood_weights
        return terms if weights is None else terms * weights.to(terms.dtype)

    def _cost(self, kl: Tensor, kl_weight: float) -> Tensor:
        """Charge a KL from the prior."""
        if self.free_bits:
            kl = (kl - self.free_bits).clamp(min=0.0)
        return self._times_beta(kl, kl_weight)

    def _times_beta(self, value: Tensor, kl_weight: float) -> Tensor:
        weight = self.beta * kl_weight
        return value if isinstance(weight, float) and weight == 1.0 else weight * value


def over_draws(value: Tensor) -> Tensor:
    """Average over the first axis: (K, ...) to (...)."""
    return value.squeeze(0) if len(value) == 1 else value.mean(0)


def where_shown(value: Tensor, batch: Batch) -> Tensor:
    """Give zero for a row that shows nothing."""
    # if one modality is never missing, there is none
    return value if any(batch.complete) else value * batch.observed.any(-1)


def with_gradient_of(surrogate: Tensor, value: Tensor) -> Tensor:
    """Give a value the gradient of something else."""
    return value.detach() + surrogate - surrogate.detach()
