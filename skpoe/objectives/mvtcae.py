"""MVTCAE's objective: a lower bound of total correlation."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import all_and_each
from .base import Objective, over_draws, where_shown


class MVTCAEObjective(Objective):
    r"""Fit from the joint posterior, near to every single one and to the prior.

    .. math:: \frac{n - \alpha}{n} \, \mathbb{E}_{q_O} \Big[ \sum_{m \in O} \log p(x_m \mid z)
        \Big] - \beta \Big[ \frac{\alpha}{n} \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m)
        + (1 - \alpha) \, \mathrm{KL}(q_O \,\|\, p) \Big]

    where n is how many modalities a row shows (public code keeps the number of all).

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.
    alpha : float, default=5/6
        From 0 (the ELBO of all) to 1 (single posteriors alone regularise).

    References
    ----------
    Multi-view representation learning via total correlation objective (Hwang, Kim, Hong & Kim,
    2021), https://proceedings.neurips.cc/paper/2021/hash/65a99bb7a3115fdede20da98b08a370f-Abstract.html,
    equation 9.
    """

    combines = True

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
        alpha: float = 5 / 6,
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        self.alpha = alpha

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        membership = all_and_each(observed.shape[1], observed.device)[:, None] & observed
        posterior = model.posterior(batch, membership)
        joint, single = posterior[0], posterior[1:]
        z = joint.rsample(self.n_samples, noise.fold("latent"))
        fit = over_draws(self._fit(model, z, batch).sum(-1))[0]
        n = observed.sum(-1).clamp(min=1)
        apart = (joint.kl_to(single, z) * observed.mT).sum(0)
        prior = self._cost(joint.kl(z)[0], kl_weight)
        regular = self._times_beta(self.alpha / n * apart, kl_weight) + (1 - self.alpha) * prior
        return where_shown((n - self.alpha) / n * fit - regular, batch)
