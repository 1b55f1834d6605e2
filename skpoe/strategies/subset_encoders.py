"""An encoder for each modality alone, and one for several together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..device import can_ask
from ..nn.networks import Networks, networks_of
from ..posteriors import Family, Params
from ..priors import Natural
from .base import Strategy
from .joint_encoder import JointEncoder, shown_to


class SubsetEncoders(Strategy):
    """Encoders of their own for single modalities; a joint encoder for larger subsets.

    The papers have two modalities, hence three encoders. Here the joint encoder also reads the
    mask, so that it serves every subset of two or more, of any number of modalities.

    Parameters
    ----------
    family : Family
        One whose scale is each row's own.
    joint : nn.Module
        (N, 2 F) -> (N, family.n_outputs(D)).
    encoders : Networks, or sequence of nn.Module
        One a modality, (N, F_m) -> (N, family.n_outputs(D)).

    References
    ----------
    Joint multimodal learning with deep generative models (Suzuki et al., 2016),
    https://arxiv.org/abs/1611.01891, section 3.3; Multimodal generative models for compositional
    representation learning (Wu & Goodman, 2019), https://arxiv.org/abs/1912.05075, section 3.
    """

    def __init__(
        self, family: Family, joint: nn.Module, encoders: Networks | Sequence[nn.Module]
    ) -> None:
        super().__init__()
        self.family = family
        self.joint = JointEncoder(family, joint)
        self.encoders = networks_of(encoders)

    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        size = membership.sum(-1)
        alone = self.encoders.each(batch.inputs)
        raw = torch.einsum("nmo,snm->sno", alone, (membership & (size == 1)[..., None]).to(alone))
        several = size > 1
        if not can_ask(several):
            joint = self.joint.raw(batch, shown_to(batch, membership))
            raw = torch.where(several[..., None], joint, raw)
        elif bool((wanted := several.any(1)).any()):  # what is single needs no joint encoding
            joint = self.joint.raw(batch, shown_to(batch, membership[wanted]))
            together = raw.new_zeros(raw.shape).index_copy(0, wanted.nonzero()[:, 0], joint)
            raw = torch.where(several[..., None], together, raw)
        return self.family.read(raw, size > 0, prior)
