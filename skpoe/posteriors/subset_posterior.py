"""The posterior of a batch under a list of subsets: a value that a model makes and forgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..priors import Prior
from ..random import RowNoise
from ..subsets import equal_log_weights
from .base import Family, Params
from .private_posterior import PrivatePosterior


@dataclass(frozen=True)
class SubsetPosterior:
    """S posteriors a row, and the mixture of them.

    z is (K, S, N, D); with private latent variables, those of each modality stand behind the
    shared ones: (K, S, N, D + M * P).

    Parameters
    ----------
    family : Family
    params : Params
        Leaves with leading axes (S or 1, N or 1).
    log_weights : Tensor of shape (S, N)
        Log mixture weights; -inf where a subset holds nothing of the row.
    prior : Prior
    private : PrivatePosterior, default=None
    """

    family: Family
    params: Params
    log_weights: Tensor
    prior: Prior
    private: PrivatePosterior | None = None

    def __getitem__(self, s: int | slice) -> SubsetPosterior:
        """Keep some of the subsets, S axis included."""
        part = slice(s, s + 1 or None) if isinstance(s, int) else s
        params = {leaf: v if len(v) == 1 else v[part] for leaf, v in self.params.items()}
        private = None if self.private is None else self.private[part]
        return SubsetPosterior(self.family, params, self.log_weights[part], self.prior, private)

    def detach(self) -> SubsetPosterior:
        """Cut the gradient to what the encoders said; that to the prior stays."""
        params = {leaf: value.detach() for leaf, value in self.params.items()}
        private = None if self.private is None else self.private.detach()
        return replace(self, params=params, private=private)

    def thin(self, n_subsets: int, noise: RowNoise) -> SubsetPosterior:
        """Keep so many components of each row, drawn by their weights, with equal weights.

        A large mixture is judged by all its components at every draw; a sample of them, drawn
        before z is, serves importance weighting as well.
        """
        if len(self.log_weights) <= n_subsets:
            return self
        n_all = len(self.log_weights)
        uniform = noise.fold("components").uniform(
            n_subsets, event=1, dtype=self.log_weights.dtype
        )[..., 0]
        if n_subsets > 1:
            # one number in each of n equal parts of the unit interval: components have their share
            step = torch.arange(n_subsets, device=uniform.device)[:, None]
            uniform = (step + uniform) / n_subsets
        if self.log_weights.stride() == (0, 0):  # one number stands for all
            index = (uniform * n_all).long().clamp(max=n_all - 1)
        else:
            *ends, total = self.log_weights.exp().cumsum(0).split([n_all - 1, 1])
            index = (uniform * total > ends[0][:, None]).sum(0)  # how many components end before

        def keep(leaf: Tensor) -> Tensor:
            if len(leaf) == 1:
                return leaf
            # a gather, for the gradient of an index adds up number by number
            return leaf.gather(
                0, index[(..., *[None] * (leaf.ndim - 2))].expand(-1, -1, *leaf.shape[2:])
            )

        params = {name: keep(leaf) for name, leaf in self.params.items()}
        equal = equal_log_weights(uniform[..., None], uniform.dtype)
        private = self.private
        if private is not None:
            private = replace(private, reach=keep(private.reach))
        return SubsetPosterior(self.family, params, equal, self.prior, private)

    def rsample(self, n_draws: int, noise: RowNoise, antithetic: bool = False) -> Tensor:
        """Draw from each of the S posteriors, differentiably: (K, S, N, D).

        With ``antithetic``, draw k + K / 2 mirrors draw k (K is rounded up to an even number), so
        that the average over draws of a linear function is exact; where a family cannot mirror
        its noise, draws are independent.
        """
        antithetic = antithetic and self.family.mirrors
        half = -(-n_draws // 2) if antithetic else n_draws
        source = self.family.noise(noise, half, self.params)
        if antithetic:
            source = self.family.mirror(source)
        z = self.family.rsample(self.params, source)
        if self.private is None:
            return z
        own = self.private.rsample(half, len(self.log_weights), noise.fold("private"), antithetic)
        return torch.cat([z, own], dim=-1)

    def rsample_and_ratio(self, n_draws: int, noise: RowNoise) -> tuple[Tensor, Tensor]:
        """Draw as :meth:`rsample` does, and give the :meth:`log_ratio` of the draws."""
        density = None
        if self.private is None and len(self.log_weights) == 1:
            source = self.family.noise(noise, n_draws, self.params)
            density = self.family.log_prob_of(self.params, source)
        if density is None:
            z = self.rsample(n_draws, noise)
            return z, self.log_ratio(z)
        z = self.family.rsample(self.params, source)
        return z, self.prior.log_prob(z) - density

    def centres(self) -> Tensor:
        """Mean of z under each of the S posteriors, where z lives: (1, S, N, D)."""
        means = self.family.place(self.family.mean(self.params))
        means = means.expand(*self.log_weights.shape, -1)[None]
        return means if self.private is None else torch.cat([means, self.private.centres()], -1)

    def shared(self, z: Tensor) -> Tensor:
        """Cut z to its shared part."""
        return z if self.private is None else z[..., : z.shape[-1] - self.private.size]

    def inferred(self, z: Tensor) -> Tensor:
        """Mark what of z was drawn from what encoders said: bool, broadcasts with z."""
        everything = torch.ones_like(z[:1, :1, :1], dtype=torch.bool)
        if self.private is None:
            return everything
        shared = everything[..., : z.shape[-1] - self.private.size]
        reach = self.private.reach.repeat_interleave(self.private.prior.latent_dim, dim=-1)[None]
        return torch.cat([shared.expand(1, *reach.shape[1:3], -1), reach], dim=-1)

    def component_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of each draw under the posterior it was drawn from: (K, S, N) nats.

        Of the shared part of z; so is ``mixture_log_prob``.
        """
        return self.family.log_prob(self.params, self.shared(z))

    def mixture_log_prob(self, z: Tensor) -> Tensor:
        """Log-density of each draw under the whole mixture: (K, S, N) nats."""
        n_subsets = len(self.log_weights)
        if n_subsets == 1:
            return self.component_log_prob(z)
        # draws of all subsets become K * S draws, judged by every component in turn
        shared = self.shared(z)
        draws = shared.flatten(0, 1)[:, None].expand(-1, n_subsets, -1, -1)
        joint = self.family.log_prob(self.params, draws) + self.log_weights
        return joint.logsumexp(1).view(shared.shape[:-1])

    def log_ratio(self, z: Tensor, of_component: bool = False) -> Tensor:
        """Log of prior density over posterior density of each draw: (K, S, N).

        The posterior of the shared part is the whole mixture, or the component that was drawn
        from; private parts are drawn, and judged, modality by modality.
        """
        log_prob = self.component_log_prob if of_component else self.mixture_log_prob
        ratio = self.prior.log_prob(self.shared(z)) - log_prob(z)
        return ratio if self.private is None else ratio + self.private.log_ratio(z)

    @property
    def has_kl(self) -> bool:
        """Whether :meth:`kl` is in closed form."""
        return self.family.has_prior_kl and self.prior.is_natural

    def kl(self, z: Tensor) -> Tensor:
        """KL(q_s || prior) of each subset: (S, N) nats.

        In closed form where there is one, else averaged over the draws z.
        """
        if self.has_kl:
            value = self.family.prior_kl(self.params, self.prior.natural())
        else:
            value = (self.component_log_prob(z) - self.prior.log_prob(self.shared(z))).mean(0)
        return self.plus_private_kl(value)

    def plus_private_kl(self, kl: Tensor, beyond: SubsetPosterior | None = None) -> Tensor:
        """Add the KL from the prior of the private variables that are reached, if there are any.

        With ``beyond``, of those that this other posterior does not reach.
        """
        if self.private is None:
            return kl
        return kl + self.private.kl(None if beyond is None else beyond.private)

    def kl_to(self, other: SubsetPosterior, z: Tensor, *, shared_only: bool = False) -> Tensor:
        """KL of each of the posteriors from those of another: (S, N) nats.

        Either may have S = 1. In closed form where there is one, else averaged over z. Private
        variables that the other does not reach have their prior there; it may reach none that
        this one does not. With ``shared_only`` they are not compared.
        """
        if self.family.has_kl:
            value = self.family.kl(self.params, other.params)
        else:
            theirs = self.family.log_prob(other.params, self.shared(z))
            value = (self.component_log_prob(z) - theirs).mean(0)
        return value if shared_only else self.plus_private_kl(value, beyond=other)

    def divergence_from(
        self, other: SubsetPosterior | None, noise: RowNoise, n_draws: int = 1
    ) -> Tensor:
        """KL of the mixture of shared posteriors from another, or from the prior: (N,) nats.

        In closed form where there is one; else the log-ratio averaged over draws, which has that
        mean. With one draw, it is for averages over many rows.
        """
        if len(self.log_weights) == 1:
            if other is None and self.has_kl:
                return self.family.prior_kl(self.params, self.prior.natural())[0]
            if other is not None and len(other.log_weights) == 1 and self.family.has_kl:
                return self.family.kl(self.params, other.params)[0]
        drawn = self.thin(n_draws, noise.fold("one"))
        n_each = -(-n_draws // len(drawn.log_weights))
        z = drawn.rsample(n_each, noise.fold("divergence"))
        if other is None:
            theirs = self.prior.log_prob(self.shared(z))
        else:
            theirs = other.mixture_log_prob(z)
        return drawn.average((self.mixture_log_prob(z) - theirs).mean(0))

    def average(self, value: Tensor) -> Tensor:
        """Average over subsets by their weights: (..., S, N) -> (..., N)."""
        if len(self.log_weights) == 1:
            return value.squeeze(-2)
        return (self.log_weights.exp() * value).sum(-2)

    def mean(self) -> Tensor:
        """Mean of the mixture's shared part, where z lives: (N, D)."""
        weights = self.log_weights.exp()[..., None]
        means = self.family.mean(self.params)
        return self.family.place((weights * means).sum(0))
