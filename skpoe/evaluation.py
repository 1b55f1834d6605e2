"""How well hidden cells are filled in, column by column, by what each column holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .data.modalities import Modalities
from .data.source import Source
from .datasets import drop_entries
from .drawing import central_interval, quantiles
from .estimators.face import BaseMultimodal

_COLUMNS = [
    "modality",
    "column",
    "likelihood",
    "n_hidden",
    "rmse",
    "relative_error",
    "accuracy",
    "log_loss",
    "crps",
    "coverage",
    "width",
]
# numbers of draws that are held at a time
_HELD = 2**24


def imputation_scores(
    estimator: BaseMultimodal,
    X: Any,
    truth: Any,
    *,
    coverage: float = 0.9,
    n_draws: int = 200,
) -> pd.DataFrame:
    r"""Compare filled-in cells, draws, intervals and probabilities with what was hidden.

    Parameters
    ----------
    estimator : fitted estimator of this library
    X : list, tuple or dict of tables; Modalities; array or DataFrame
        Rows with holes.
    truth : same type as X
        The same rows with what is known of those holes; what is NaN here too does not count.
    coverage : float, default=0.9
        Nominal probability of the intervals.
    n_draws : int, default=200
        What intervals and the continuous ranked probability score (CRPS) are read off; at least
        2.

    Returns
    -------
    scores : DataFrame
        One row a column that has hidden cells, under its modality and label:

        - ``likelihood``, and ``n_hidden``, the number of cells;
        - ``rmse`` of ``predict_missing``, in the data's units, and ``relative_error``, its square
          over the variance of the hidden cells: 1 is no better than their mean, 1 minus it is
          R2; NaN for levels, and where the cells do not vary;
        - ``accuracy`` of it, and ``log_loss`` of the probabilities in nats a cell, of flags and
          levels; NaN for others;
        - ``crps``: mean of :math:`\mathbb{E}|x - y| - \tfrac{1}{2} \mathbb{E}|x - x'|` over cells
          y, with draws x, x'; in the data's units, of ordered levels in levels. In the mean it is
          smallest for draws from the true distribution; of a certain guess it is its absolute
          error;
        - ``coverage`` and ``width`` of the intervals. They and the CRPS are NaN for categories
          without an order.

    Raises
    ------
    ValueError
        If coverage is not between 0 and 1, there are less than 2 draws, or no entry is missing in
        X and known in truth.

    References
    ----------
    Strictly proper scoring rules, prediction, and estimation (Gneiting & Raftery, 2007), Journal
    of the American Statistical Association 102, equation 21.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.evaluation import imputation_scores
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(400, 1))
    >>> truth = {"rna": z + rng.normal(size=(400, 4)), "adt": z + rng.normal(size=(400, 1))}
    >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(truth)
    >>> scores = imputation_scores(est, {**truth, "adt": None}, truth)
    >>> scores.round(1)[["n_hidden", "rmse", "crps", "coverage"]]
                     n_hidden  rmse  crps  coverage
    modality column
    adt      0            400   1.1   0.6       0.9
    """
    _check(coverage, n_draws)
    source, known = estimator._read_beside(X, truth)
    scores = scores_of(estimator, source, known[:], coverage, n_draws)
    if not len(scores):
        raise ValueError("No entry is missing in X and known in truth: nothing to score.")
    return scores


def evaluate_imputation(
    estimator: BaseMultimodal,
    X: Any,
    *,
    hide: str = "modalities",
    rate: float = 0.1,
    coverage: float = 0.9,
    n_draws: int = 200,
    random_state: Any = None,
) -> pd.DataFrame:
    """Hide cells that are known, fill them in, and compare: see :func:`imputation_scores`.

    Parameters
    ----------
    estimator : fitted estimator of this library
        Trained on other rows, if what it says of new ones is asked for.
    X : list, tuple or dict of tables; Modalities; array or DataFrame
        NaN where missing.
    hide : {"modalities", "entries"}, default="modalities"
        Each modality in turn, in all rows, to be filled in from the others; or some entries of
        each column at once, completely at random.
    rate : float, default=0.1
        Share of the known entries of a column that are hidden, in (0, 1); for "entries".
    coverage : float, default=0.9
        Nominal probability of the intervals.
    n_draws : int, default=200
        What intervals and the CRPS are read off; at least 2.
    random_state : int, RandomState or None, default=None
        Which entries are hidden.

    Returns
    -------
    scores : DataFrame
        As of :func:`imputation_scores`: one row a column that has hidden cells.

    Raises
    ------
    ValueError
        If a parameter is out of range, or there is nothing to hide: "modalities" needs two.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.evaluation import evaluate_imputation
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(400, 1))
    >>> X = {"rna": z + rng.normal(size=(400, 4)), "adt": z + rng.normal(size=(400, 1))}
    >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(X)
    >>> scores = evaluate_imputation(est, X)
    >>> means = scores.groupby(level="modality")[["relative_error", "coverage"]].mean()
    >>> means.round(1).to_dict(orient="index")
    {'adt': {'relative_error': 0.6, 'coverage': 0.9}, 'rna': {'relative_error': 0.8, ...}}
    """
    if hide not in ("modalities", "entries"):
        raise ValueError(f"hide must be 'modalities' or 'entries'; got {hide!r}.")
    _check(coverage, n_draws)
    source = estimator._read(X)
    known = source[:]
    names = estimator._layout.names
    if hide == "entries":
        named = dict(zip(names, known, strict=True))
        holed = Modalities(drop_entries(named, rate, random_state=random_state))
        hidden = [Source(holed, source.widths, source.dtype)]
    elif len(names) < 2:
        raise ValueError(
            f"There is one modality, {names[0]!r}, and nothing to fill it in from. Set "
            "hide='entries'."
        )
    else:
        hidden = [source.hide([m]) for m in range(len(names))]
    parts = [scores_of(estimator, part, known, coverage, n_draws) for part in hidden]
    if not (parts := [part for part in parts if len(part)]):
        raise ValueError(f"Nothing was hidden: X shows too little for rate={rate}.")
    return pd.concat(parts)


def _check(coverage: Any, n_draws: Any) -> None:
    if not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1; got {coverage!r}.")
    if not isinstance(n_draws, Integral) or n_draws < 2:
        raise ValueError(f"n_draws must be an integer of at least 2; got {n_draws!r}.")


def scores_of(
    estimator: BaseMultimodal,
    source: Source,
    known: list[np.ndarray],
    coverage: float,
    n_draws: int,
) -> pd.DataFrame:
    """Score what has been read: rows with holes, and (N, F_m) a modality of what is known."""
    layout, likelihoods = estimator._layout, estimator.model_.likelihoods
    guesses = estimator._means(source, range(len(likelihoods)))
    # draws of all cells, for levels alone
    means = estimator._chances(source) if hasattr(estimator, "predict_proba") else None
    hidden = [np.isnan(x) & ~np.isnan(y) for x, y in zip(source[:], known, strict=True)]
    spread = _spread(estimator, source, known, coverage, n_draws)
    rows = []
    for m, likelihood in enumerate(likelihoods):
        labels = layout.labels(m)
        kinds = likelihood.describe(labels)
        tables = {} if means is None else likelihood.probabilities(torch.from_numpy(means[m]))
        for j in np.flatnonzero(hidden[m].any(axis=0)):
            here = hidden[m][:, j]
            y, guess = known[m][here, j], guesses[m][here, j]
            crps, inside, width = (score[here, j].mean() for score in spread[m])
            row = {
                "modality": layout.names[m],
                "column": labels[j],
                "likelihood": kinds[labels[j]] if isinstance(kinds, dict) else kinds,
                "n_hidden": int(here.sum()),
                "rmse": np.nan,
                "relative_error": np.nan,
                "accuracy": np.nan,
                "log_loss": np.nan,
                "crps": crps,
                "coverage": inside,
                "width": width,
            }
            if j in tables:
                chance = tables[j].numpy()[here, y.astype(int)]
                level = guess if tables[j].shape[1] > 2 else np.rint(guess)
                row["accuracy"] = float((level == y).mean())
                row["log_loss"] = -float(np.log(chance.clip(np.finfo(chance.dtype).tiny)).mean())
            else:
                error = float(np.square(guess - y).mean())
                row["rmse"] = np.sqrt(error)
                if y.min() < y.max():
                    row["relative_error"] = error / float(y.var())
            rows.append(row)
    return pd.DataFrame(rows, columns=_COLUMNS).set_index(["modality", "column"])


def coverage_of(
    estimator: BaseMultimodal,
    source: Source,
    known: list[np.ndarray],
    levels: Sequence[float],
    n_draws: int,
) -> pd.DataFrame:
    """Share of the hidden cells inside their intervals.

    Parameters
    ----------
    estimator : fitted estimator of this library
    source : Source
        Rows with holes.
    known : list of ndarray of shape (N, F_m)
        What is known of them.
    levels : sequence of float
        Nominal probabilities.
    n_draws : int
        What intervals are read off.

    Returns
    -------
    shares : DataFrame of shape (n_modalities, n_levels)
        Of all hidden cells of a modality together, but for categories without an order; with
        "n_hidden", their number. Modalities without any are not there.
    """
    inside = np.zeros((len(known), len(levels)))
    counts = np.zeros(len(known), dtype=int)
    half = np.array(levels) / 2
    tails = np.concatenate([0.5 - half, 0.5 + half])
    for rows, m, drawn in _drawn(estimator, source, n_draws):
        likelihood, y = estimator.model_.likelihoods[m], torch.from_numpy(known[m][rows])
        hidden = torch.from_numpy(np.isnan(source[rows][m])) & ~y.isnan()
        ends = quantiles(drawn, torch.from_numpy(tails).to(drawn))  # of one sort
        for j in range(len(levels)):
            low, high = likelihood.interval(ends[j], ends[j + len(levels)])
            counted = hidden & ~low.isnan()
            inside[m, j] += int(((low <= y) & (y <= high) & counted).sum())
        counts[m] += int(counted.sum())
    names = pd.Index(estimator.modality_names_, name="modality")
    shares = inside / np.maximum(counts, 1)[:, None]
    table = pd.DataFrame(shares, index=names, columns=list(levels))
    table.insert(0, "n_hidden", counts)
    return table[counts > 0]


def _drawn(
    estimator: BaseMultimodal, source: Source, n_draws: int
) -> Iterator[tuple[np.ndarray, int, Tensor]]:
    """Give rows, a modality and draws (K, n, F_m) of it, until all have been given."""
    size = max(1, _HELD // (n_draws * sum(source.widths)))
    for start in range(0, len(source), size):
        rows = np.arange(start, min(start + size, len(source)))
        draws = estimator._draws(source.take(rows), n_draws)[0]
        for m, x in enumerate(draws):
            yield rows, m, torch.from_numpy(x).transpose(0, 1)


def _spread(
    estimator: BaseMultimodal,
    source: Source,
    known: list[np.ndarray],
    coverage: float,
    n_draws: int,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """CRPS, whether inside the interval, and its width, of each cell: (N, F_m) a modality."""
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in known]
    for rows, m, drawn in _drawn(estimator, source, n_draws):
        y = torch.from_numpy(known[m][rows])
        low, high = central_interval(estimator.model_.likelihoods[m], drawn, coverage)
        score = crps_of(drawn, y)
        inside = (low <= y) & (y <= high)
        no_order = low.isnan()
        scores = score.where(~no_order, torch.nan), inside.double(), high - low
        parts[m].append(tuple(s.where(~no_order, torch.nan).double().numpy() for s in scores))
    return [tuple(np.concatenate(part) for part in zip(*each, strict=True)) for each in parts]  # type: ignore[misc]


def crps_of(draws: Tensor, y: Tensor) -> Tensor:
    """Continuous ranked probability score of draws (K, ...) for what was found, (...).

    The mean distance between draws is that of different ones, so the score does not depend on K in
    expectation.
    """
    n_draws = len(draws)
    # the distances of all pairs, from the order of the draws alone
    rank = 2.0 * torch.arange(n_draws, dtype=draws.dtype) - (n_draws - 1)
    ordered = draws.sort(dim=0).values
    apart = torch.tensordot(rank, ordered, dims=1) / (n_draws * (n_draws - 1))
    return (draws - y).abs().mean(0) - apart
