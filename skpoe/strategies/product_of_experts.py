"""One encoder a modality, and the product of what they say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..posteriors import Family, Params
from .base import Strategy


class ProductOfExperts(Strategy):
    r"""Product of Gaussian (or other exponential-family) experts.

    .. math:: q_s(z \mid x) \propto p(z) \prod_{m \in s} q_m(z \mid x_m)

    Parameters
    ----------
    family : Family
    encoders : sequence of nn.Module
        One a modality, (N, F_m) -> (N, family.n_outputs(D)).
    latent_dim : int
        D.
    prior_expert : bool, default=True
        Whether the prior is one of the experts. Where a subset is empty it always is, so that the
        posterior given nothing is the prior.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, section 2.1.
    """

    def __init__(
        self,
        family: Family,
        encoders: Sequence[nn.Module],
        latent_dim: int,
        *,
        prior_expert: bool = True,
    ) -> None:
        super().__init__()
        self.family = family
        self.encoders = nn.ModuleList(encoders)
        self.prior_expert = prior_expert
        n_shared = family.n_shared(latent_dim)
        # every expert starts by saying as much as the prior does
        start = torch.eye(latent_dim).flatten().expand(len(encoders), -1).clone()
        self.shared = nn.Parameter(start) if n_shared else None

    def encode(self, batch: Batch) -> list[Tensor]:
        return [encoder(x) for encoder, x in zip(self.encoders, batch.values, strict=True)]

    def forward(self, batch: Batch, membership: Tensor, prior: Params) -> Params:
        experts = self.family.experts(torch.stack(self.encode(batch), dim=1), self.shared)
        experts = self.family.append(experts, self.family.lift(prior))
        with_prior = ~membership.any(-1, keepdim=True) | self.prior_expert
        return self.family.product(experts, torch.cat([membership, with_prior], dim=-1))
