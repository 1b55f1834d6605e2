"""What a model makes of rows: how likely they are, and modalities that are hidden in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ..data.batch import Batch
from ..metrics import importance_log_likelihood
from ..model import MultimodalVAE
from ..random import RowNoise, row_keys

# draws, and numbers of all draws of a modality at a time
_N_DRAWS, _AT_A_TIME = 16, 2**20
_N_NEIGHBOURS = 10


@torch.no_grad()
def how_likely(model: MultimodalVAE, batch: Batch, keys: Tensor) -> Tensor:
    """Say how likely rows are, (N,) nats, from a few draws."""
    noise = RowNoise(0, keys)
    widest = max(likelihood.width for likelihood in model.likelihoods)
    parts = torch.arange(len(batch)).split(max(1, _AT_A_TIME // (_N_DRAWS * widest)))
    return torch.cat(
        [importance_log_likelihood(model, batch[part], noise[part], _N_DRAWS) for part in parts]
    )


@torch.no_grad()
def densities_of_hidden(model: MultimodalVAE, batch: Batch, keys: Tensor) -> Tensor:
    """Give the log-density of hidden entries of each row, (N,), from a few draws.

    Each entry is judged by itself. Modalities are hidden as in :func:`errors_of_hidden`, and
    count alike.
    """
    noise = RowNoise(0, keys).fold("hidden")
    parts = _parts_of_hidden(model, batch)
    return torch.cat([_densities_of_hidden(model, batch[part], noise[part]) for part in parts])


def _densities_of_hidden(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> Tensor:
    read, hidden = _hide(batch)
    z = model.posterior(*read).rsample(_N_DRAWS, noise, antithetic=True)
    total = batch.values[0].new_zeros(len(batch))
    for m, (truth, scored) in enumerate(hidden):
        density = model.likelihoods[m].log_density(truth, model.decode(z[:, m], m)).logsumexp(0)
        total += ((density - math.log(_N_DRAWS)) * scored).mean(-1)
    return total


@torch.no_grad()
def errors_of_hidden(model: MultimodalVAE, batch: Batch) -> Tensor:
    """Give the squared error of hidden entries of each row, (N,), in standardised units.

    They are filled in at the posterior mean. Each modality is hidden in turn, and counts as much
    as any other if rows show all; of a single one, a third of the entries is hidden.
    """
    parts = _parts_of_hidden(model, batch)
    return torch.cat([_errors_of_hidden(model, batch[part]) for part in parts])


@torch.no_grad()
def errors_of_neighbours(model: MultimodalVAE, batch: Batch, others: Batch) -> Tensor:
    """Give what :meth:`errors_of_hidden` does where other rows fill in, and the model only reads.

    A hidden modality is the mean of the ten rows that are nearest in what encoders read of the
    rest, among those that show it and some of the rest. Without ten, errors are infinite.
    """
    from sklearn.neighbors import NearestNeighbors  # a quarter of a second, for trials alone

    _, hidden = _hide(batch)
    read = [model.encoded(each).values for each in (others, batch)]
    total = batch.values[0].new_zeros(len(batch))
    for m, (truth, scored) in enumerate(hidden):
        shows = others.observed[:, m] & (others.observed.sum(-1) > 1)
        if int(shows.sum()) < _N_NEIGHBOURS:
            return torch.full_like(total, torch.inf)
        there, here = (
            torch.cat([x for k, x in enumerate(values) if k != m], dim=-1).cpu().numpy()
            for values in read
        )
        search = NearestNeighbors(n_neighbors=_N_NEIGHBOURS).fit(there[shows.cpu().numpy()])
        near = torch.from_numpy(search.kneighbors(here, return_distance=False)).to(shows.device)
        comparable = model.likelihoods[m].comparable
        mask = others.masks[m].expand_as(others.values[m])[shows]
        value = comparable(others.values[m][shows]) * mask
        # one neighbour after the other: all at once would be ten times the rows
        filled = sum(value[nth] for nth in near.unbind(1))
        n_told = sum(mask[nth].to(value.dtype) for nth in near.unbind(1))
        error = filled / cast("Tensor", n_told).clamp(min=1.0) - comparable(truth)
        total += (error.square() * scored).mean(-1)
    return total


def _errors_of_hidden(model: MultimodalVAE, batch: Batch) -> Tensor:
    read, hidden = _hide(batch)
    z = model.posterior(*read).centres()[0]
    total = batch.values[0].new_zeros(len(batch))
    for m, (truth, scored) in enumerate(hidden):
        likelihood = model.likelihoods[m]
        filled = likelihood.comparable(likelihood.standardised_mean(model.predict(z[m], m)))
        total += ((filled - likelihood.comparable(truth)).square() * scored).mean(-1)
    return total


def _parts_of_hidden(model: MultimodalVAE, batch: Batch) -> Sequence[Tensor]:
    """Rows whose posteriors, one for each modality that is hidden, and draws are held at once."""
    widest = max(likelihood.width for likelihood in model.likelihoods)
    drawn = _N_DRAWS * max(widest, model.n_modalities * model.latent_dim)
    held = model.n_modalities * model.strategy.family.n_held(model.latent_dim)
    return torch.arange(len(batch)).split(max(1, _AT_A_TIME // max(drawn, held)))


def _hide(batch: Batch) -> tuple[tuple[Any, ...], list[tuple[Tensor, Tensor]]]:
    """Give what posteriors may read, one a modality; for each, the truth and what to score."""
    if len(batch.values) == 1:
        x, mask = batch.values[0], batch.masks[0].expand_as(batch.values[0])
        rows = RowNoise(0, row_keys(batch.values, batch.masks)).fold("hide")
        left = mask & (rows.uniform(event=x.shape[1]) > 1 / 3)
        return (Batch([x * left], [left]),), [(x, mask & ~left)]
    others = batch.observed & ~torch.eye(
        len(batch.values), dtype=torch.bool, device=batch.observed.device
    ).unsqueeze(1)  # (M, N, M)
    hidden = [
        (x, (mask & any_other[:, None]).expand_as(x))
        for x, mask, any_other in zip(batch.values, batch.masks, others.any(-1), strict=True)
    ]
    return (batch, others), hidden
