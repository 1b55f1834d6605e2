"""Latent variables that belong to one modality each: what the others cannot know of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .data.batch import Batch
from .nn.networks import Networks, networks_of
from .posteriors import Family, PrivatePosterior
from .priors import Prior
from .random import RowNoise


class PrivateLatents(nn.Module):
    """P variables w_m for each modality, inferred from it alone and seen by its decoder alone.

    Parameters
    ----------
    family : Family
        One whose scale is each row's own.
    encoders : Networks, or sequence of nn.Module
        One a modality, (N, F_m) -> (N, family.n_outputs(P)).
    prior : Prior
        p(w), the same for each modality.
    auxiliary : sequence of Prior, default=()
        From which w_m is drawn where it is not inferred, one a modality; empty means the prior.
    """

    # a ModuleList, read as what it holds
    auxiliary: Sequence[Prior]

    def __init__(
        self,
        family: Family,
        encoders: Networks | Sequence[nn.Module],
        prior: Prior,
        auxiliary: Sequence[Prior] = (),
    ) -> None:
        super().__init__()
        self.family = family
        self.encoders = networks_of(encoders)
        self.prior = prior
        self.auxiliary = nn.ModuleList(auxiliary)  # type: ignore[assignment]

    def forward(self, batch: Batch, reach: Tensor) -> PrivatePosterior:
        """Infer the variables of every modality; ``reach`` (S, N, M) says where they are used."""
        n_modalities = len(self.encoders)
        experts = self.family.experts(self.encoders.each(batch.inputs), None)
        # each modality is a subset of its own
        alone = torch.eye(n_modalities, dtype=torch.bool, device=reach.device)[:, None]
        params = self.family.product(experts, alone.expand(-1, len(batch), -1))
        elsewhere = tuple(self.auxiliary) or (self.prior,) * n_modalities
        return PrivatePosterior(self.family, params, reach, self.prior, elsewhere)

    def seen_by(self, modality: int, z: Tensor, n_shared: int) -> Tensor:
        """Give what the decoder of a modality sees of z: (..., D + P)."""
        size = self.prior.latent_dim
        if z.shape[-1] == n_shared:
            return torch.cat([z, z.new_zeros(*z.shape[:-1], size)], dim=-1)
        start = n_shared + modality * size
        return torch.cat([z[..., :n_shared], z[..., start : start + size]], dim=-1)

    def sample(self, noise: RowNoise) -> Tensor:
        """Draw w of every modality from the prior: (N, M * P)."""
        streams = (noise.fold("private").fold(m) for m in range(len(self.encoders)))
        return torch.cat([self.prior.sample(stream) for stream in streams], dim=-1)
