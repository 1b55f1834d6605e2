"""One encoder that reads all modalities at once, and which entries it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.batch import Batch
from ..device import holds
from ..factor_analysis import FactorAnalysis
from ..nn import LinearPlus
from ..nn.mlp import Linear
from ..posteriors import Family, Params
from ..priors import Natural
from .base import Strategy


def shown_to(batch: Batch, membership: Tensor) -> Tensor:
    """Which entries of all modalities, side by side, each subset may read: bool (S, N, F)."""
    masks = [
        membership[..., m, None] & mask.expand_as(value)
        for m, (value, mask) in enumerate(zip(batch.values, batch.masks, strict=True))
    ]
    return torch.cat(masks, dim=-1)


class JointEncoder(Strategy):
    r"""The posterior of any subset from one network, which reads x and where x is hidden.

    Its evidence counts once, however many modalities a subset holds: the network says the
    posterior, there is no product.

    Parameters
    ----------
    family : Family
    encoder : nn.Module
        (N, 2 F) -> (N, family.n_outputs(D)), where F counts the features of all modalities.
    shared : Tensor, default=None
        What ``family.shared`` gave for F features, to be learned.

    References
    ----------
    MIWAE: deep generative modelling and imputation of incomplete data sets (Mattei & Frellsen,
    2019), https://arxiv.org/abs/1812.02633, section 2.2: zero imputation before the encoder. The
    mask as a second input tells a zero from a hole.
    """

    def __init__(self, family: Family, encoder: nn.Module, shared: Tensor | None = None) -> None:
        super().__init__()
        self.family = family
        self.encoder = encoder
        self.shared = None if shared is None else nn.Parameter(shared)

    @property
    def has_linear_start(self) -> bool:
        return self.family.has_linear_experts

    @torch.no_grad()
    def start_at(self, start: FactorAnalysis, widths: Sequence[int], trust: float = 1.0) -> None:
        said = self.family.evidence(start.loadings, start.noise, alone=True)
        cast("LinearPlus", self.encoder).start(said.weight, said.bias)
        if self.shared is not None and said.shared is not None:
            self.shared.copy_(said.shared)

    def raw(self, batch: Batch, shown: Tensor | None) -> Tensor:
        """Apply the encoder to the entries that each subset may read, bool (S, N, F).

        Where that is None all are read, once for all subsets.
        """
        x = torch.cat(batch.values, dim=-1)
        if shown is None:
            return self._of_complete(x)[None]
        shown = shown.to(x.dtype)
        # which entries are hidden, not which are shown: nothing is added to a complete row
        both = torch.cat([x * shown, 1.0 - shown], dim=-1)
        return self.encoder(both.flatten(0, 1)).unflatten(0, both.shape[:2])

    def _of_complete(self, x: Tensor) -> Tensor:
        """Apply the encoder to rows that show everything: half of what it reads is zero."""
        layers = list(self.encoder) if type(self.encoder) is nn.Sequential else []
        first = layers[0] if layers else self.encoder
        if type(first) is not Linear:  # a user's: what it does when it is called is not known
            return self.encoder(F.pad(x, (0, x.shape[-1])))
        said = F.linear(x, first.weight[:, : x.shape[-1]], first.bias)
        for layer in layers[1:]:
            said = layer(said)
        return said

    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        everything = batch.is_whole and holds(membership.all(), otherwise=False)
        shown = None if everything else shown_to(batch, membership)
        raw = self.raw(batch, shown).expand(membership.shape[0], -1, -1)
        return self.family.read(raw, membership.any(-1), prior, self.shared, shown)
