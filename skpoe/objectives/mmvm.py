"""MMVM's objective: one autoencoder a modality, and a prior that is the mixture of all."""

from __future__ import annotations

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import all_and_each
from .base import Objective, over_draws


class MMVMObjective(Objective):
    r"""Each modality explains itself; its posterior is drawn to the mixture of all.

    .. math:: \sum_{m \in O} \mathbb{E}_{q_m} [\log p(x_m \mid z)]
        - \beta \, \mathrm{KL}(q_m \,\|\, h), \quad
        h(z \mid x) = \frac{1}{n + 1} \Big( p(z) + \sum_{j \in O} q_j(z \mid x_j) \Big)

    The KL is averaged over draws (public code takes the mean of the pairwise KLs, an upper bound).
    The prior is a component of h, as public code offers, so that the model can be sampled from.
    The model's subsets must be the single modalities, and the empty one last. Private variables,
    where there are any, are drawn to their prior.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`; free bits are those of the whole row.

    References
    ----------
    Unity by diversity: improved representation learning in multimodal VAEs (Sutter et al., 2024),
    https://arxiv.org/abs/2403.05300, equations 4 and 5.
    """

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        mixture = model.posterior(batch)
        n_modalities = batch.observed.shape[1]
        single = mixture[:n_modalities]
        z = single.rsample(self.n_samples, noise.fold("latent"))
        own = all_and_each(n_modalities, z.device)[1:, None]
        fit = self._fit(model, z, batch, all_and_each(n_modalities)[1:]) * own
        kl = over_draws(single.component_log_prob(z) - mixture.mixture_log_prob(z))
        kl = (single.plus_private_kl(kl) * batch.observed.mT).sum(0)
        return (over_draws(fit.sum(-1)) * batch.observed.mT).sum(0) - self._cost(kl, kl_weight)
