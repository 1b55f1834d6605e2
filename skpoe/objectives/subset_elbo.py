"""MVAE's objective: an ELBO for several subsets of the modalities."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import Subsets, distinct, sample_within
from .base import Objective


class SubsetELBO(Objective):
    r"""Mean of the ELBOs of the full set, of each modality alone, and of sampled subsets.

    .. math:: \mathrm{ELBO}(s) = \mathbb{E}_{q(z \mid x_s)} \Big[ \sum_{m \in s}
        \log p(x_m \mid z) \Big] - \beta \, \mathrm{KL}(q(z \mid x_s) \,\|\, p(z))

    Each subset scores its own modalities. Subsets are met with what a row shows; terms that then
    coincide count once, and there is never an empty one. The paper sums the terms; their mean
    keeps the scale of the gradient free of how many there are.

    Parameters
    ----------
    beta : float, default=1.0
    n_samples : int, default=1
    n_subsets : int, default=0
        How many subsets of intermediate size (more than one modality, fewer than all observed)
        are drawn a row and step: the paper's k.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, equation 5.
    """

    def __init__(self, beta: float = 1.0, n_samples: int = 1, n_subsets: int = 0) -> None:
        super().__init__(beta, n_samples)
        self.n_subsets = n_subsets

    @property
    def is_bound(self) -> bool:
        return False

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        n_modalities = batch.observed.shape[1]
        fixed = (Subsets.full(n_modalities) | Subsets.singletons(n_modalities)).members
        fixed = fixed.to(batch.observed.device)
        membership = fixed[:, None] & batch.observed
        scored = fixed
        if self.n_subsets and n_modalities > 2:
            uniform = noise.fold("subsets").uniform(self.n_subsets, event=n_modalities + 1)
            sampled = sample_within(batch.observed, uniform, lowest=2, below_all=1)
            membership = torch.cat([membership, sampled])
            scored = torch.cat([fixed, sampled.any(1)])
        posterior = model.posterior(batch, membership)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        fit = model.log_likelihood(z, batch, scored).mean(0)
        elbo = (fit * membership).sum(-1) - self.beta * kl_weight * posterior.kl()
        counted = distinct(membership)
        return (elbo * counted).sum(0) / counted.sum(0).clamp(min=1)
