"""Draws of what rows lack given what they show."""

from __future__ import annotations

import torch
from torch import Tensor

from .data.batch import Batch
from .likelihoods import Likelihood
from .metrics import predictive_draws, predictive_log_weights
from .model import MultimodalVAE
from .random import RowNoise


def draw_missing(
    model: MultimodalVAE,
    batch: Batch,
    noise: RowNoise,
    n_draws: int,
    n_proposals: int,
    *,
    everything: bool = False,
) -> tuple[list[Tensor], Tensor]:
    r"""Draw what rows lack given what they show, by sampling-importance-resampling.

    Of K proposals z ~ q(z | x_O) for each row, ``n_draws`` are kept, with probabilities in
    proportion to p(x_O, z) / q(z | x_O); then x is drawn given z, noise included. All modalities
    of a draw have one z.

    Parameters
    ----------
    model : MultimodalVAE
    batch : Batch
        Standardised values of N rows.
    noise : RowNoise
    n_draws : int
    n_proposals : int
        K; at least ``n_draws`` are made.
    everything : bool, default=False
        Whether to draw also modalities that no row lacks.

    Returns
    -------
    draws : list of Tensor of shape (n_draws, N, F_m)
        In the data's units, all entries, also shown ones; of a modality that no row lacks, NaN
        unless ``everything``.
    effective_size : Tensor of shape (N,)
        Of the proposals; infinite in a row that lacks nothing, unless ``everything``.

    References
    ----------
    Using the SIR algorithm to simulate posterior distributions (Rubin, 1988), Bayesian
    Statistics 3.
    """
    z, weights = propose(model, batch, noise, max(n_draws, n_proposals))
    z = _resample(z, weights, n_draws, noise.fold("resample"))
    # a likelihood draws one x a row: each draw of each row is a row of its own
    own = noise.fold("impute").apart(n_draws)
    draws = []
    for m, likelihood in enumerate(model.likelihoods):
        if batch.masks[m].all() and not everything:
            nothing = (n_draws, len(batch), len(likelihood.seen))
            draws.append(batch.values[m].new_full(nothing, torch.nan))
            continue
        raw = model.decode(z, m)  # (n_draws, N, outputs)
        x = likelihood.sample(raw.flatten(0, 1), own.fold(m))
        draws.append(x.unflatten(0, raw.shape[:2]))
    size = effective_size(weights)
    if not everything:
        size = size.where(~torch.stack([mask.all(-1) for mask in batch.masks]).all(0), torch.inf)
    return draws, size


def propose(
    model: MultimodalVAE, batch: Batch, noise: RowNoise, n_proposals: int
) -> tuple[Tensor, Tensor]:
    """Draw z (K, N, D) ~ q(z | x_O), and their normalised importance weights (K, N)."""
    posterior, z = predictive_draws(model, batch, noise.fold("propose"), n_proposals)
    log_weights = posterior.log_weights + predictive_log_weights(model, batch, posterior, z)
    return z.flatten(0, 1), torch.softmax(log_weights.double().flatten(0, 1), dim=0)


def effective_size(weights: Tensor) -> Tensor:
    """Effective number of proposals with these weights (K, N): (N,), from 1 to K."""
    return 1 / weights.square().sum(0)


def _resample(z: Tensor, weights: Tensor, n_draws: int, noise: RowNoise) -> Tensor:
    """Keep ``n_draws`` of z (K, N, D) by their weights (K, N), in random order.

    Systematic resampling: the number of copies of a proposal is within one of its expectation.
    """
    shift = noise.uniform(event=1, dtype=weights.dtype)  # (N, 1)
    at = (torch.arange(n_draws).to(shift) + shift) / n_draws
    index = torch.searchsorted(weights.mT.cumsum(1), at).clamp(max=len(z) - 1)  # (N, n_draws)
    # neighbours are alike: a shuffle makes any one draw as good as any other
    order = noise.fold("shuffle").uniform(event=n_draws).argsort(dim=1)
    index = index.gather(1, order).mT  # (n_draws, N)
    return z.gather(0, index[:, :, None].expand(-1, -1, z.shape[-1]))


def central_interval(
    likelihood: Likelihood, draws: Tensor, coverage: float
) -> tuple[Tensor, Tensor]:
    """Find the ends (N, F) between which a share of draws (K, N, F) lies, tails equal."""
    levels = torch.tensor([0.5 - coverage / 2, 0.5 + coverage / 2]).to(draws)
    low, high = quantiles(draws, levels)
    return likelihood.interval(low, high)


def quantiles(draws: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (L, ...) of draws (K, ...), by linear interpolation between order statistics.

    A share of i / (K + 1) is expected below the i-th of them: between two quantiles lies what
    their levels say. With K - 1 for K + 1, as ``torch.quantile`` has it, it is less.

    References
    ----------
    Sample quantiles in statistical packages (Hyndman & Fan, 1996), The American Statistician 50,
    definition 6.
    """
    ordered = draws.sort(dim=0).values
    at = (levels * (len(draws) + 1) - 1).clamp(0, len(draws) - 1)
    low = at.floor().long()
    high = (low + 1).clamp(max=len(draws) - 1)
    share = (at - low).view(-1, *[1] * (draws.ndim - 1)).to(draws.dtype)
    return torch.lerp(ordered[low], ordered[high], share)
