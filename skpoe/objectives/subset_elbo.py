"""MVAE's objective: an ELBO for several subsets of the modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import all_each_and_some, distinct
from .base import Objective, over_draws


class SubsetELBO(Objective):
    r"""Mean of the ELBOs of the full set, of each modality alone, and of sampled subsets.

    .. math:: \mathrm{ELBO}(s) = \mathbb{E}_{q(z \mid x_s)} \Big[ \sum_{m \in s}
        \log p(x_m \mid z) \Big] - \beta \, \mathrm{KL}(q(z \mid x_s) \,\|\, p(z))

    Each subset scores its own modalities; with ``scores="observed"``, all that the row shows, as
    DMVAE has it: private variables are then those of every observed modality. Subsets are met with
    what a row shows; terms that then coincide count once, and there is never an empty one. The
    paper sums the terms; their mean keeps the scale of the gradient free of how many there are.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.
    n_subsets : int, default=0
        How many subsets of intermediate size (more than one modality, fewer than all observed)
        are drawn a row and step: the paper's k.

    scores : {"own", "observed"}, default="own"
        Which modalities the draws of a subset must explain.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, equation 5.

    Private-shared disentangled multimodal VAE for learning of hybrid latent representations (Lee &
    Pavlovic, 2020), https://arxiv.org/abs/2012.13024, section 3.
    """

    combines = True

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
        n_subsets: int = 0,
        scores: str = "own",
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        self.n_subsets = n_subsets
        self.scores = scores

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        n_modalities = observed.shape[1]
        membership, scored = all_each_and_some(
            observed, noise, self.n_subsets, whole=batch.is_whole
        )
        all_observed = self.scores == "observed"
        explained = observed.expand_as(membership) if all_observed else membership
        posterior = model.posterior(batch, membership, reach=explained)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        cost = self._cost(posterior.kl(z), kl_weight)
        # in all rows the same subsets, none twice
        alike = len(membership) == 1 + n_modalities > 2 and batch.is_whole
        if alike and not all_observed:  # a modality is explained from all, and from itself
            draws = torch.stack([z[:, :1].expand_as(z[:, 1:]), z[:, 1:]], dim=2).transpose(0, 1)
            own = self._weigh(over_draws(model.terms(draws, batch)))  # (2, N, M)
            return (own.sum((0, -1)) - cost.sum(0)) / len(membership)
        fit = over_draws(self._fit(model, z, batch, None if all_observed else scored))
        if alike:
            return (fit.sum(-1) - cost).mean(0)
        elbo = (fit * explained).sum(-1) - cost
        counted = distinct(membership)
        return (elbo * counted).sum(0) / counted.sum(0).clamp(min=1)
