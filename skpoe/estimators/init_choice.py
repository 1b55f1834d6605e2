"""Whether a start at factor analysis leads further than a random one: both are tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.rows import Rows
from ..model import MultimodalVAE
from ..objectives import Objective
from ..training import Plan, train
from .judging import errors_of_hidden, how_likely
from .starting import deal, find_start_weight, hold_out, settle, weights_of

# fewer steps are too few for a random start to show what it leads to
_N_STEPS = 1200
_MOST_ROWS = 5000
# share of the rows that must be likelier, if errors are not larger, and if they are
_MOST, _MOST_BY_FAR = 0.5, 0.75


class Outcome(NamedTuple):
    """How likely each held-out row is, nats, and the squared error of what is hidden in it."""

    scores: Tensor  # (N,), as are errors
    errors: Tensor


def some_of(rows: Rows, split: tuple[Tensor, Tensor] | None, seed: int) -> tuple[Tensor, Tensor]:
    """Give numbers of rows to learn from in a trial, and of rows to judge it on."""
    kept, held = hold_out(rows, seed) if split is None else split
    share = _MOST_ROWS / (len(kept) + len(held))
    if share >= 1:
        return kept, held
    kept, held = (part[deal(len(part), share, seed)[1]] for part in (kept, held))
    return kept, held


def try_out(
    model: MultimodalVAE,
    objective: Objective,
    kept: Rows,
    held: Rows,
    plan: Plan,
    names: Sequence[str],
) -> Outcome:
    """Train a model for a while, and say what held-out rows are to it then.

    Raises
    ------
    KeyboardInterrupt
        When training was interrupted.
    """
    begun = weights_of(model)
    plan = dataclasses.replace(plan, max_iter="auto", n_steps=_N_STEPS, verbose=0)
    batch, keys, weights = held[torch.arange(len(held))]
    try:
        run = train(model, objective, kept, plan, names)
    except FloatingPointError:
        return Outcome(torch.full_like(weights, -torch.inf), torch.full_like(weights, torch.inf))
    if run.interrupted:
        raise KeyboardInterrupt
    if model.has_started:
        settle(model, begun, find_start_weight(model, begun, held))
    return Outcome(how_likely(model, batch, keys), errors_of_hidden(model, batch))


def leads(ours: Outcome, theirs: Outcome, weights: Tensor) -> bool:
    """Whether most rows are likelier, at errors that are no larger, or by far the most.

    Rows are counted, for a few that are far out would decide a mean.
    """
    gained = (weights * (ours.scores > theirs.scores)).sum() / weights.sum()
    larger = (weights * ours.errors).sum() > (weights * theirs.errors).sum()
    return bool(gained > torch.where(larger, _MOST_BY_FAR, _MOST))
