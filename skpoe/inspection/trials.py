"""Hide what is known, predict it, and measure: beside the plainest guesses."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from ..data.modalities import Modalities
from ..data.source import Source
from ..estimators import MultimodalFactorAnalysis
from ..estimators.face import BaseMultimodal
from ..evaluation import scores_of

# entries of one table that are hidden
_SHARE_HIDDEN = 0.3
# numbers to which factor analysis is fitted on the way, and fewest rows, if there are so many
_CHEAP, _FEWEST = 40_000, 200
# fewer rows are no baseline
_TOO_FEW = 20


class Trial(NamedTuple):
    """Something hidden.

    Parameters
    ----------
    name : str
        Of the modality.
    source : Source
        Rows without it.
    known : list of ndarray of shape (N, F_m)
        What is known of them.
    """

    name: str
    source: Source
    known: list[np.ndarray]


def trials_of(estimator: BaseMultimodal, source: Source, most: int) -> list[Trial]:
    """Hide each modality in turn where rows show others too; of one, entries at random."""
    arrays, names = source[:], estimator.modality_names_
    if len(arrays) == 1:
        chance = np.random.default_rng(0).uniform(size=arrays[0].shape)
        holed = np.where(chance < _SHARE_HIDDEN, np.nan, arrays[0])
        if (np.isnan(holed) == np.isnan(arrays[0])).all():
            return []
        rest = Source(Modalities({names[0]: holed}), source.widths, source.dtype)
        return [Trial(names[0], rest, arrays)]
    shown, trials = source.observed(), []
    for m, name in enumerate(names[:most]):
        rows = np.flatnonzero(shown[:, m] & (shown.sum(axis=1) > 1))
        if len(rows):
            trials.append(Trial(name, source.take(rows).hide([m]), [x[rows] for x in arrays]))
    return trials


def how_hidden(n_modalities: int) -> str:
    """Say what :func:`trials_of` hides."""
    if n_modalities == 1:
        return f"{_SHARE_HIDDEN:.0%} of the shown entries were hidden at random"
    return "Each modality was hidden in turn, in the rows that show others too,"


def measure(
    estimator: BaseMultimodal, trial: Trial, means: list[np.ndarray], n_draws: int
) -> dict[str, Any]:
    """Predict what is hidden, and compare.

    Parameters
    ----------
    estimator : fitted estimator of this library
    trial : Trial
    means : list of ndarray of shape (F_m,)
        Of columns: the plainest guess.
    n_draws : int
        What intervals are read off.

    Returns
    -------
    row : dict
        ``hidden``; ``cells``; ``error``, mean squared error over that of the means, the median of
        columns; ``accuracy`` of flags and levels, and how ``most frequent`` the commonest is;
        ``90 % coverage``. NaN where there is none.
    """
    scores = scores_of(estimator, trial.source, trial.known, 0.9, n_draws)
    squares, common = [], []
    for x, y, mean in zip(trial.source[:], trial.known, means, strict=True):
        hidden = np.isnan(x) & ~np.isnan(y)
        for j in np.flatnonzero(hidden.any(axis=0)):  # in the order of the scores
            cells = y[hidden[:, j], j]
            squares.append(np.square(cells - mean[j]).mean())
            common.append(np.unique(cells, return_counts=True)[1].max() / len(cells))
    base, inside, n = np.array(squares), scores["coverage"].dropna(), scores["n_hidden"]
    covered = np.average(inside, weights=n[inside.index]) if len(inside) else np.nan
    return {
        "hidden": trial.name,
        "cells": int(n.sum()),
        "error": (scores["rmse"][base > 0] ** 2 / base[base > 0]).median(),
        "accuracy": scores["accuracy"].mean(),
        "most frequent": np.array(common)[scores["accuracy"].notna()].mean()
        if scores["accuracy"].notna().any()
        else np.nan,
        "90 % coverage": covered,
    }


def column_means(source: Source) -> list[np.ndarray]:
    """Give the mean of what each column shows, (F_m,) a modality; 0 where it shows nothing."""
    arrays = source[:]
    counts = [np.maximum((~np.isnan(x)).sum(axis=0), 1) for x in arrays]
    return [np.nansum(x, axis=0) / n for x, n in zip(arrays, counts, strict=True)]


def linear_baseline(estimator: BaseMultimodal, source: Source) -> MultimodalFactorAnalysis | None:
    """Fit factor analysis to as many rows as are cheap; None where that makes no sense."""
    members = (part for each in estimator.model_.likelihoods for part in each.members())
    if isinstance(estimator, MultimodalFactorAnalysis) or any(part.has_levels for part in members):
        return None
    n_rows = min(len(source), _CHEAP // sum(source.widths))
    if n_rows < min(_FEWEST, len(source)) or len(source) < _TOO_FEW:
        return None
    arrays = source[slice(n_rows)]
    X = Modalities(dict(zip(estimator.modality_names_, arrays, strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is a baseline, good or not
        return MultimodalFactorAnalysis(n_threads=estimator.n_threads).fit(X)
