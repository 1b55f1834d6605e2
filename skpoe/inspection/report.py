"""One page about a fitted estimator and its data."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.source import Source
from ..estimators.ending import still_falls
from ..estimators.face import BaseMultimodal
from ..estimators.summary import core_of, likelihood_in_words
from ..io.whole import replacing
from .canvas import choose, require_matplotlib, shorten
from .contribution import ModalityContributionDisplay
from .coverage import CoverageDisplay
from .latent import LatentDisplay
from .loss_curve import LossCurveDisplay
from .missingness import MissingnessDisplay
from .page import Section, facts, figure, page, paragraph, table
from .trials import Trial, column_means, how_hidden, linear_baseline, measure, trials_of

_N_DRAWS = 100
# numbers that are drawn for scores, about; and fewest rows all the same
_MOST_DRAWN, _FEWEST_ROWS = 2**24, 50
# cells in which patterns of what is missing are counted, about
_MOST_COUNTED = 2**26
# modalities that are hidden in turn
_MOST_HIDDEN = 20
# modalities whose bars fit a picture
_MOST_BARS = 30


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
    require_matplotlib(f"{type(estimator).__name__}.report")
    data = estimator._read(X)
    if y is not None and len(y) != len(data):
        raise ValueError(f"y has {len(y)} values, but X has {len(data)} rows.")
    scored = None if held_out is None else estimator._read(held_out)
    report = Report(estimator, data, scored, y, max_rows, random_state)
    text = report.html()
    with replacing(path) as beside:
        Path(beside).write_text(text, encoding="utf-8")
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
        n_trials = min(len(source.widths), _MOST_HIDDEN)
        n_drawn = _N_DRAWS * sum(source.widths) * n_trials  # of each row
        size = max(_FEWEST_ROWS, _MOST_DRAWN // n_drawn)
        return self._sample(source, min(size, self.max_rows))

    def _sample(self, source: Source, size: int) -> Source:
        rows = choose(len(source), size, self.random_state)
        return source if len(rows) == len(source) else source.take(rows)

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
        est = self.estimator
        doc = (inspect.getdoc(type(est)) or "").split("\n")[0]
        auto = {"imputation": est._how_to_average(est.imputation), **est.auto_}
        signature = inspect.signature(type(est)).parameters
        rows, marked = [], []
        for name, value in est.get_params(deep=False).items():
            default = signature[name].default
            came_to = _say(auto[name]) if _is_auto(value) and name in auto else ""
            rows.append((name, _say(value), came_to))
            marked.append(_say(value) != _say(default))
        return (
            paragraph(doc)
            + table(("slot", "what stands there"), core_of(est).items())
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
        if not any(row[3] for row in rows):  # columns without names
            header, rows = (*header[:3], *header[4:]), [(*row[:3], *row[4:]) for row in rows]
        some = self._sample(source, max(1000, _MOST_COUNTED // sum(source.widths)))
        display = MissingnessDisplay.from_source(some, layout)
        n_bars = min(len(display.counts), 16)
        return table(header, rows) + figure(
            lambda ax: display.plot(ax, max_patterns=15),
            "Bars: how many rows show which modalities",
            f"{len(display.counts):,} patterns, of {len(some):,} of the {len(source):,} rows.",
            (6.4, 1.2 + 0.3 * n_bars),
        )

    def _convergence(self) -> str:
        est = self.estimator
        display = LossCurveDisplay.of(est)
        text = [f"{est.n_iter_} steps."]
        if hasattr(est, "history_"):
            if not est.loss_curve_:  # max_iter=0, or an early interrupt
                return paragraph("No epoch was trained: the model is as it started.")
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
    def _trials(self) -> list[Trial]:
        return trials_of(self.estimator, self._scored, _MOST_HIDDEN)

    def _predictions(self) -> str:
        if not self._trials:
            return paragraph("No row shows more than one modality: nothing can be tested.")
        est, known = self.estimator, self._sample(self.data, self.max_rows)
        means, analysis, rows = column_means(known), linear_baseline(est, known), []
        for trial in self._trials:
            row = measure(est, trial, means, _N_DRAWS)
            if analysis is not None:
                row["error of factor analysis"] = measure(analysis, trial, means, 2)["error"]
            rows.append(row)
        frame = pd.DataFrame(rows).dropna(axis=1, how="all")
        n_modalities = len(self.data.widths)
        text = f"{how_hidden(n_modalities)} and predicted from the rest. {self._which_rows()}"
        if analysis is not None:
            text += " Factor analysis was fitted to rows given as X."
        if n_modalities > _MOST_HIDDEN:
            text += f" Only the first {_MOST_HIDDEN} of {n_modalities} modalities were."
        meaning = (
            "error: mean squared error over that of the column mean, the median over columns; 1 "
            "is no better than the mean, 0 is perfect."
        )
        if "accuracy" in frame:
            meaning += (
                " accuracy: of flags and levels, the share that is predicted right; most "
                "frequent: that of the commonest level."
            )
        meaning += " 90 % coverage: share of hidden cells inside their intervals."
        return (
            paragraph(text)
            + table(list(frame.columns), frame.itertuples(index=False))
            + paragraph(meaning, note=True)
        )

    def _coverage(self) -> str:
        shares, counts = [], []
        for _, source, known in self._trials:
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
        rows = [(shorten(name), *told) for name, *told in display.means.itertuples()]
        picture = ""
        if len(rows) <= _MOST_BARS:
            picture = figure(
                display.plot,
                "Bars: nats that each modality tells about z",
                "A modality that tells much alone and little beside the others repeats them; "
                "where it tells much more beside them, posteriors without it are too sure.",
                (6.4, 1.6 + 0.5 * len(rows)),
            )
        return (
            paragraph(
                "Information about the latent variables, means over the rows that show the "
                f"modality, nats. {self._which_rows()}"
            )
            + table(("modality", *display.means.columns), rows)
            + picture
        )


def _some(labels: Any) -> str:
    labels = list(labels)
    if labels == list(range(len(labels))):
        return ""
    return ", ".join(shorten(x) for x in labels[:5]) + (", ..." if len(labels) > 5 else "")


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _say(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
