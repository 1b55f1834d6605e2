"""What every variational strategy can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..device import holds
from ..factor_analysis import FactorAnalysis
from ..posteriors import Family, Params
from ..priors import Natural


class Strategy(nn.Module, ABC):
    """Turns a batch and a list of subsets into posterior parameters."""

    family: Family
    # whether a subset may hold several modalities
    combines = True

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


def product_or_prior(
    family: Family, experts: Params, powers: Tensor, prior: Natural, empty: Tensor
) -> Params:
    """Multiply the experts in each subset; the prior stands where there are none.

    Parameters
    ----------
    family : Family
    experts : Params
    powers : Tensor of shape (S, N, M)
        As ``family.product`` takes them.
    prior : Natural
    empty : bool Tensor of shape (S, N)
        Where there are none.
    """
    if not holds(empty.any(), otherwise=True):
        return family.product(experts, powers)
    return family.product_with_prior(experts, powers, prior, empty)


def one_of(
    family: Family,
    raw: Tensor,
    shown: Tensor,
    prior: Natural,
    shared: Tensor | None = None,
    masks: Tensor | None = None,
) -> Params:
    """Read posteriors straight off the outputs of an encoder, the prior where nothing is shown.

    Parameters
    ----------
    family : Family
    raw : Tensor of shape (S, N, n_outputs)
    shown : bool Tensor of shape (S, N)
    prior : Natural
    shared : Tensor, default=None
        What ``family.shared`` gave for all features.
    masks : bool Tensor of shape (S, N, F), default=None
        The entries that were read; all when None.

    Returns
    -------
    params : Params
        Leaves (S, N, ...).
    """
    n_subsets = len(raw)
    said = family.experts(  # what a subset has read is an expert of its own
        raw.transpose(0, 1),
        None if shared is None else [shared] * n_subsets,
        None if masks is None else list(masks),
    )
    own = torch.eye(n_subsets, dtype=torch.bool, device=raw.device)[:, None]
    experts = family.alone(said, prior)
    return product_or_prior(family, experts, own & shown[..., None], prior, ~shown)
