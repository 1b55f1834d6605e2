"""One page about a fitted estimator and its data."""

from __future__ import annotations

import inspect
import os
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.modalities import Modalities
from ..data.source import Source
from ..estimators import MultimodalFactorAnalysis
from ..estimators.face import BaseMultimodal
from ..estimators.fitting import still_falls
from ..evaluation import scores_of
from ..io.container import replace_file
from .canvas import choose, shorten
from .contribution import ModalityContributionDisplay
from .coverage import CoverageDisplay
from .latent import LatentDisplay
from .loss_curve import LossCurveDisplay
from .missingness import MissingnessDisplay
from .page import Section, facts, figure, page, paragraph, table

_N_DRAWS = 100
# numbers that are drawn for scores, about; and fewest rows all the same
_MOST_DRAWN, _FEWEST_ROWS = 2**26, 50
# modalities that are hidden in turn
_MOST_HIDDEN = 20
# entries of one table that are hidden
_SHARE_HIDDEN = 0.3
# numbers to which factor analysis is fitted on the way
_CHEAP = 40_000


def write_report(
    estimator: BaseMultimodal,
    X: Any,
    path: str | os.PathLike[str],
    *,
    y: Any,
    held_out: Any,
    max_rows: int,
    random_state: Any,
) -> Path:
    """Write what ``est.report`` promises."""
    data = estimator._read(X)
    if y is not None and len(y) != len(data):
        raise ValueError(f"y has {len(y)} values, but X has {len(data)} rows.")
    scored = None if held_out is None else estimator._read(held_out)
    report = Report(estimator, data, scored, y, max_rows, random_state)
    replace_file(os.path.realpath(path), report.html().encode())
    return Path(path)


@dataclass(frozen=True)
class Report:
    """What a page is made of.

    Parameters
    ----------
    estimator : fitted estimator of this library
    data : Source
        The rows that it describes.
    held_out : Source or None
        Rows to score; those of ``data`` when None.
    y : array-like of shape (n_samples,) or None
        Colours of a map of ``data``.
    max_rows : int
        So many rows at most are scored and drawn.
    random_state : int, RandomState or None
    """

    estimator: BaseMultimodal
    data: Source
    held_out: Source | None
    y: Any
    max_rows: int
    random_state: Any

    def html(self) -> str:
        """Write the page."""
        name = type(self.estimator).__name__
        parts = [
            Section("model", "Model", self._model()),
            Section("data", "Data", self._data()),
            Section("convergence", "Convergence", self._convergence()),
            Section("predictions", "Predictions", self._predictions()),
            Section("coverage", "Coverage of intervals", self._coverage()),
            Section("latent", "Latent variables", self._latent()),
            Section("contributions", "What modalities tell", self._contributions()),
        ]
        return page(f"{name}: report", self._lead(), parts)

    @cached_property
    def _scored(self) -> Source:
        """The rows that are scored."""
        source = self.data if self.held_out is None else self.held_out
        size = max(_FEWEST_ROWS, _MOST_DRAWN // (_N_DRAWS * sum(source.widths)))
        return self._sample(source, min(size, self.max_rows))

    def _sample(self, source: Source, size: int) -> Source:
        rows = choose(len(source), size, self.random_state)
        return source if len(rows) == len(source) else source.take(rows)

    @cached_property
    def _arrays(self) -> list[np.ndarray]:
        return self._scored[:]

    def _which_rows(self) -> str:
        """Say whose scores these are."""
        whole = self.data if self.held_out is None else self.held_out
        n, some = len(whole), len(self._scored)
        part = f"a random sample of {some:,} of the {n:,}" if some < n else f"the {n:,}"
        if self.held_out is not None:
            return f"Of {part} rows given as held_out."
        return (
            f"Of {part} rows given as X. If the estimator was trained on them, this flatters it: "
            "pass rows that it never saw as held_out."
        )

    def _lead(self) -> str:
        est, source = self.estimator, self.data
        bounds = est._bounds(self._scored)
        error = bounds.std(ddof=1) / len(bounds) ** 0.5 if len(bounds) > 1 else np.nan
        missing, cells = self._holes.sum(), len(source) * sum(source.widths)
        boxes = {
            "rows": len(source),
            "modalities": len(source.widths),
            "features": sum(source.widths),
            "cells missing": f"{missing / cells:.1%}",
            "log-likelihood, nats a row": f"{bounds.mean():.1f} ± {error:.1f}",
            "latent variables": est.latent_dim_,
        }
        return facts(boxes) + paragraph(
            f"Log-likelihood: {_lower(self._which_rows())} Its standard error stands behind it.",
            note=True,
        )

    def _model(self) -> str:
        est, model = self.estimator, self.estimator.model_
        doc = (inspect.getdoc(type(est)) or "").split("\n")[0]
        n_weights = sum(parameter.numel() for parameter in model.parameters())
        core = table(
            ("slot", "what stands there"), [*core_of(est).items(), ("weights", n_weights)]
        )
        auto = getattr(est, "auto_", {})
        signature = inspect.signature(type(est)).parameters
        rows, marked = [], []
        for name, value in est.get_params(deep=False).items():
            default = signature[name].default
            came_to = auto.get(name, "") if isinstance(value, str) and value == "auto" else ""
            rows.append((name, _say(value), _say(came_to) if came_to != "" else ""))
            marked.append(_say(value) != _say(default))
        return (
            paragraph(doc)
            + core
            + "<h3>Parameters</h3>"
            + paragraph(
                f"{sum(marked)} of {len(rows)} are not the default; they stand out.", note=True
            )
            + table(("parameter", "value", 'what "auto" came to'), rows, marked)
        )

    @cached_property
    def _holes(self) -> np.ndarray:
        """Missing cells of each modality, over all rows."""
        counts = np.zeros(len(self.data.widths), dtype=int)
        for rows in self.data.chunks():
            counts += [int(np.isnan(x).sum()) for x in self.data[rows]]
        return counts

    def _data(self) -> str:
        est, source = self.estimator, self.data
        shown = source.observed()
        layout, likelihoods = est._layout, est.model_.likelihoods
        rows = [
            (
                name,
                likelihood_in_words(likelihoods[m], layout.labels(m)),
                "x".join(map(str, np.atleast_1d(layout.sizes[m]))),
                _some(layout.labels(m)),
                int(shown[:, m].sum()),
                f"{self._holes[m] / (len(source) * source.widths[m]):.1%}",
            )
            for m, name in enumerate(layout.names)
        ]
        header = ("modality", "likelihood", "features", "columns", "rows that show it", "missing")
        display = MissingnessDisplay.from_source(self._sample(source, 100_000), layout)
        n_bars = min(len(display.counts), 16)
        return table(header, rows) + figure(
            lambda ax: display.plot(ax, max_patterns=15),
            "Bars: how many rows show which modalities",
            f"{len(display.counts):,} patterns of what rows show.",
            (6.4, 1.2 + 0.3 * n_bars),
        )

    def _convergence(self) -> str:
        est = self.estimator
        display = LossCurveDisplay.of(est)
        text = [f"{est.n_iter_} steps."]
        if hasattr(est, "history_"):
            text = [
                f"{est.n_iter_} epochs; the last loss is {est.loss_curve_[-1]:.4g} nats a row."
            ]
            if est.best_validation_score_ is not None:
                best = int(np.nanargmax(est.validation_scores_)) + 1
                text.append(f"The weights of epoch {best} were kept, the best on held-out rows.")
            if est._run.interrupted:
                text.append("Warning: training was interrupted.")
            elif not est.auto_.get("start_weight") and still_falls(est.loss_curve_):
                text.append("Warning: the loss was still falling. Increase max_iter.")
        return paragraph(" ".join(text)) + figure(
            display.plot, "The loss after each step", "Falling and then flat is what one wants."
        )

    @cached_property
    def _hidden(self) -> list[tuple[str, Source, list[np.ndarray]]]:
        """Tests: what is hidden, the rows without it, and what is known of it."""
        arrays, names = self._arrays, self.estimator.modality_names_
        if len(arrays) == 1:
            rng = np.random.default_rng(0)
            hide = (rng.uniform(size=arrays[0].shape) < _SHARE_HIDDEN) & ~np.isnan(arrays[0])
            return [(names[0], self._without([hide]), arrays)] if hide.any() else []
        shown = self._scored.observed()
        tests = []
        for m in range(min(len(arrays), _MOST_HIDDEN)):
            rows = np.flatnonzero(shown[:, m] & (shown.sum(axis=1) > 1))
            if len(rows):
                known = [x[rows] for x in arrays]
                tests.append((names[m], self._scored.take(rows).hide([m]), known))
        return tests

    def _without(self, hide: list[np.ndarray]) -> Source:
        holed = [np.where(h, np.nan, x) for h, x in zip(hide, self._arrays, strict=True)]
        named = dict(zip(self.estimator.modality_names_, holed, strict=True))
        return Source(Modalities(named), self._scored.widths, self._scored.dtype)

    def _predictions(self) -> str:
        if not self._hidden:
            return paragraph("No row shows more than one modality: nothing can be tested.")
        analysis, rows = self._factor_analysis, []
        for name, source, known in self._hidden:
            row = self._row(name, self.estimator, source, known)
            if analysis is not None:
                row["factor analysis"] = self._row(name, analysis, source, known)["error"]
            rows.append(row)
        frame = pd.DataFrame(rows).dropna(axis=1, how="all")
        text = (
            f"{_SHARE_HIDDEN:.0%} of the shown entries were hidden at random"
            if len(self._arrays) == 1
            else "Each modality was hidden in turn, in the rows that show others too,"
        )
        more = (
            " Factor analysis was fitted to the rows given as X." if analysis is not None else ""
        )
        if len(self._arrays) > _MOST_HIDDEN:
            more += f" Only the first {_MOST_HIDDEN} of {len(self._arrays)} modalities were."
        return (
            paragraph(f"{text} and predicted from the rest. {self._which_rows()}{more}")
            + table(list(frame.columns), frame.itertuples(index=False))
            + paragraph(
                "error: mean squared error over that of the column mean, the mean over columns; "
                "1 is no better than the mean, 0 is perfect. accuracy, of flags and levels, beside "
                "that of the most frequent level. 90 % coverage: share of hidden cells inside "
                "their intervals.",
                note=True,
            )
        )

    def _row(
        self, name: str, est: BaseMultimodal, source: Source, known: list[np.ndarray]
    ) -> dict[str, Any]:
        scores = scores_of(est, source, known, 0.9, _N_DRAWS)
        base, common = self._baselines(source, known)
        error = (scores["rmse"] ** 2 / base)[base > 0]
        inside, n = scores["coverage"].dropna(), scores["n_hidden"]
        return {
            "hidden": name,
            "cells": int(n.sum()),
            "error": error.mean(),
            "accuracy": scores["accuracy"].mean(),
            "most frequent": common[scores["accuracy"].notna()].mean(),
            "90 % coverage": np.average(inside, weights=n[inside.index])
            if len(inside)
            else np.nan,
        }

    @cached_property
    def _column_means(self) -> list[np.ndarray]:
        """Mean of what the rows given as X show, of each column, (F_m,) a modality."""
        arrays = self._sample(self.data, self.max_rows)[:]
        counts = [np.maximum((~np.isnan(x)).sum(axis=0), 1) for x in arrays]
        return [np.nansum(x, axis=0) / n for x, n in zip(arrays, counts, strict=True)]

    def _baselines(self, source: Source, known: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Give, of each column with hidden cells, what the plainest guesses come to.

        Mean squared error of the column mean, and share of the most frequent value.
        """
        squares, shares = [], []
        for x, y, mean in zip(source[:], known, self._column_means, strict=True):
            hidden = np.isnan(x) & ~np.isnan(y)
            for j in np.flatnonzero(hidden.any(axis=0)):
                cells = y[hidden[:, j], j]
                squares.append(np.square(cells - mean[j]).mean())
                shares.append(np.unique(cells, return_counts=True)[1].max() / len(cells))
        return np.array(squares), np.array(shares)

    @cached_property
    def _factor_analysis(self) -> MultimodalFactorAnalysis | None:
        """A linear model of the rows given as X, where it is cheap and makes sense."""
        est = self.estimator
        members = (part for each in est.model_.likelihoods for part in each.members())
        if isinstance(est, MultimodalFactorAnalysis) or any(part.has_levels for part in members):
            return None
        width = sum(self.data.widths)
        rows = min(self.max_rows, _CHEAP // width)
        if rows < 4 * _FEWEST_ROWS and rows < len(self.data):
            return None
        arrays = self._sample(self.data, rows)[:]
        X = Modalities(dict(zip(est.modality_names_, arrays, strict=True)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is a baseline, good or not
            return MultimodalFactorAnalysis(n_threads=est.n_threads).fit(X)

    def _coverage(self) -> str:
        shares, counts = [], []
        for _, source, known in self._hidden:
            try:
                display = CoverageDisplay.from_source(
                    self.estimator, source, known, n_draws=_N_DRAWS
                )
            except ValueError:  # nothing that has an interval was hidden
                continue
            shares.append(display.shares)
            counts.append(display.n_hidden)
        if not shares:
            return paragraph("Nothing that has an interval could be hidden and tested.")
        whole = CoverageDisplay(shares=pd.concat(shares), n_hidden=pd.concat(counts))
        levels = [0.5, 0.8, 0.9, 0.95]
        rows = [(name, *row[levels]) for name, row in whole.shares.iterrows()]
        return (
            paragraph(f"Of the cells that were hidden for the table above. {self._which_rows()}")
            + table(("modality", *(f"{level:.0%}" for level in levels)), rows)
            + figure(
                whole.plot,
                "Share of hidden cells inside intervals against their nominal probability",
                "Below the diagonal intervals are too narrow, above it too wide.",
                (6.4, 4.8),
            )
        )

    def _latent(self) -> str:
        est, size = self.estimator, min(self.max_rows, len(self.data))
        rows = choose(len(self.data), size, self.random_state)
        some = self.data.take(rows)
        shown = LatentDisplay.from_source(est, some)
        parts = []
        if self.y is not None:
            name = getattr(self.y, "name", None) or "y"
            by_y = LatentDisplay.from_source(
                est, some, np.asarray(self.y)[rows], name, shown.projection
            )
            text = f"Posterior means of {size:,} rows given as X, coloured by {shorten(name)}."
            parts.append(figure(by_y.plot, f"Map of rows by {shorten(name)}", text, (6.4, 4.8)))
        text = f"Posterior means of {size:,} rows given as X"
        if shown.hue is not None:
            text += ", coloured by what they show"
        parts.append(figure(shown.plot, "Map of rows by what they show", f"{text}.", (6.4, 4.8)))
        return "\n".join(parts)

    def _contributions(self) -> str:
        display = ModalityContributionDisplay.from_source(self.estimator, self._scored)
        names = [shorten(name) for name in display.modality_names]
        rows = [
            (name, *(x[~np.isnan(x)].mean() if (~np.isnan(x)).any() else None for x in both))
            for name, *both in zip(names, display.alone.T, display.beside.T, strict=True)
        ]
        most = display if len(names) <= 30 else None
        picture = (
            ""
            if most is None
            else figure(
                most.plot,
                "Bars: nats that each modality tells about z",
                "A modality that tells much alone and little beside the others repeats them.",
                (6.4, 1.6 + 0.5 * len(names)),
            )
        )
        return (
            paragraph(
                "Information about the latent variables, means over the rows that show the "
                f"modality, nats. {self._which_rows()}"
            )
            + table(("modality", "alone", "beside the others"), rows)
            + picture
        )


def core_of(estimator: BaseMultimodal) -> dict[str, str]:
    """Name what stands in the slots of a fitted model."""
    model = estimator.model_
    objective = getattr(estimator, "_objective", None)
    core = {
        "strategy": type(model.strategy).__name__,
        "posterior": type(model.strategy.family).__name__,
        "components": f"{len(model.subsets)}",
        "prior": type(model.prior).__name__,
        "objective": "log-likelihood (EM)" if objective is None else type(objective).__name__,
    }
    if model.private is not None:
        core["private variables"] = f"{model.private.prior.latent_dim} a modality"
    return core


def likelihood_in_words(likelihood: Any, labels: Any) -> str:
    """Name a likelihood; of columns of several kinds, how many have which."""
    told = likelihood.describe(labels)
    if not isinstance(told, dict):
        return str(told)
    return ", ".join(f"{n} {name}" for name, n in Counter(map(str, told.values())).most_common())


def _some(labels: Any) -> str:
    labels = list(labels)
    if labels == list(range(len(labels))):
        return ""
    return ", ".join(shorten(x) for x in labels[:5]) + (", ..." if len(labels) > 5 else "")


def _say(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
