"""One encoder a modality, and the product of what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..factor_analysis import FactorAnalysis
from ..nn import LinearPlus
from ..nn.networks import Networks, SeparateNetworks, networks_of
from ..posteriors import Family, Params
from ..priors import Natural
from ..slots import slot
from .base import Strategy


class ProductOfExperts(Strategy):
    r"""Product of Gaussian (or other) experts.

    .. math:: q_s(z \mid x) \propto p(z) \prod_{m \in s} q_m(z \mid x_m)

    With subsets of one modality each, and no prior expert, it is a mixture of experts.

    Parameters
    ----------
    family : Family
    encoders : Networks, or sequence of nn.Module
        One a modality, (N, F_m) -> (N, family.n_outputs(D)).
    shared : sequence of Tensor, default=None
        What ``family.shared`` gave each expert, to be learned.
    prior_expert : bool, default=True
        Whether the prior is one of the experts. Where a subset is empty it always is, so that the
        posterior given nothing is the prior.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, section 2.1.
    """

    tempers = True
    encoders: Networks = slot()
    trust: Tensor

    def __init__(
        self,
        family: Family,
        encoders: Networks | Sequence[nn.Module],
        *,
        shared: Sequence[Tensor] | None = None,
        prior_expert: bool = True,
    ) -> None:
        super().__init__()
        self.family = family
        self.encoders = networks_of(encoders)
        self.shared = None if shared is None else nn.ParameterList(shared)
        self.prior_expert = prior_expert
        self.register_buffer("trust", torch.ones(()))
        self._is_plain = True  # whether trust is one; known without asking the device each step
        self.register_load_state_dict_post_hook(_read_trust)

    @property
    def has_linear_start(self) -> bool:
        return self.family.has_linear_experts and isinstance(self.encoders, SeparateNetworks)

    @torch.no_grad()
    def start_at(self, start: FactorAnalysis, widths: Sequence[int], trust: float = 1.0) -> None:
        self.set_trust(trust)
        encoders = cast("SeparateNetworks", self.encoders).networks
        for m, part in enumerate(start.split(widths)):
            said = self.family.evidence(part.loadings, part.noise, alone=not self.prior_expert)
            cast("LinearPlus", encoders[m]).start(said.weight, said.bias)
            if self.shared is not None and said.shared is not None:
                self.shared[m].copy_(said.shared)

    @torch.no_grad()
    def set_trust(self, trust: float) -> None:
        self.trust.fill_(trust)
        self._is_plain = trust == 1.0

    def trust_in(self, shown: Tensor) -> Tensor | float:
        return 1.0 if self._is_plain else torch.where(shown.all(-1), 1.0, self.trust)

    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        raw = self.encoders.each(batch.inputs)
        shared = None if self.shared is None else list(self.shared)
        experts = self.family.experts(raw, shared, batch.masks)
        if not self.prior_expert:
            experts = self.family.alone(experts, prior)
        powers = membership
        if not self._is_plain:
            trust = cast("Tensor", self.trust_in(membership)).to(raw.dtype)
            powers = trust[..., None] * membership
        if self.prior_expert:
            return self.family.product_with_prior(experts, powers, prior)
        return self.family.product_or_prior(experts, powers, prior, membership.any(-1))


def _read_trust(strategy: ProductOfExperts, _: object) -> None:
    strategy.set_trust(float(strategy.trust))


class ProductWithStandIns(Strategy):
    r"""Product of experts in which each modality also speaks for those that are missing.

    .. math:: q(z \mid x_s) \propto \prod_{m \in s} q_m(z \mid x_m)
        \Big( \prod_{m \in s} q^*_m(z \mid x_m)^{1 / |s|} \Big)^{(M - |s|) / (M - 1)}

    All modalities together are the product of their experts; one alone is its expert times its
    stand-in for the others, as in the paper for two modalities. Subsets in between, which the
    paper does not have, take the geometric mean of the stand-ins, to the power of the share of the
    other modalities that is missing. There is no prior expert.

    Parameters
    ----------
    family : Family
        An exponential one: powers of experts are multiples of natural parameters.
    encoders, stand_ins : Networks, or sequence of nn.Module
        One a modality, (N, F_m) -> (N, family.n_outputs(D)).

    References
    ----------
    Multimodal variational autoencoders for semi-supervised learning: in defense of
    product-of-experts (Kutuzova, Krause, McCloskey, Nielsen & Igel, 2021),
    https://arxiv.org/abs/2101.07240, section 3.
    """

    def __init__(
        self,
        family: Family,
        encoders: Networks | Sequence[nn.Module],
        stand_ins: Networks | Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.family = family
        self.encoders = networks_of(encoders)
        self.stand_ins = networks_of(stand_ins)

    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        raw = torch.cat(
            [self.encoders.each(batch.inputs), self.stand_ins.each(batch.inputs)], dim=1
        )
        n_modalities = membership.shape[-1]
        held = membership.to(raw.dtype)
        size = held.sum(-1, keepdim=True)
        absent = (n_modalities - size) / max(1, n_modalities - 1)
        powers = torch.cat([held, held * absent / size.clamp(min=1)], dim=-1)
        experts = self.family.experts(raw, None)
        return self.family.product_or_prior(experts, powers, prior, membership.any(-1))
