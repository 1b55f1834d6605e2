"""The aligned objective: a joint ELBO, and subset posteriors that are taught to agree with it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import sample_within
from .base import Objective
from .elbo import ELBO


class AlignedELBO(Objective):
    r"""ELBO of all that is observed, minus the distance of subset posteriors from the joint one.

    .. math:: \mathrm{ELBO}(O) - \tfrac{1}{2} \big[
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_s))
        + \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus s})) \big]

    A subset s is drawn for each row and step, its size uniform between 1 and one less than what
    the row shows; with two modalities s and its complement are always the two single ones. The
    generative model is trained by the joint term alone, as in JMVAE (Suzuki et al., 2016,
    https://arxiv.org/abs/1611.01891, equation 5), but the joint posterior is the product of the
    same experts, so it exists for every pattern of missing modalities.
    """

    @property
    def is_bound(self) -> bool:
        return self.beta >= 1.0

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        if observed.shape[1] == 1:  # one modality has no parts: this is its ELBO
            return ELBO(self.beta, self.n_samples)(model, batch, noise, kl_weight)
        uniform = noise.fold("subsets").uniform(1, event=observed.shape[1] + 1)
        part = sample_within(observed, uniform, lowest=1, below_all=1)
        splits = part.any(-1)  # (1, N): a row that shows one modality has no proper subset
        posterior = model.posterior(batch, torch.cat([observed[None], part, observed & ~part]))
        joint, parts = posterior[0], posterior[1:]
        z = joint.rsample(self.n_samples, noise.fold("latent"))
        fit = model.log_likelihood(z, batch).sum(-1).mean(0)
        apart = joint.family.kl(joint.params, parts.params).mean(0)
        value = fit[0] - self.beta * kl_weight * joint.kl()[0] - apart * splits[0]
        return value
