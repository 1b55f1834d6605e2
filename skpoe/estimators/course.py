"""The course of a fit from any state to its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch

from ..data.rows import Rows
from ..data.source import Source
from ..random import derive_seed, lend_global_generator
from ..training import Plan, Run, train
from .checkpoints import Checkpoint
from .reading import hold
from .starting import find_start_weight, settle, weights_of
from .state import State


@dataclass
class Course:
    """What a fit has to do, from where it stands.

    Parameters
    ----------
    estimator : BaseVAE
    source : Source
    weight : Tensor of shape (N,)
    learned : int64 Tensor
        Numbers of the rows to learn from.
    watched : int64 Tensor or None
        Of those to validate on.
    plan : Plan
    checkpoint : Checkpoint or None
    tell : callable
        Takes the state after an epoch of training, and says whether to stop.
    """

    estimator: Any
    source: Source
    weight: torch.Tensor
    learned: torch.Tensor
    watched: torch.Tensor | None
    plan: Plan
    checkpoint: Checkpoint | None
    tell: Callable[[State], bool]

    def run(self, state: State) -> None:
        """Carry a state to the end; it is changed in place."""
        if self.checkpoint is not None:
            self.checkpoint.begin(state)
        with lend_global_generator(0) if self._lends else nullcontext():
            watched = None
            if state.stage != "rehearsal" or self._rehearse(state):
                rows = hold(self.source, self.weight, state.model)
                watched = None if self.watched is None else rows.take(self.watched)
                state.run = self._train(state, rows.take(self.learned), watched)
        if state.begun is not None:
            self._settle(state, watched)
        state.stage, state.begun, state.run.best = "finished", None, None

    def _rehearse(self, state: State) -> bool:
        """Train without some rows, to find on them how much of the start to keep.

        Says whether a training with all rows is to follow: it would be for nothing where all of
        the start is kept.
        """
        rows = hold(self.source, self.weight, state.model)
        held = cast("torch.Tensor", state.held)
        is_kept = torch.ones(len(rows), dtype=torch.bool, device=held.device)
        is_kept[held] = False
        kept = rows.take(is_kept.nonzero()[:, 0])
        run = self._train(state, kept, None)
        state.start_weight = 1.0  # what has not been trained is the start
        if not run.interrupted:
            state.start_weight = find_start_weight(
                state.model, cast("dict", state.begun), rows.take(held)
            )
        fresh, state.fresh, state.held = cast("dict", state.fresh), None, None
        state.stage = "training"
        was_stopped = len(run.history) < self.plan.n_epochs(len(kept)) and not run.diverged
        if was_stopped and state.start_weight < 1.0:  # a callback has had enough
            state.run = run
            return False
        state.learned.load_state_dict(fresh)
        state.begun = weights_of(state.model)
        if state.start_weight < 1.0:
            state.run = Run()
            return True
        history = [] if run.interrupted else run.history
        state.run = Run(history, interrupted=run.interrupted)
        return False

    def _train(self, state: State, rows: Rows, watched: Rows | None) -> Run:
        last = state.run.began[0] + self.plan.n_epochs(len(rows))

        def after_epoch(run: Run) -> bool:
            state.run = run
            stops = self.tell(state)
            self._seed_global_generator(state)
            if self.checkpoint is not None and not stops and len(run.history) < last:
                self.checkpoint.keep_if_due(state)
            return stops

        self._seed_global_generator(state)
        return train(
            state.model,
            state.objective,
            rows,
            self.plan,
            state.layout.names,
            validation=watched,
            run=state.run,
            after_epoch=after_epoch,
        )

    def _settle(self, state: State, watched: Rows | None) -> None:
        """Move a trained model back towards its start, as far as held-out rows say."""
        begun = cast("dict", state.begun)
        if state.start_weight == "auto":
            state.start_weight = find_start_weight(state.model, begun, cast("Rows", watched))
        state.auto["start_weight"] = float(state.start_weight)
        settle(state.model, begun, float(state.start_weight))

    @property
    def _lends(self) -> bool:
        """Whether users' networks may draw from torch's own generator, as dropout does."""
        return self.estimator.encoder is not None or self.estimator.decoder is not None

    def _seed_global_generator(self, state: State) -> None:
        """Let what is drawn in an epoch follow from what was done before, as all other noise."""
        if self._lends:
            torch.manual_seed(derive_seed(state.seed, state.run.step))
