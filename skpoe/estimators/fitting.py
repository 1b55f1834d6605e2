"""From data and flat parameters to fitted attributes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import nn

from .._compat import _check_sample_weight
from ..data.layout import Layout
from ..data.rows import Chunked, Held, Rows, Streamed
from ..data.source import Source
from ..data.validation import read
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..objectives import Objective
from ..random import derive_seed
from ..threads import limit_threads
from ..training import Plan, Record, Run, train
from .pieces import Pieces, make_likelihoods
from .starting import find_start, is_linear

# below so many rows, those held out for validation are worth more in training
_AUTO_EARLY_STOPPING = 2000
# a standardised copy of the data may take so many bytes: of data in memory, and of data on disk
_HELD, _HELD_FROM_ELSEWHERE = 2**30, 2**25
# below so many rows, training in float64 takes about a fifth longer (measured)
_AUTO_DOUBLE = 1000


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

    def run(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Read, compose or go on, train, and leave fitted attributes on the estimator."""
        estimator = self.estimator
        known = estimator._layout if self.goes_on else None
        source, layout = read(estimator, X, known)
        likelihoods = (
            list(estimator.model_.likelihoods)
            if self.goes_on
            else make_likelihoods(estimator.likelihood, layout.names, source)
        )
        for rows in source.chunks():
            check_support(likelihoods, layout.names, source[rows], rows.start)
        source, weights = _weigh(source, sample_weight)
        with limit_threads(estimator.n_threads):
            weight = torch.from_numpy(weights)
            if self.goes_on:
                # a copy: if training fails, the estimator keeps the model that it has
                model, objective = copy.deepcopy((estimator.model_, estimator._objective))
                seed = estimator._seed
            else:
                for m, likelihood in enumerate(likelihoods):
                    likelihood.start(Chunked(source.one(m), weight))
                seed = draw_seed(estimator.random_state)
                model, objective = self._compose(source, weight, layout, likelihoods, seed)
            learn, watch = self._split(_rows(source, weight, model), seed)
            plan = self._plan(seed, model.has_started)
            context = estimator._init_callback_context(max_subtasks=plan.n_epochs(len(learn)))
            about = {"estimator": estimator, "X": X, "y": y}
            if sample_weight is not None:
                about["metadata"] = {"sample_weight": sample_weight}
            context.call_on_fit_task_begin(**about)

            def after_epoch(record: Record) -> bool:
                # a callback may ask for an estimator as if training had stopped here
                epoch = context.subcontext(task_name="epoch").call_on_fit_task_begin(**about)
                return epoch.call_on_fit_task_end(
                    **about,
                    reconstruction_attributes=lambda: self._fitted(
                        copy.deepcopy(model), objective, layout, seed, Run([record])
                    ),
                )

            before = estimator._run if self.goes_on else Run()
            with self._lend_global_generator(derive_seed(seed, before.step)):
                run = train(
                    model,
                    objective,
                    learn,
                    plan,
                    layout.names,
                    validation=watch,
                    run=before,
                    after_epoch=after_epoch,
                )
        if self._rate != "constant" and not estimator.warm_start:
            run.optimizer = None  # as large as two models, and of no use any more
        fitted = self._fitted(model, objective, layout, seed, run)
        for name, value in fitted.items():
            setattr(estimator, name, value)
        context.call_on_fit_task_end(**about, reconstruction_attributes=fitted)
        self._warn(run)

    def _compose(
        self,
        source: Source,
        weight: torch.Tensor,
        layout: Layout,
        likelihoods: list[Likelihood],
        seed: int,
    ) -> tuple[MultimodalVAE, Objective]:
        """Compose a new model, in its place and precision, where training starts."""
        estimator = self.estimator
        linear = is_linear(estimator, likelihoods)
        pieces = Pieces(
            estimator, layout.names, layout.widths, likelihoods, seed, len(source), linear
        )
        model, objective = estimator._compose(pieces)
        for module in (model, objective):
            module.to(device=find_device(estimator.device))
        _cast(model, torch.float64 if self._is_double(source) else torch.float32)
        if linear:
            model.start_at(find_start(model, source, weight, seed))
        return model, objective

    def _is_double(self, source: Source) -> bool:
        small = source.dtype == np.float64 and len(source) < _AUTO_DOUBLE
        return small if self.estimator.dtype == "auto" else self.estimator.dtype == "float64"

    def _split(self, rows: Rows, seed: int) -> tuple[Rows, Rows | None]:
        """Hold rows out to validate on, if early stopping asks for it."""
        estimator, n_rows = self.estimator, len(rows)
        wanted = estimator.early_stopping
        if wanted == "auto":
            wanted = self.n_epochs is None and n_rows >= _AUTO_EARLY_STOPPING
        if not wanted:
            return rows, None
        n_held = min(n_rows - 1, max(1, round(estimator.validation_fraction * n_rows)))
        generator = torch.Generator().manual_seed(derive_seed(seed, 0))
        order = torch.randperm(n_rows, generator=generator).to(rows.weights.device)
        return rows.take(order[n_held:].sort().values), rows.take(order[:n_held].sort().values)

    @contextmanager
    def _lend_global_generator(self, seed: int) -> Iterator[None]:
        """Seed torch's own generator for users' networks: dropout draws from it."""
        if self.estimator.encoder is None and self.estimator.decoder is None:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield

    def _plan(self, seed: int, started: bool) -> Plan:
        estimator = self.estimator
        return Plan(
            max_iter=estimator.max_iter if self.n_epochs is None else self.n_epochs,
            batch_size=estimator.batch_size,
            learning_rate=self._rate,
            learning_rate_init=estimator.learning_rate_init,
            weight_decay=_decay(estimator.weight_decay, started),
            kl_warmup=estimator.kl_warmup,
            n_iter_no_change=estimator.n_iter_no_change,
            tol=estimator.tol,
            seed=seed,
            verbose=int(estimator.verbose),
            started=started,
        )

    @staticmethod
    def _fitted(
        model: MultimodalVAE, objective: Objective, layout: Layout, seed: int, run: Run
    ) -> dict[str, Any]:
        """Every attribute that a fitted estimator has."""
        watched = [record["validation"] for record in run.history if "validation" in record]
        return {
            "model_": model,
            "modality_names_": list(layout.names),
            "latent_dim_": model.latent_dim,
            "history_": run.history,
            "loss_curve_": [record["loss"] for record in run.history],
            "validation_scores_": watched or None,
            "best_validation_score_": max(watched) if watched else None,
            "n_iter_": len(run.history),
            "_n_features_out": model.latent_dim,
            "_layout": layout,
            "_objective": objective,
            "_seed": seed,
            "_run": run,
        }

    def _warn(self, run: Run) -> None:
        name, losses = type(self.estimator).__name__, [r["loss"] for r in run.history]
        if run.interrupted:
            warnings.warn(
                f"Training of {name} was interrupted after {len(losses)} epochs; it can be used "
                "as it is.",
                UserWarning,
                stacklevel=7,  # the line that called fit
            )
        elif self.n_epochs is None and self.estimator.max_iter != "auto" and _falls(losses):
            warnings.warn(
                f"The loss of {name} was still falling when max_iter={self.estimator.max_iter} "
                "epochs were over. Increase max_iter, or set max_iter='auto'.",
                ConvergenceWarning,
                stacklevel=7,  # the line that called fit
            )


def _cast(model: MultimodalVAE, dtype: torch.dtype) -> None:
    """Give all that is learned one precision; what likelihoods read off the data keeps its own."""
    for name, part in model.named_children():
        if name != "likelihoods":
            part.to(dtype=dtype)
    for parameter in nn.ModuleList(model.likelihoods).parameters():
        parameter.data = parameter.data.to(dtype)


def _weigh(source: Source, sample_weight: Any) -> tuple[Source, np.ndarray]:
    """Leave out rows of weight zero; give the weights of the others."""
    if sample_weight is None:
        return source, np.ones(len(source))
    rows = np.broadcast_to(0.0, (len(source), 1))  # scikit-learn asks for something as long as X
    weights = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    kept = weights > 0
    if not kept.any():
        raise ValueError("sample_weight is zero for every row: there is nothing to learn from.")
    return source if kept.all() else source.take(kept), weights[kept]


def check_support(
    likelihoods: Iterable[Likelihood],
    names: Sequence[str],
    arrays: Sequence[np.ndarray],
    first_row: int,
) -> None:
    """Refuse values that a likelihood does not know."""
    for likelihood, name, array in zip(likelihoods, names, arrays, strict=True):
        likelihood.check(array, name, first_row)


def _rows(source: Source, weight: torch.Tensor, model: MultimodalVAE) -> Rows:
    """Hold the rows in memory, standardised, unless they take much more there than now."""
    here = next(model.parameters())
    n_bytes = len(source) * sum(source.widths) * here.element_size()
    fits = n_bytes <= (_HELD_FROM_ELSEWHERE if source.is_elsewhere else _HELD)
    table = Held.read(source, model.read) if fits else Streamed(source, model.read)
    return Rows(table, weight.to(device=here.device, dtype=here.dtype))


def _decay(wanted: float | str, started: bool) -> float:
    """Read ``weight_decay``: networks beside a linear solution are kept small."""
    return (1.0 if started else 0.0) if isinstance(wanted, str) else float(wanted)


def _falls(losses: list[float]) -> bool:
    """Whether the last tenth of training brought more than a twentieth of the whole fall."""
    window = max(1, len(losses) // 10)
    if len(losses) < 2 * window + 1:
        return True
    last, before = np.mean(losses[-window:]), np.mean(losses[-2 * window : -window])
    return before - last > 0.05 * (losses[0] - last)


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


def find_device(device: Any) -> torch.device:
    """Read the ``device`` parameter."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device("cpu" if device is None else device)
