"""What a fitted model is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .data.batch import Batch
from .model import MultimodalVAE
from .posteriors import SubsetPosterior
from .random import RowNoise

# components of a mixture that are drawn from in a prediction; of more, so many are sampled
MOST_COMPONENTS = 64


def predictive_draws(
    model: MultimodalVAE,
    batch: Batch,
    noise: RowNoise,
    n_draws: int,
    *,
    antithetic: bool = False,
    membership: tuple[Tensor, Tensor] | None = None,
) -> tuple[SubsetPosterior, Tensor]:
    """Draw z from the posterior, the draws dealt out evenly to the components of a mixture.

    Private variables that a component does not infer have their prior where the modality is
    shown: what is weighed is the model that rows are sampled from.

    Returns
    -------
    posterior : SubsetPosterior
        Of at most 64 components: of a larger mixture, that many are sampled.
    z : Tensor of shape (K, S, N, D)
        K is ``n_draws / S``, rounded up.
    """
    posterior = model.posterior(batch, *(membership or ()), noise=noise)
    posterior = posterior.thin(MOST_COMPONENTS, noise)
    if posterior.private is not None:
        private = replace(posterior.private, shown=batch.observed)
        posterior = replace(posterior, private=private)
    n_each = -(-n_draws // len(posterior.log_weights))
    return posterior, posterior.rsample(n_each, noise.fold("predict"), antithetic)


def importance_log_weights(
    model: MultimodalVAE, batch: Batch, posterior: SubsetPosterior, z: Tensor
) -> Tensor:
    """Log p(x_O, z) / q(z | x_O) of each draw, q being the mixture: (K, S, N) nats."""
    return model.log_likelihood(z, batch).sum(-1) + posterior.log_ratio(z)


def predictive_log_weights(
    model: MultimodalVAE, batch: Batch, posterior: SubsetPosterior, z: Tensor
) -> Tensor:
    """As :func:`importance_log_weights`, of p(x_O | z) to the power of the trust in what is shown.

    A model that trusts a part of the modalities less than it says predicts with the posterior
    that it then has.
    """
    power = model.strategy.trust_in(batch.observed)
    return power * model.log_likelihood(z, batch).sum(-1) + posterior.log_ratio(z)


def truncated(log_weights: Tensor, posterior: SubsetPosterior) -> Tensor:
    """Cap importance weights (K, S, N) at sqrt(K S) times their average over all draws.

    A few draws then decide less of a mean: its error falls where posteriors are off, at the price
    of a bias that vanishes as K grows.

    References
    ----------
    Truncated importance sampling (Ionides, 2008), Journal of Computational and Graphical
    Statistics 17, equation 3.
    """
    n_each, n_subsets = log_weights.shape[:2]
    total = (log_weights + posterior.log_weights).flatten(0, 1).logsumexp(0)
    return log_weights.minimum(total - math.log(n_each) + 0.5 * math.log(n_each * n_subsets))


def importance_log_likelihood(
    model: MultimodalVAE, batch: Batch, noise: RowNoise, n_draws: int
) -> Tensor:
    r"""Importance-weighted lower bound of log p(x_observed), shape (N,), nats.

    .. math:: \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x_O \mid z_k) \, p(z_k)}{q(z_k \mid x_O)}, \quad z_k \sim q(z \mid x_O)

    A mixture posterior is sampled component by component, each draw weighted by the mixture's
    density (stratified sampling). Zero in a row that shows nothing.

    References
    ----------
    Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016),
    https://arxiv.org/abs/1509.00519, equation 8.
    """
    posterior, z = predictive_draws(model, batch, noise, n_draws)
    log_weight = importance_log_weights(model, batch, posterior, z)
    bound = (log_weight.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(len(z))
    return bound * batch.observed.any(-1)


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
    exact. A mixture posterior is sampled component by component (stratified sampling). Private
    variables of the target have their prior.

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
    noise = noise.fold("conditional")
    within = model.subsets.within(batch.observed & readable, noise)
    posterior, z = predictive_draws(model, batch, noise, n_draws, membership=within)
    log_prob = torch.stack([model.term(z, batch, m) for m in target]).sum(0)  # (K, S, N)
    if not posterior.prior.is_natural:  # no posterior is this prior: where nothing is read, weigh
        reads = (batch.observed & readable).any(-1)
        log_prob = torch.where(reads, log_prob, log_prob + posterior.log_ratio(z))
    value = (log_prob.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(len(z))
    return value * batch.observed[:, list(target)].any(-1)
