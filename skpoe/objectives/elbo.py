"""The evidence lower bound."""

from __future__ import annotations

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from .base import Objective


class ELBO(Objective):
    r"""Evidence lower bound of what is observed, over the model's own posterior.

    .. math:: \mathbb{E}_{q(z \mid x_O)} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \beta \, \mathrm{KL}(q(z \mid x_O) \,\|\, p(z))

    For a mixture posterior the KL is replaced by the mean of its components' KLs, which is larger.

    References
    ----------
    Auto-encoding variational Bayes (Kingma & Welling, 2014), https://arxiv.org/abs/1312.6114,
    equation 3.
    """

    @property
    def is_bound(self) -> bool:
        return self.beta >= 1.0

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        posterior = model.posterior(batch)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        fit = model.log_likelihood(z, batch).sum(-1).mean(0)
        return posterior.average(fit - self.beta * kl_weight * posterior.kl())
