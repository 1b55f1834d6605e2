"""The importance-weighted bound."""

from __future__ import annotations

from torch import Tensor

from ..data.batch import Batch
from ..metrics import importance_log_likelihood
from ..model import MultimodalVAE
from ..random import RowNoise
from .base import Objective


class IWAE(Objective):
    r"""Importance-weighted bound with ``n_samples`` draws, over the model's own posterior.

    .. math:: \mathbb{E} \log \frac{1}{K} \sum_{k=1}^K \Big( \prod_{m \in O} p(x_m \mid z_k) \Big)
        \Big( \frac{p(z_k)}{q(z_k \mid x_O)} \Big)^\beta, \quad z_k \sim q(z \mid x_O)

    With one draw it is the ELBO. A mixture posterior is sampled component by component.

    References
    ----------
    Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016),
    https://arxiv.org/abs/1509.00519, equation 8.
    """

    @property
    def is_bound(self) -> bool:
        return self.beta == 1.0

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        weight = self.beta * kl_weight
        return importance_log_likelihood(model, batch, noise, self.n_samples, weight)
