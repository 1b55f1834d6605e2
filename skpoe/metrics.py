"""What a fitted model is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .data.batch import Batch
from .model import MultimodalVAE
from .random import RowNoise


def importance_log_likelihood(
    model: MultimodalVAE, batch: Batch, noise: RowNoise, n_draws: int, kl_weight: float = 1.0
) -> Tensor:
    r"""Importance-weighted lower bound of log p(x_observed), shape (N,), nats.

    .. math:: \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x_O \mid z_k) \, p(z_k)}{q(z_k \mid x_O)}, \quad z_k \sim q(z \mid x_O)

    A mixture posterior is sampled component by component, each draw weighted by the mixture's
    density (stratified sampling). With a ``kl_weight`` other than 1 the ratio of prior and
    posterior is raised to that power, as training with a warm-up does; then it is no bound.

    References
    ----------
    Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016),
    https://arxiv.org/abs/1509.00519, equation 8.
    """
    posterior = model.posterior(batch)
    z = posterior.rsample(n_draws, noise.fold("score"))
    log_ratio = model.prior.log_prob(z) - posterior.mixture_log_prob(z)
    log_weight = model.log_likelihood(z, batch).sum(-1) + kl_weight * log_ratio  # (K, S, N)
    return (log_weight.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(n_draws)


def conditional_log_likelihood(
    model: MultimodalVAE,
    batch: Batch,
    noise: RowNoise,
    n_draws: int,
    target: Sequence[int],
    given: Sequence[int],
) -> Tensor:
    r"""Log-likelihood of some modalities given others, shape (N,), nats.

    .. math:: \log \frac{1}{K} \sum_{k=1}^K p(x_{target} \mid z_k),
        \quad z_k \sim q(z \mid x_{given})

    over the observed entries of the target. Its expectation rises with K to the logarithm of the
    integral of p(x_target | z) q(z | x_given), which is log p(x_target | x_given) where q is
    exact. A mixture posterior is sampled component by component (stratified sampling).

    Parameters
    ----------
    model : MultimodalVAE
    batch : Batch
        Standardised values, (N, F_m).
    noise : RowNoise
    n_draws : int
        K.
    target, given : sequence of int
        Positions of modalities. Of ``given`` the posterior reads what a row shows; it is the
        prior in a row that shows nothing of it.

    Returns
    -------
    log_likelihood : Tensor of shape (N,)
        In the data's units; zero in a row that shows nothing of the target.
    """
    # Never log p(target, given) - log p(given) from two bounds: a model whose posterior given a
    # part is bad has a loose bound of log p(given), and would be rewarded for that.
    readable = torch.zeros_like(batch.observed)
    readable[:, list(given)] = True
    posterior = model.posterior(batch, *model.subsets.within(batch.observed & readable))
    z = posterior.rsample(n_draws, noise.fold("conditional"))
    terms = [
        model.likelihoods[m].log_prob(batch.values[m], batch.masks[m], model.decode(z, m))
        for m in target
    ]
    log_prob = torch.stack(terms).sum(0)  # (K, S, N)
    return (log_prob.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(n_draws)
