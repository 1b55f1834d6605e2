"""What every variational strategy can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..posteriors import Family, Params
from ..priors import Natural


class Strategy(nn.Module, ABC):
    """Turns a batch and a list of subsets into posterior parameters."""

    family: Family
    # whether a subset may hold several modalities
    combines = True

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


def one_of(family: Family, raw: Tensor, shown: Tensor, prior: Natural) -> Params:
    """Read posteriors straight off the outputs of an encoder, the prior where nothing is shown.

    Parameters
    ----------
    family : Family
    raw : Tensor of shape (S, N, n_outputs)
    shown : bool Tensor of shape (S, N)
    prior : Natural

    Returns
    -------
    params : Params
        Leaves (S, N, ...).
    """
    experts = family.append(family.experts(raw.flatten(0, 1)[:, None], None), family.lift(prior))
    which = torch.stack([shown, ~shown], dim=-1).flatten(0, 1)  # one expert a row
    params = family.product(experts, which[None])
    return {leaf: value[0].unflatten(0, raw.shape[:2]) for leaf, value in params.items()}
