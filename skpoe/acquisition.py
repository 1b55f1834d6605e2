"""What it is worth to measure what rows lack: expected information."""

from __future__ import annotations

import torch
from torch import Tensor

from .data.batch import Batch
from .drawing import draw_missing
from .likelihoods import Likelihood
from .metrics import MOST_COMPONENTS
from .model import MultimodalVAE
from .posteriors import SubsetPosterior
from .random import RowNoise


def expected_gains(
    model: MultimodalVAE,
    batch: Batch,
    noise: RowNoise,
    candidates: Tensor,
    target: Tensor | None,
    n_draws: int,
    n_proposals: int,
) -> tuple[Tensor, Tensor]:
    r"""Information that each candidate is expected to add to what each row shows, nats.

    .. math:: \mathbb{E}_{x_c} \mathrm{KL}(q(z \mid x_O, x_c) \,\|\, q(z \mid x_O)) -
        \mathbb{E}_{x_c, x_t} \mathrm{KL}(q(z \mid x_O, x_t, x_c) \,\|\, q(z \mid x_O, x_t))

    with x_c and x_t drawn together given x_O: what the candidate says of z, less what it says of z
    that the target does not. Where posteriors are exact and x_c, x_t are independent given z, it
    is their mutual information given x_O. Without a target, it is the first term: information
    about z.

    Parameters
    ----------
    model : MultimodalVAE
    batch : Batch
        Standardised values of N rows.
    noise : RowNoise
    candidates : bool Tensor of shape (C, F)
        The features of each, of all modalities side by side.
    target : bool Tensor of shape (F,) or None
        Its features.
    n_draws : int
        K draws of what a row lacks, the same for all candidates.
    n_proposals : int
        See :func:`skpoe.drawing.draw_missing`.

    Returns
    -------
    gains : Tensor of shape (N, C)
        Means over draws; those below zero, which mutual information never is, are zero. Zero
        where a row lacks nothing of the candidate, or nothing of the target.
    effective_size : Tensor of shape (N,)
        Of the proposals; infinite in a row that lacks nothing.

    References
    ----------
    EDDI: efficient dynamic discovery of high-value information with partial VAE (Ma et al., 2019),
    https://arxiv.org/abs/1809.11142, section 3.3.
    """
    draws, size = draw_missing(model, batch, noise, n_draws, n_proposals)
    streams = noise.fold("acquire").apart(n_draws)

    def posterior(features: Tensor) -> SubsetPosterior:
        shown = show_drawn(model, batch, draws, features)
        return model.posterior(shown, noise=streams).thin(MOST_COMPONENTS, streams)

    nothing = torch.zeros_like(candidates[0])
    known = [nothing] if target is None else [nothing, target]
    before = [posterior(features) for features in known]
    gains = []
    for candidate in candidates:
        # the same draws and streams in both terms: what they share cancels
        terms = [
            posterior(features | candidate).divergence_from(other, streams)
            for features, other in zip(known, before, strict=True)
        ]
        gain = terms[0] if target is None else terms[0] - terms[1]
        gain = gain.unflatten(0, (n_draws, -1)).mean(0).clamp(min=0)
        gain = gain * _lacks(model, batch, candidate)
        gains.append(gain if target is None else gain * _lacks(model, batch, target))
    return torch.stack(gains, dim=-1), size


def information_told(
    model: MultimodalVAE, batch: Batch, noise: RowNoise, n_draws: int
) -> tuple[Tensor, Tensor]:
    r"""Information about z that each modality of a row has told, nats.

    .. math:: \mathrm{KL}(q(z \mid x_m) \,\|\, p(z)), \quad
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus m}))

    alone, and beside all else that the row shows; the posterior given nothing is the prior. Of
    private latent variables nothing is counted.

    Parameters
    ----------
    model : MultimodalVAE
    batch : Batch
        Standardised values of N rows.
    noise : RowNoise
    n_draws : int
        Over which it is averaged, where there is no closed form.

    Returns
    -------
    alone, beside : Tensor of shape (N, M)
        Zero where a row shows nothing of the modality.
    """
    observed = batch.observed

    def posterior(shown: Tensor) -> SubsetPosterior:
        return model.posterior(batch, *model.subsets.within(shown, noise), noise=noise)

    everything = posterior(observed)
    alone, beside = [], []
    for m in range(observed.shape[1]):
        own = torch.zeros_like(observed)
        own[:, m] = observed[:, m]
        stream = noise.fold(m)
        alone.append(posterior(own).divergence_from(None, stream, n_draws))
        others = observed & ~own
        told = everything.divergence_from(posterior(others), stream, n_draws)
        beside.append(torch.where(others.any(-1), told, alone[-1]))  # beside nothing, it is alone
    return torch.stack(alone, -1) * observed, torch.stack(beside, -1) * observed


def show_drawn(model: MultimodalVAE, batch: Batch, draws: list[Tensor], features: Tensor) -> Batch:
    """Write drawn values where rows lack them: K * N rows, one draw after the other.

    Parameters
    ----------
    model : MultimodalVAE
    batch : Batch
        Standardised values of N rows.
    draws : list of Tensor of shape (K, N, F_m)
        In the data's units.
    features : bool Tensor of shape (F,) or (N, F)
        Which are written, of all modalities side by side; never those that training did not see.
    """
    values, masks = [], []
    for m, wanted in enumerate(_by_modality(model, features)):
        likelihood, value, mask, x = (
            model.likelihoods[m],
            batch.values[m],
            batch.masks[m],
            draws[m],
        )
        n_draws = len(x)
        new = _inside(likelihood, wanted) & ~mask
        value = value.expand(n_draws, *value.shape)
        if new.any():
            x = likelihood.standardise(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            value, mask = torch.where(new, x.to(value.dtype), value), mask | new
        values.append(value.flatten(0, 1))
        masks.append(mask.repeat(n_draws, 1))
    return Batch(values, masks)


def _lacks(model: MultimodalVAE, batch: Batch, features: Tensor) -> Tensor:
    """Whether a row lacks any of these features that training saw: bool (N,)."""
    parts = [
        (_inside(likelihood, wanted) & ~mask).any(-1)
        for wanted, likelihood, mask in zip(
            _by_modality(model, features), model.likelihoods, batch.masks, strict=True
        )
    ]
    return torch.stack(parts).any(0)


def _inside(likelihood: Likelihood, features: Tensor) -> Tensor:
    """Mark the values inside the model that are about features (..., F) which training saw."""
    known = features & likelihood.seen
    return known if likelihood.feature_of is None else known[..., likelihood.feature_of]


def _by_modality(model: MultimodalVAE, features: Tensor) -> tuple[Tensor, ...]:
    return features.split([len(likelihood.seen) for likelihood in model.likelihoods], dim=-1)
