"""Whether intervals cover as often as they say."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..estimators.wrapped import find_estimator
from ..evaluation import coverage_of
from .canvas import COLORS, MARKERS, NEUTRAL, add_legend, choose, shorten, take_axes

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class CoverageDisplay:
    """Share of hidden cells inside their intervals, against the nominal one, for each modality.

    Below the diagonal intervals are too narrow, above it too wide. Those of counts and flags end
    at whole numbers, and cover more than they say.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    shares : DataFrame of shape (n_modalities, n_levels)
        Of the hidden cells, those inside; the columns are the nominal probabilities.
    n_hidden : Series of shape (n_modalities,)
        Numbers of hidden cells.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One a modality.

    See Also
    --------
    skpoe.evaluation.imputation_scores : Coverage of each column.
    skpoe.imputation.ConformalIntervals : Intervals that cover as they say.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.inspection import CoverageDisplay
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(400, 1))
    >>> truth = {"rna": z + rng.normal(size=(400, 4)), "adt": z + rng.normal(size=(400, 1))}
    >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(truth)
    >>> display = CoverageDisplay.from_estimator(est, {**truth, "adt": None}, truth)
    >>> display.shares.round(1)[[0.5, 0.9]]
              0.5  0.9
    modality
    adt       0.5  0.9
    """

    def __init__(self, *, shares: pd.DataFrame, n_hidden: pd.Series) -> None:
        self.shares = shares
        self.n_hidden = n_hidden

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        truth: Any,
        *,
        levels: Sequence[float] = LEVELS,
        n_draws: int = 200,
        subsample: int | float | None = 1000,
        random_state: Any = 0,
        ax: Any = None,
        line_kwargs: dict | None = None,
    ) -> CoverageDisplay:
        """Compute and draw the coverage.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            Rows with holes.
        truth : same type as X
            The same rows with what is known of those holes; what is NaN here too does not count.
        levels : sequence of float
            Nominal probabilities of the intervals, each between 0 and 1.
        n_draws : int, default=200
            What intervals are read off, at least 2.
        subsample : int, float or None, default=1000
            So many rows at most, such a share of them, or all.
        random_state : int, RandomState or None, default=0
            Chooses them.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        line_kwargs : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : CoverageDisplay

        Raises
        ------
        ValueError
            If a level is not between 0 and 1, there are less than 2 draws, or nothing that has an
            interval is missing in X and known in truth.
        """
        if not len(levels) or not all(0 < level < 1 for level in levels):
            raise ValueError(f"levels must lie between 0 and 1; got {levels!r}.")
        if not isinstance(n_draws, Integral) or n_draws < 2:
            raise ValueError(f"n_draws must be an integer of at least 2; got {n_draws!r}.")
        est, X = find_estimator(estimator, X, f"{cls.__name__} asks")
        _, truth = find_estimator(estimator, truth, f"{cls.__name__} asks")
        source, known = est._read_beside(X, truth)
        rows = choose(len(source), subsample, random_state)
        display = cls.from_source(
            est, source.take(rows), known.take(rows)[:], levels=levels, n_draws=n_draws
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def from_source(
        cls,
        estimator: BaseMultimodal,
        source: Source,
        known: list[np.ndarray],
        levels: Sequence[float] = LEVELS,
        n_draws: int = 200,
    ) -> CoverageDisplay:
        """Compute the coverage in rows that have been read."""
        table = coverage_of(estimator, source, known, levels, n_draws)
        if table.empty:
            raise ValueError(
                "Nothing that has an interval is missing in X and known in truth: there is no "
                "coverage to show."
            )
        return cls(shares=table.drop(columns="n_hidden"), n_hidden=table["n_hidden"])

    def plot(self, ax: Any = None, *, line_kwargs: dict | None = None) -> CoverageDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        line_kwargs : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : CoverageDisplay
        """
        ax = take_axes(self, ax)
        ax.plot([0, 1], [0, 1], color=NEUTRAL, linestyle=":", label="nominal")
        self.lines_ = []
        for k, (name, row) in enumerate(self.shares.iterrows()):
            look = {
                "color": COLORS[k % len(COLORS)],
                "marker": MARKERS[k % len(MARKERS)],
                "label": f"{shorten(name)} ({self.n_hidden[name]:,} cells)",
                "markersize": 5,
                **(line_kwargs or {}),
            }
            self.lines_ += ax.plot(row.index.to_numpy(float), row.to_numpy(), **look)
        ax.set(
            xlabel="nominal probability of the interval",
            ylabel="share of hidden cells inside",
            xlim=(0, 1),
            ylim=(0, 1.02),
        )
        add_legend(ax, loc="upper left", fontsize="small")
        return self
