"""What a fitted model is judged by."""

from __future__ import annotations

import math

from torch import Tensor

from .data.batch import Batch
from .model import MultimodalVAE
from .random import RowNoise


def importance_log_likelihood(
    model: MultimodalVAE, batch: Batch, noise: RowNoise, n_draws: int
) -> Tensor:
    r"""Importance-weighted lower bound of log p(x_observed), shape (N,), nats.

    .. math:: \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x_O \mid z_k) \, p(z_k)}{q(z_k \mid x_O)}, \quad z_k \sim q(z \mid x_O)

    A mixture posterior is sampled component by component, each draw weighted by the mixture's
    density (stratified sampling).

    References
    ----------
    Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016),
    https://arxiv.org/abs/1509.00519, equation 8.
    """
    posterior = model.posterior(batch)
    z = posterior.rsample(n_draws, noise.fold("score"))
    log_ratio = model.prior.log_prob(z) - posterior.mixture_log_prob(z)
    log_weight = model.log_likelihood(z, batch).sum(-1) + log_ratio  # (K, S, N)
    return (log_weight.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(n_draws)
