"""CRMVAE's objective: each modality is explained by the joint posterior and by its own."""

from __future__ import annotations

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import all_and_each
from .base import Objective, over_draws


class CRMVAEObjective(Objective):
    r"""Fit from the joint and the single posteriors, which stay near to each other.

    .. math:: \frac{1}{2 (n + 1)} \sum_{m \in O} \big( \mathbb{E}_{q_O} [\log p(x_m \mid z)]
        + \mathbb{E}_{q_m} [\log p(x_m \mid z)] \big) - \frac{\beta}{n + 1}
        \Big[ \mathrm{KL}(q_O \,\|\, p) + \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m) \Big]

    where n is how many modalities a row shows (public code keeps the number of all).

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.

    References
    ----------
    Mitigating the limitations of multimodal VAEs with coordination-based approach (2022),
    https://openreview.net/forum?id=Rn8u4MYgeNJ.
    """

    combines = True

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        n_modalities = observed.shape[1]
        membership = all_and_each(n_modalities, observed.device)[:, None] & observed
        posterior = model.posterior(batch, membership)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        terms = self._fit(model, z, batch, all_and_each(n_modalities)) * membership
        fit = over_draws(terms.sum((1, 3)))
        joint, z = posterior[0], z[:, :1]
        apart = (joint.kl_to(posterior[1:], z, shared_only=True) * observed.mT).sum(0)
        regular = self._cost(joint.kl(z)[0], kl_weight) + self._times_beta(apart, kl_weight)
        return (0.5 * fit - regular) * observed.any(-1) / (observed.sum(-1) + 1)
