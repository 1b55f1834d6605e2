"""Whether a start at factor analysis leads further than a random one: both are tried."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..data.batch import Batch
from ..data.rows import Rows
from ..model import MultimodalVAE
from ..objectives import Objective
from ..training import Cycle, Plan, train
from .judging import errors_of_hidden, errors_of_neighbours, how_likely
from .starting import deal, far_out, find_start_weight, hold_out, settle, weights_of

# fewer steps are too few for a random start to show what it leads to
_N_STEPS = 1200
_MOST_ROWS = 5000
# a long training, and for how many rows a column: it would learn fewer by heart
LONG = Cycle(6000, rate=1e-2)
_MANY_A_COLUMN = 30
# share of the rows that must be likelier if errors are larger, and how much larger they may be
_MOST_BY_FAR, _MORE = 0.75, 1.05
# and how much smaller they are where a start shows promise
_LESS = 0.9


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


@dataclass
class Contestant:
    """A model where it starts, and what a trial needs to train and judge it.

    Parameters
    ----------
    model : MultimodalVAE
    objective : Objective
    kept, held : Rows
        To learn from, and to be judged on.
    plan, long_plan : Plan
        The usual training, and a long one.
    names : sequence of str
        Of the modalities.
    """

    model: MultimodalVAE
    objective: Objective
    kept: Rows
    held: Rows
    plan: Plan
    long_plan: Plan
    names: Sequence[str]

    def after(self, n_steps: int, plan: Plan | None = None) -> Outcome:
        """Say what held-out rows are to a copy that has been trained for so many steps.

        As the usual plan says, or another.

        Raises
        ------
        KeyboardInterrupt
            When training was interrupted.
        """
        if not n_steps:
            return self._judge(self.model)
        model, objective = copy.deepcopy((self.model, self.objective))
        plan = self.plan if plan is None else plan
        plan = dataclasses.replace(plan, max_iter="auto", n_steps=n_steps, verbose=0)
        try:
            run = train(model, objective, self.kept, plan, self.names)
        except FloatingPointError:
            worst = torch.full_like(self.weights, torch.inf)
            return Outcome(-worst, worst)
        if run.interrupted:
            raise KeyboardInterrupt
        if model.has_started:
            begun = weights_of(self.model)
            settle(model, begun, find_start_weight(model, begun, self.held))
        return self._judge(model)

    @property
    def weights(self) -> Tensor:
        """Weights of the rows that it is judged on."""
        return _all_of(self.held)[2]

    def errors_of_neighbours(self) -> Tensor:
        """Say what errors are where its rows fill in."""
        return errors_of_neighbours(self.model, _all_of(self.held)[0], _all_of(self.kept)[0])

    def _judge(self, model: MultimodalVAE) -> Outcome:
        batch, keys, _ = _all_of(self.held)
        return Outcome(how_likely(model, batch, keys), errors_of_hidden(model, batch))


def _all_of(rows: Rows) -> tuple[Batch, Tensor, Tensor]:
    return rows[torch.arange(len(rows))]


class Choice(NamedTuple):
    """Whether to start at random, and whether to train for long from there."""

    is_random: bool
    is_long: bool = False


def choose(ours: Contestant, theirs: Contestant) -> Choice:
    """Choose between a random start, ours, and theirs.

    Where neighbours predict held-out rows much better than a factor analysis does, and rows are
    many for their columns, there is something to be learned that may take more steps than a trial
    has: half of a long training is tried.
    """
    start = theirs.after(0)
    if _may_take_long(ours, theirs, start):
        after = ours.after(LONG.n_steps // 2, ours.long_plan)
        if leads(after, theirs.after(_N_STEPS // 2), ours.weights):
            return Choice(True, leads(after, ours.after(_N_STEPS), ours.weights))
    return Choice(_wins(ours, theirs, start))


def _may_take_long(ours: Contestant, theirs: Contestant, start: Outcome) -> bool:
    n_columns = sum(likelihood.width for likelihood in ours.model.likelihoods)
    if len(ours.kept) < _MANY_A_COLUMN * n_columns:
        return False
    near = start._replace(errors=theirs.errors_of_neighbours())
    errors, others = _errors(near, start, theirs.weights)
    return bool(errors <= _LESS * others)


def _wins(ours: Contestant, theirs: Contestant, start: Outcome) -> bool:
    """Whether we lead when both were trained for a while.

    Both are spared it where half of ours shows no promise: we do not lead over where they start,
    and predict little better. Noise takes longest to learn, and makes the most of how likely rows
    are.
    """
    weights = ours.weights
    first = ours.after(_N_STEPS // 2)
    errors, others = _errors(first, start, weights)
    if errors > _LESS * others and not leads(first, start, weights):
        return False
    # what started takes half of the steps, at twice the rate
    return leads(ours.after(_N_STEPS), theirs.after(_N_STEPS // 2), weights)


def leads(ours: Outcome, theirs: Outcome, weights: Tensor) -> bool:
    """Whether most rows are likelier, at errors that are no larger, or by far the most.

    Rows are counted, for a few that are far out would decide a mean, as they would that of errors.
    Most are more than half by two standard errors of such a count.
    """
    gained = (weights * (ours.scores > theirs.scores)).sum() / weights.sum()
    most = 0.5 + float(weights.square().sum().sqrt() / weights.sum())
    errors, others = _errors(ours, theirs, weights)
    if errors > others:
        return bool(errors <= _MORE * others) and bool(gained > max(most, _MOST_BY_FAR))
    return bool(gained > most)


def _errors(ours: Outcome, theirs: Outcome, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sum errors of both, where no row counts for much more than is usual among theirs."""
    limit = far_out(theirs.errors, weights)
    ours_sum, theirs_sum = ((weights * x.errors.clamp(max=limit)).sum() for x in (ours, theirs))
    return ours_sum, theirs_sum
