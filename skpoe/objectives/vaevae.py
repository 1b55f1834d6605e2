"""VAEVAE's objective: the joint posterior is regularised by those of single modalities."""

from __future__ import annotations

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import all_each_and_some
from .base import Objective, over_draws


class VAEVAEObjective(Objective):
    r"""Fit from the joint posterior, its distance from the single ones, and single ELBOs.

    .. math:: \mathbb{E}_{q_O} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \beta \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m)
        + \sum_{m \in O} \big( \mathbb{E}_{q_m} [\log p(x_m \mid z)]
        - \beta \, \mathrm{KL}(q_m \,\|\, p) \big)

    There is no KL of the joint posterior from the prior: the single posteriors stand between. The
    single ELBOs are counted on rows that show several modalities too (the starred variant of the
    authors' code), for without unpaired rows nothing else ties them to the prior. A row that shows
    one modality has its ELBO alone. With three modalities or more, a random subset of intermediate
    size is a further term of each of the two sums, so that posteriors of every pattern are
    trained; papers have two modalities.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.

    References
    ----------
    Multimodal generative models for compositional representation learning (Wu & Goodman, 2019),
    https://arxiv.org/abs/1912.05075, section 3.

    Kutuzova et al. (2021), https://arxiv.org/abs/2101.07240, section 3.
    """

    combines = True

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        membership, scored = all_each_and_some(observed, noise, 1)
        parts = membership[1:]
        posterior = model.posterior(batch, membership)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        fit = (over_draws(self._fit(model, z, batch, scored)) * membership).sum(-1)  # (S, N)
        joint, rest = posterior[0], posterior[1:]
        apart = (joint.kl_to(rest, z[:, :1], shared_only=True) * parts.any(-1)).sum(0)
        # what no part reaches together is paid for once, however many parts there are
        apart = self._times_beta(joint.plus_private_kl(apart[None])[0], kl_weight)
        several = observed.sum(-1) > 1
        own = (fit[1:] - self._cost(rest.kl(z[:, 1:]), kl_weight)) * parts.any(-1)
        return several * (fit[0] - apart) + own.sum(0)
