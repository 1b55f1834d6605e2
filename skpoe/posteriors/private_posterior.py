"""Posteriors of latent variables that belong to one modality each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..device import holds
from ..priors import Prior
from ..random import RowNoise
from .base import Family, Params


@dataclass(frozen=True)
class PrivatePosterior:
    """q(w_m | x_m) of every modality, and where it reaches.

    Where a subset reaches modality m of a row, w_m is drawn from its posterior and judged against
    the prior; elsewhere it is drawn from the auxiliary prior, or the prior, and adds nothing to a
    bound.

    Parameters
    ----------
    family : Family
    params : Params
        Leaves (M, N, ...): each modality stands where a subset does in ``SubsetPosterior``.
    reach : bool Tensor of shape (S, N, M)
    prior : Prior
        Of the P variables of each modality.
    auxiliary : sequence of Prior
        One a modality.
    shown : bool Tensor of shape (N, M), default=None
        Where the prior stands in for the auxiliary one; nowhere when None.
    """

    family: Family
    params: Params
    reach: Tensor
    prior: Prior
    auxiliary: tuple[Prior, ...]
    shown: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of private variables of all modalities together, M * P."""
        return self.reach.shape[-1] * self.prior.latent_dim

    def __getitem__(self, subsets: slice) -> PrivatePosterior:
        return replace(self, reach=self.reach[subsets])

    def detach(self) -> PrivatePosterior:
        """Cut the gradient to what the encoders said."""
        return replace(self, params={leaf: value.detach() for leaf, value in self.params.items()})

    def rsample(self, n_draws: int, n_subsets: int, noise: RowNoise, antithetic: bool) -> Tensor:
        """Draw w for each of the S subsets: (K, S, N, M * P)."""

        def draw(params: Params, stream: RowNoise) -> Tensor:
            source = self.family.noise(stream, n_draws * n_subsets, params)  # (K * S, M, N, P)
            if antithetic:
                source = self.family.mirror(source)
            w = self.family.rsample(params, source)
            return w.unflatten(0, (-1, n_subsets)).permute(0, 1, 3, 2, 4)  # (K, S, N, M, P)

        own = draw(self.params, noise.fold("own"))
        if holds(self.reach.all(), otherwise=False):
            return own.flatten(-2)
        other = draw(self._elsewhere(), noise.fold("elsewhere"))
        return torch.where(self.reach[..., None], own, other).flatten(-2)

    def centres(self) -> Tensor:
        """Mean of w for each of the S subsets: (1, S, N, M * P)."""
        own, other = (
            self.family.mean(p).transpose(0, 1) for p in (self.params, self._elsewhere())
        )
        return torch.where(self.reach[..., None], own, other).flatten(-2)[None]

    def _elsewhere(self) -> Params:
        """Give parameters, leaves (M, N, ...), where nothing is inferred."""
        natural = [self.family.at(prior.natural()) for prior in self.auxiliary]
        own, n_rows = self.family.at(self.prior.natural()), self.reach.shape[1]
        params = {}
        for leaf, usual in own.items():
            value = torch.cat([p[leaf] for p in natural]).expand(-1, n_rows, *usual.shape[2:])
            if self.shown is not None:
                where = self.shown.mT[(..., *[None] * (value.ndim - 2))]
                value = torch.where(where, usual, value)
            params[leaf] = value
        return params

    def log_ratio(self, z: Tensor) -> Tensor:
        """Log of prior over posterior density of the private parts that are reached: (K, S, N)."""
        w = self._parts(z)
        ratio = self.prior.log_prob(w) - self.family.log_prob(self.params, w)
        return (ratio * self.reach.mT).sum(2)

    def _parts(self, z: Tensor) -> Tensor:
        """Private parts of z (K, S, N, D + M * P): (K, S, M, N, P)."""
        w = z[..., z.shape[-1] - self.size :].unflatten(-1, (-1, self.prior.latent_dim))
        return w.permute(0, 1, 3, 2, 4)

    def kl(self, beyond: PrivatePosterior | None = None) -> Tensor:
        """KL from the prior, of the private parts that are reached: (S, N).

        With ``beyond``, of those that this other posterior does not reach.
        """
        kl = self.family.prior_kl(self.params, self.prior.natural())  # (M, N)
        reach = self.reach if beyond is None else self.reach & ~beyond.reach
        return (reach * kl.mT).sum(-1)
