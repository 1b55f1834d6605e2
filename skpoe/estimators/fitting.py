"""From data and flat parameters to fitted attributes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..data.layout import Layout
from ..data.source import Source
from ..device import find_device
from ..distributed import Team
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..objectives import Objective
from ..random import derive_seed
from ..stopping import copy_of
from ..threads import limit_threads
from ..training import Cycle, Plan, Run
from .checkpoints import Checkpoint
from .course import Course
from .ending import warn_of_end
from .init_choice import LONG, Contestant, choose, some_of
from .likelihood_choice import make_likelihoods
from .pieces import Pieces
from .reading import hold, n_distinct, read_rows, warn_of_unread
from .shaping import check_shape, shape_of
from .starting import LinearStart, choose_latent_dim, deal_to_validate, is_linear, weights_of
from .state import State, cast

# below so many rows, those held out for validation are worth more in training
_AUTO_EARLY_STOPPING = 2000
# below so many values to decode, in all rows and draws, training in float64 takes up to a quarter
# longer, beyond it twice as long (measured)
_AUTO_DOUBLE = 20_000
# from so many rows on, a random start is tried too
_AUTO_COMPARES = 200
# learning_rate_init="auto" without a cycle that is known to do well
_RATE = 3e-3
# rows below which weight_decay="auto" is 1; it falls in proportion to more, as a prior's weight
_DECAYS = 500


class Fitting:
    """One call of ``fit`` or ``partial_fit``.

    Parameters
    ----------
    estimator : BaseVAE
    goes_on : bool
        Whether to go on from what an earlier call left, if there is anything.
    n_epochs : int, default=None
        Epochs of this call, instead of ``max_iter``.
    """

    def __init__(self, estimator: Any, *, goes_on: bool, n_epochs: int | None = None) -> None:
        self.estimator = estimator
        self.goes_on = goes_on and hasattr(estimator, "model_")
        self.n_epochs = n_epochs
        # a cycle is planned for its whole length, which single epochs do not know
        self._rate = estimator.learning_rate if n_epochs is None else "constant"
        self.linear = False
        # what the parameters that may be "auto" came to
        self.auto: dict[str, Any] = {}

    def run(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Read, compose or go on, train, and leave fitted attributes on the estimator."""
        estimator = self.estimator
        if self.goes_on:
            check_shape(estimator)
        source, layout, likelihoods, weight = read_rows(
            estimator,
            X,
            sample_weight,
            self._likelihoods,
            estimator._layout if self.goes_on else None,
        )
        if self.goes_on:
            warn_of_unread(likelihoods, source, layout)
        with limit_threads(estimator.n_threads):
            checkpoint = self._checkpoint(source, weight, layout)
            state = checkpoint.find() if checkpoint is not None and estimator.resume else None
            if state is None:
                state = self._begin(source, weight, layout, likelihoods)
            self.auto = state.auto
            learned, watched = self._split(len(source), state.seed)
            plan = self._plan(state.seed, len(learned), state.model, source, state.is_long)
            most = plan.n_epochs(len(learned))
            if state.held is not None:  # a rehearsal without them comes first
                most += plan.n_epochs(len(learned) - len(state.held))
            context = estimator._init_callback_context(max_subtasks=most)
            about = {"estimator": estimator, "X": X, "y": y}
            if sample_weight is not None:
                about["metadata"] = {"sample_weight": sample_weight}
            context.call_on_fit_task_begin(**about)

            def tell(state: State) -> bool:
                # a callback may ask for an estimator as if training had stopped here
                epoch = context.subcontext(task_name="epoch").call_on_fit_task_begin(**about)
                return epoch.call_on_fit_task_end(
                    **about, reconstruction_attributes=lambda: state.copied().fitted()
                )

            if state.stage != "finished":
                course = Course(
                    estimator, source, weight, learned, watched, plan, checkpoint, tell
                )
                course.run(state)
                if self._rate != "constant" and not estimator.warm_start:
                    state.run.moments = None  # as large as two models, and of no use any more
                if checkpoint is not None and not state.run.interrupted:
                    checkpoint.keep(state)
        fitted = state.fitted()
        for name, value in fitted.items():
            setattr(estimator, name, value)
        context.call_on_fit_task_end(**about, reconstruction_attributes=fitted)
        warn_of_end(estimator, state, self.n_epochs)

    def _checkpoint(
        self, source: Source, weight: torch.Tensor, layout: Layout
    ) -> Checkpoint | None:
        """Give the file of this fit, if there is to be one."""
        estimator = self.estimator
        if self.n_epochs is not None:  # there is nothing to resume in a single epoch
            return None
        if estimator.checkpoint is not None:
            before = estimator if self.goes_on else None
            return Checkpoint(estimator, source, weight, layout, before)
        if estimator.resume:
            raise ValueError(
                "resume=True goes on from a checkpoint, but checkpoint is None. Give its path."
            )
        return None

    def _begin(
        self,
        source: Source,
        weight: torch.Tensor,
        layout: Layout,
        likelihoods: list[Likelihood],
    ) -> State:
        """Go on from a fitted model, or compose a new one and find where it starts."""
        estimator = self.estimator
        made_with = shape_of(estimator)
        if self.goes_on:
            # a copy: if training fails, the estimator keeps the model that it has
            model, objective = copy.deepcopy((estimator.model_, estimator._objective))
            auto, run = dict(estimator.auto_), estimator._run.again()
            return State(model, objective, layout, estimator._seed, auto, run, made_with)
        device = find_device(estimator.device)
        seed = Team().first(draw_seed(estimator.random_state), device)
        learned, watched = self._split(len(source), seed)
        split = None if watched is None else (learned, watched)
        self.linear = is_linear(estimator, likelihoods)
        given = (source, weight, layout, likelihoods, split, seed)
        is_long = False
        if self.linear and self._compares(len(learned), layout):
            ours = self._contestant(False, *given)
            if len(ours.held):  # where all rows are alike, none can be held out
                choice = choose(ours, self._contestant(True, *given))
                self.linear, is_long = not choice.is_random, choice.is_long
        model, objective = self._compose(*given)
        state = State(model, objective, layout, seed, self.auto, Run(), made_with)
        state.is_long = is_long
        if self.linear:
            start = self._start(model, objective, source, weight, split, seed)
            state.start_weight = start.start_weight
            if (rehearsal := start.rehearsal) is not None:
                state.stage, state.held = "rehearsal", start.held
                state.fresh = copy_of(state.learned)
                state.model, state.objective = rehearsal
            state.begun = weights_of(state.model)
        return state

    def _likelihoods(self, layout: Layout, source: Source) -> list[Likelihood]:
        if self.goes_on:
            return list(self.estimator.model_.likelihoods)
        return make_likelihoods(self.estimator.likelihood, layout, source)

    def _compose(
        self,
        source: Source,
        weight: torch.Tensor,
        layout: Layout,
        likelihoods: list[Likelihood],
        split: tuple[torch.Tensor, torch.Tensor] | None,
        seed: int,
    ) -> tuple[MultimodalVAE, Objective]:
        """Compose a new model."""
        n_rows = n_distinct(source) if self.linear else len(source)
        given = (self.estimator, layout.names, likelihoods, seed, n_rows)
        pieces = Pieces(*given, self.linear)
        model, objective = self._assemble(pieces, source)
        if self.linear and len(pieces.latent_dims) > 1:
            rows = hold(source, weight, model)
            dims, shrinkage = pieces.latent_dims, self.estimator.shrinkage
            chosen = choose_latent_dim(model, rows, split, seed, dims, shrinkage)
            pieces = Pieces(*given, self.linear, chosen)
            model, objective = self._assemble(pieces, source)
        self.auto |= {
            **pieces.auto,
            "init": "factor_analysis" if self.linear else "random",
            "latent_dim": model.latent_dim,
            "likelihood": [
                likelihood.describe(layout.labels(m)) for m, likelihood in enumerate(likelihoods)
            ],
            "dtype": self._dtype(source),
        }
        return model, objective

    def _compares(self, n_rows: int, layout: Layout) -> bool:
        """Whether there is to be a trial of where to start: it takes as long as small fits do."""
        estimator = self.estimator
        return (
            estimator._auto_compares
            and estimator.init == estimator.max_iter == "auto"
            and self.n_epochs is None
            and n_rows >= _AUTO_COMPARES
            and len(layout.names) > 1
        )

    def _contestant(
        self,
        linear: bool,
        source: Source,
        weight: torch.Tensor,
        layout: Layout,
        likelihoods: list[Likelihood],
        split: tuple[torch.Tensor, torch.Tensor] | None,
        seed: int,
    ) -> Contestant:
        """Compose a model at one start, for a trial of both."""
        trial = Fitting(self.estimator, goes_on=False)
        trial.linear = linear
        likelihoods = copy.deepcopy(likelihoods)
        model, objective = trial._compose(source, weight, layout, likelihoods, split, seed)
        rows = hold(source, weight, model)
        parts = some_of(rows, split, seed)
        if linear:
            trial._start(model, objective, source, weight, parts, seed)
            rows = hold(source, weight, model)  # its units may have changed
        kept, held = (rows.take(part) for part in parts)
        about = seed, len(kept), model, source
        plans = [trial._plan(*about, is_long) for is_long in (False, True)]
        return Contestant(model, objective, kept, held, *plans, layout.names)

    def _assemble(self, pieces: Pieces, source: Source) -> tuple[MultimodalVAE, Objective]:
        """Put pieces together, in their place and precision."""
        estimator = self.estimator
        model, objective = estimator._compose(pieces)
        if self.linear and not model.has_linear_start:
            kinds = [kind.name for kind in model.likelihoods if not kind.can_start]
            refused = ", ".join(map(repr, dict.fromkeys(kinds)))
            raise ValueError(
                "init='factor_analysis' is for products and joint encoders of Gaussian experts, "
                "with a standard Gaussian prior, a network for each modality, and likelihoods "
                f"that can start so{f', not {refused}' if refused else ''}. This "
                f"{type(estimator).__name__} has others: take init='random'."
            )
        for module in (model, objective):
            module.to(device=find_device(estimator.device))
        cast(model, torch.float64 if self._dtype(source) == "float64" else torch.float32)
        return model, objective

    def _start(
        self,
        model: MultimodalVAE,
        objective: Objective,
        source: Source,
        weight: torch.Tensor,
        split: tuple[torch.Tensor, torch.Tensor] | None,
        seed: int,
    ) -> LinearStart:
        """Start a model at a factor analysis."""
        estimator = self.estimator
        wanted = estimator.start_weight
        if wanted == "auto" and (self.n_epochs is not None or estimator.warm_start):
            wanted = 0.0  # training will go on from where it comes to
        start = LinearStart(
            model,
            objective,
            lambda model: hold(source, weight, model),
            split,
            seed,
            start_weight=wanted,
            shrinkage=estimator.shrinkage,
            trust=estimator.trust,
        )
        self.auto |= {"shrinkage": start.shrinkage, "trust": start.trust}
        return start

    def _dtype(self, source: Source) -> str:
        if self.estimator.dtype != "auto":
            return str(self.estimator.dtype)
        n_decoded = len(source) * sum(source.widths) * int(self.estimator.n_samples)
        is_small = source.dtype == np.float64 and n_decoded < _AUTO_DOUBLE
        return "float64" if is_small else "float32"

    def _split(self, n_rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Deal out row numbers: those to learn from, and to validate on if that is wanted."""
        estimator = self.estimator
        wanted = estimator.early_stopping
        if wanted == "auto":
            wanted = self.n_epochs is None and n_rows >= _AUTO_EARLY_STOPPING
        self.auto["early_stopping"] = bool(wanted)
        if not wanted:
            return torch.arange(n_rows), None
        return deal_to_validate(n_rows, estimator.validation_fraction, derive_seed(seed, 0))

    def _plan(
        self, seed: int, n_rows: int, model: MultimodalVAE, source: Source, is_long: bool
    ) -> Plan:
        estimator = self.estimator
        started = model.has_started
        # rows that stand twice do not make more of a table
        n_told = min(n_rows, n_distinct(source)) if started else n_rows
        cycle = Cycle(0, rate=_RATE)
        if started:
            cycle = estimator._cycle(n_told, sum(len(kind.seen) for kind in model.likelihoods))
        elif is_long:
            cycle = LONG
        plan = Plan(
            max_iter=estimator.max_iter if self.n_epochs is None else self.n_epochs,
            batch_size=estimator.batch_size,
            learning_rate=self._rate,
            learning_rate_init=self._rate_init(cycle.rate),
            weight_decay=_decay(estimator.weight_decay, n_told, started),
            kl_warmup=estimator.kl_warmup,
            n_iter_no_change=estimator.n_iter_no_change,
            tol=estimator.tol,
            seed=seed,
            verbose=int(estimator.verbose),
            compile=estimator.compile,
            n_steps=cycle.n_steps,
            step_rows=cycle.n_rows,
            most_epochs=estimator._auto_most_epochs,
        )
        self.auto |= {
            "batch_size": plan.n_batch(n_rows),
            "max_iter": plan.n_epochs(n_rows),
            "learning_rate_init": plan.learning_rate_init,
            "weight_decay": plan.weight_decay,
        }
        return plan

    def _rate_init(self, peak: float) -> float:
        """Read ``learning_rate_init``: "auto" is the peak of a cycle, too high to stay there."""
        if not isinstance(wanted := self.estimator.learning_rate_init, str):
            return float(wanted)
        return peak if self._rate == "one_cycle" else _RATE


def _decay(wanted: float | str, n_rows: int, started: bool) -> float:
    """Read ``weight_decay``: networks beside a linear solution are kept small, if rows are few."""
    if not isinstance(wanted, str):
        return float(wanted)
    return min(1.0, _DECAYS / n_rows) if started else 0.0


@contextmanager
def all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Leave the estimator as it was if what happens inside fails."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def draw_seed(random_state: Any) -> int:
    """One integer from a random_state; None is fresh entropy, so the global state never moves."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    return int(check_random_state(random_state).randint(2**31 - 1))
