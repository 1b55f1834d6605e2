"""A set encoder: each observed entry says something, and the sum of it is encoded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..posteriors import Family, Params
from ..priors import Natural
from .base import Strategy
from .joint_encoder import shown_to


class SetEncoder(Strategy):
    r"""Permutation-invariant encoder over the observed features of all modalities.

    .. math:: c = \sum_{d \in o} h(s_d), \quad h(s) = \mathrm{ReLU}(W s + b)

    with :math:`s_d = x_d \, e_d` for "pointnet_plus" and :math:`s_d = [x_d, e_d]` for "pointnet",
    where e_d is a learned vector that says which feature it is. Of either kind, h(s_d) is
    :math:`\mathrm{ReLU}(a_d x_d + c_d)` with one matrix of slopes and one of offsets, which is how
    it is computed. "pointnet_plus" gets an offset of each feature too, as in the authors' code,
    for an observed zero says something.

    Parameters
    ----------
    family : Family
        One whose scale is each row's own.
    encoder : nn.Module
        (N, n_summary) -> (N, family.n_outputs(D)).
    n_features : int
        Of all modalities together.
    kind : {"pointnet_plus", "pointnet"}, default="pointnet_plus"
    embedding_dim : int, default=20
        Length of e_d.
    n_summary : int, default=20
        Length of c.
    generator : torch.Generator, default=None
        Draws the weights.

    References
    ----------
    EDDI: efficient dynamic discovery of high-value information with partial VAE (Ma et al., 2019),
    https://arxiv.org/abs/1809.11142, section 3.2 and equation 4.
    """

    def __init__(
        self,
        family: Family,
        encoder: nn.Module,
        n_features: int,
        *,
        kind: str = "pointnet_plus",
        embedding_dim: int = 20,
        n_summary: int = 20,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.family = family
        self.encoder = encoder
        self.kind = kind

        def drawn(*shape: int, bound: float) -> nn.Parameter:
            uniform = torch.rand(shape, generator=generator, dtype=torch.float32)
            return nn.Parameter((2 * uniform - 1) * bound)

        self.embedding = drawn(n_features, embedding_dim, bound=1.0)
        self.weight = drawn(embedding_dim, n_summary, bound=embedding_dim**-0.5)
        # of the value itself ("pointnet"), or of each feature's offset
        shape = (n_features, n_summary) if kind == "pointnet_plus" else (1, n_summary)
        self.other = drawn(*shape, bound=embedding_dim**-0.5)
        self.bias = drawn(n_summary, bound=embedding_dim**-0.5)

    def forward(self, batch: Batch, membership: Tensor, prior: Natural) -> Params:
        named = self.embedding @ self.weight  # (F, n_summary)
        slope, offset = (
            (named, self.other) if self.kind == "pointnet_plus" else (self.other, named)
        )
        x = torch.cat(batch.values, dim=-1)
        said = torch.relu(x[..., None] * slope + (offset + self.bias))  # (N, F, n_summary), once
        shown = shown_to(batch, membership)
        summary = torch.einsum("nfh,snf->snh", said, shown.to(said.dtype))
        raw = self.encoder(summary.flatten(0, 1)).unflatten(0, summary.shape[:2])
        return self.family.read(raw, membership.any(-1), prior)
