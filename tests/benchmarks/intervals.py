"""Intervals of multiple imputations, and how many of the hidden values they cover."""

import numpy as np
import torch

from skpoe.metrics import predictive_draws, predictive_log_weights
from skpoe.model import MultimodalVAE
from skpoe.random import RowNoise, row_keys


def coverage(est, X, truth, counted=None, *, level=0.9, n_draws=500):
    """Share of hidden cells inside their intervals; None if there is no VAE to draw from.

    Parameters
    ----------
    est : fitted estimator
    X : ndarray of shape (N, F), or list of (ndarray or None)
        One table or modalities, with holes.
    truth : as X, without holes
    counted : list of bool ndarray of shape (F_m,), default=None
        Columns that count; all when None.
    """
    if not isinstance(getattr(est, "model_", None), MultimodalVAE):
        return None
    both = limits(est, X, level, n_draws)
    X, truth = ([data] if isinstance(data, np.ndarray) else data for data in (X, truth))
    inside = []
    for m, (low, high) in enumerate(both):
        hidden = np.ones(truth[m].shape, bool) if X[m] is None else np.isnan(X[m])
        if counted is not None:
            hidden = hidden & counted[m]
        inside.append(((low <= truth[m]) & (truth[m] <= high))[hidden])
    return float(np.concatenate(inside).mean())


def limits(est, X, level=0.9, n_draws=500):
    """Lower and upper limits of each entry of modalities with holes: a pair (N, F_m) each.

    Draws from p(x_missing | x_observed) by sampling-importance-resampling: z from the posterior,
    resampled by p(x_observed, z) / q(z | x_observed), then x given z, noise included. Decoder
    means alone would leave the noise out, and cover far too little.
    """

    def quantiles(model, batch, noise):
        posterior, z = predictive_draws(model, batch, noise.fold("intervals"), n_draws)
        log_weights = posterior.log_weights + predictive_log_weights(model, batch, posterior, z)
        z = _resample(z.flatten(0, 1), log_weights.flatten(0, 1), noise.fold("resampling"))
        results = []
        for m, likelihood in enumerate(model.likelihoods):
            if batch.masks[m].all():
                nothing = torch.full_like(batch.values[m], torch.nan)
                results += [nothing, nothing]
                continue
            raw = model.decode(z, m)  # (K, N, n_outputs)
            own = RowNoise(m, _keys(batch, len(z)))
            x = likelihood.sample(raw.flatten(0, 1), own).unflatten(0, raw.shape[:2])
            tails = torch.tensor([0.5 - level / 2, 0.5 + level / 2], dtype=x.dtype)
            results += list(torch.quantile(x, tails, dim=0))
        return results

    flat = est._predict(est._read(X), quantiles, n_draws)
    return list(zip(flat[::2], flat[1::2], strict=True))


def _resample(z, log_weights, noise):
    """Draw rows' z (K, N, D) anew by their weights (K, N): systematic, so of least variance."""
    n_draws = len(z)
    shift = noise.uniform(1, event=1, dtype=log_weights.dtype)[0]  # (N, 1)
    at = (torch.arange(n_draws) + shift) / n_draws
    cumulative = torch.softmax(log_weights, 0).cumsum(0).mT.contiguous()
    index = torch.searchsorted(cumulative, at).clamp(max=n_draws - 1).mT  # (K, N)
    return z[index, torch.arange(z.shape[1])]


def _keys(batch, n_draws):
    """Keys of a stream of noise a draw and row, (K * N,): a likelihood samples one x a row."""
    keys = row_keys(batch.values, batch.masks)
    return (keys + (torch.arange(n_draws)[:, None] << 32)).flatten()
