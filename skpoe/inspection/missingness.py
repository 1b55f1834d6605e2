"""Which rows show which modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.source import Source
from ..data.validation import read
from ..estimators import MultimodalFactorAnalysis
from ..estimators.wrapped import find_estimator
from .canvas import COLORS, NEUTRAL, shorten, take_axes


class MissingnessDisplay:
    """How many rows show which modalities, or which columns where there is one table.

    Make it by :meth:`from_estimator` or :meth:`from_data`; what it shows are its attributes.

    Parameters
    ----------
    patterns : bool ndarray of shape (n_patterns, n_names)
        What is shown; of a modality, any entry. The most frequent first.
    counts : int ndarray of shape (n_patterns,)
        Rows that show just that.
    names : list of str
        Of the modalities, or of the columns of the one table.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.inspection import MissingnessDisplay
    >>> rna = np.ones((10, 3))
    >>> adt = np.ones((10, 2))
    >>> adt[:4] = np.nan
    >>> display = MissingnessDisplay.from_data({"rna": rna, "adt": adt})
    >>> display.counts
    array([6, 4])
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['all', 'only rna']
    """

    def __init__(self, *, patterns: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> None:
        self.patterns = patterns
        self.counts = counts
        self.names = list(names)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        max_patterns: int = 20,
        ax: Any = None,
        bar_kwargs: dict | None = None,
    ) -> MissingnessDisplay:
        """Draw what rows show that an estimator reads.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        max_patterns : int, default=20
            So many bars at most; rarer patterns are one more.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        bar_kwargs : dict, default=None
            For ``Axes.barh``.

        Returns
        -------
        display : MissingnessDisplay
        """
        estimator, X = find_estimator(estimator, X, f"{cls.__name__} reads with")
        display = cls.from_source(estimator._read(X), estimator._layout)
        return display.plot(ax, max_patterns=max_patterns, bar_kwargs=bar_kwargs)

    @classmethod
    def from_data(
        cls,
        X: Any,
        *,
        modalities: Any = None,
        max_patterns: int = 20,
        ax: Any = None,
        bar_kwargs: dict | None = None,
    ) -> MissingnessDisplay:
        """Draw what rows show, before anything is fitted.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            NaN where missing.
        modalities : dict, list or None, default=None
            How one table is cut, as for estimators.
        max_patterns : int, default=20
            So many bars at most; rarer patterns are one more.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        bar_kwargs : dict, default=None
            For ``Axes.barh``.

        Returns
        -------
        display : MissingnessDisplay
        """
        source, layout = read(MultimodalFactorAnalysis(modalities=modalities), X)
        display = cls.from_source(source, layout)
        return display.plot(ax, max_patterns=max_patterns, bar_kwargs=bar_kwargs)

    @classmethod
    def from_source(cls, source: Source, layout: Any) -> MissingnessDisplay:
        """Count the patterns of rows that have been read."""
        if len(layout.names) > 1:
            names, shown = layout.names, source.observed()
        else:
            names = layout.labels(0)
            shown = np.concatenate([~np.isnan(source[rows][0]) for rows in source.chunks()])
        patterns, counts = np.unique(shown, axis=0, return_counts=True)
        order = np.lexsort((-patterns.sum(axis=1), -counts))
        return cls(patterns=patterns[order], counts=counts[order], names=list(map(str, names)))

    def plot(
        self, ax: Any = None, *, max_patterns: int = 20, bar_kwargs: dict | None = None
    ) -> MissingnessDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        max_patterns : int, default=20
            So many bars at most; rarer patterns are one more.
        bar_kwargs : dict, default=None
            For ``Axes.barh``.

        Returns
        -------
        display : MissingnessDisplay
        """
        ax = take_axes(self, ax)
        counts = self.counts[:max_patterns]
        labels = [describe_pattern(row, self.names) for row in self.patterns[:max_patterns]]
        colors = [COLORS[0]] * len(labels)
        if (rest := self.counts[max_patterns:]).size:
            counts = np.append(counts, rest.sum())
            labels.append(f"{len(rest):,} other patterns")
            colors.append(NEUTRAL)
        at = np.arange(len(labels))
        self.bars_ = ax.barh(at, counts, **{"color": colors, **(bar_kwargs or {})})
        shares = counts / self.counts.sum()
        texts = [f"{n:,} ({share:.0%})" for n, share in zip(counts, shares, strict=True)]
        ax.bar_label(self.bars_, texts, padding=3, fontsize="small")
        for text in ax.texts:
            text.set_color(ax.xaxis.label.get_color())
        ax.set_yticks(at, labels)
        ax.invert_yaxis()
        ax.margins(x=0.25)
        ax.set(xlabel="rows", ylabel="shown")
        return self


def describe_pattern(shown: np.ndarray, names: Sequence[str]) -> str:
    """Say in few words which of the names a row shows."""
    have = [shorten(name) for name, there in zip(names, shown, strict=True) if there]
    lack = [shorten(name) for name, there in zip(names, shown, strict=True) if not there]
    if not lack:
        return "all"
    if not have:
        return "nothing"
    if min(len(have), len(lack)) > 3:
        return f"{len(have)} of {len(names)}"
    if len(have) <= len(lack):
        return "only " + " + ".join(have)
    return "all but " + " + ".join(lack)
