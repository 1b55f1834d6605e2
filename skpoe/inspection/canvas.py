"""What all displays share: axes, colours, legends. matplotlib is imported when one is drawn."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

# Okabe and Ito's colours without the yellow: colour-blind readers tell them apart, and all can be
# seen on white and on black
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^DvPX*<>"
# lines to compare with, on white and on black
NEUTRAL = "#888888"
_MOST_CLASSES = len(MARKERS)


def require_matplotlib(who: str) -> None:
    """Raise ImportError that says what to do where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{who} draws with the package matplotlib: pip install 'skpoe[plots]'"
        ) from error


def take_axes(display: Any, ax: Any) -> Any:
    """Give the caller's axes, or those of a new figure; keep them as ``ax_`` and ``figure_``."""
    if ax is None:
        require_matplotlib(type(display).__name__)
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def add_legend(ax: Any, **kwargs: Any) -> Any:
    """Add a legend in the colours of the axes, whatever style was in force when they were made."""
    ink, paper = ax.xaxis.label.get_color(), ax.get_facecolor()
    return ax.legend(labelcolor=ink, facecolor=paper, edgecolor=NEUTRAL, framealpha=0.8, **kwargs)


def scatter_by(ax: Any, points: np.ndarray, hue: Any, title: str | None, kwargs: dict) -> None:
    """Draw points (n, 2) in the colours of numbers or classes (n,); all in one when None.

    Classes differ in colour and in marker, or are their own markers where there are more than
    colours and each is one letter or digit.
    """
    kwargs = {"s": 16, "linewidths": 0, "alpha": 0.8, **kwargs}
    if hue is None:
        ax.scatter(*points.T, **{"color": COLORS[0], **kwargs})
        return
    hue = pd.Series(np.asarray(hue))
    if is_amount(hue):
        drawn = ax.scatter(*points.T, **{"c": hue.astype(float), "cmap": "viridis", **kwargs})
        bar = ax.figure.colorbar(drawn, ax=ax, label=title)
        ink = ax.xaxis.label.get_color()
        bar.ax.yaxis.label.set_color(ink)
        bar.ax.tick_params(colors=ink)
        return
    names, which = classes_of(hue)
    letters = len(names) > len(COLORS) and all(len(n) == 1 and n.isalnum() for n in names)
    if letters:
        kwargs["s"] = 1.5 * kwargs["s"]
    for k, name in enumerate(names):
        marker = f"${name}$" if letters else MARKERS[k % len(MARKERS)]
        look = {"color": COLORS[k % len(COLORS)], "marker": marker, **kwargs}
        ax.scatter(*points[which == k].T, label=name, **look)
    if letters:  # they say it themselves
        ax.set_title(f"marker: {title}")
        return
    add_legend(ax, title=title, loc="best", fontsize="small")
    ax.get_legend().get_title().set_color(ax.xaxis.label.get_color())


def is_amount(hue: pd.Series) -> bool:
    """Whether values are amounts, for a colour bar: with fractions, or too many for classes."""
    if not pd.api.types.is_numeric_dtype(hue) or pd.api.types.is_bool_dtype(hue):
        return False
    return hue.nunique() > _MOST_CLASSES or bool((hue.dropna() % 1 != 0).any())


def classes_of(hue: pd.Series) -> tuple[list[str], np.ndarray]:
    """Name the classes, and number them (n,); beyond ten, the rarest are one."""
    counts = hue.value_counts(sort=False)  # without what is missing
    if len(counts) > _MOST_CLASSES:
        counts = counts.sort_values(ascending=False, kind="stable")[: _MOST_CLASSES - 2]
    try:
        known = sorted(counts.index)
    except TypeError:  # of several types
        known = sorted(counts.index, key=str)
    number = {value: k for k, value in enumerate(known)}
    names = [_name(value) for value in known]
    missing = hue.isna()
    other = ~missing & ~hue.isin(known)
    which = hue.map(number).fillna(-1).to_numpy().astype(int)
    for label, rows in {"other": other, "unknown": missing}.items():
        if rows.any():
            which[rows] = len(names)
            names.append(label)
    return names, which


def _name(value: Any) -> str:
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def choose(n: int, subsample: int | float | None, random_state: Any) -> np.ndarray:
    """Choose rows of n in their order: so many, such a share, or all when None."""
    if subsample is None:
        return np.arange(n)
    if isinstance(subsample, Integral) and subsample > 0:
        size = int(subsample)
    elif isinstance(subsample, Real) and 0 < subsample < 1:
        size = max(1, int(n * subsample))
    else:
        raise ValueError(
            "subsample must be a positive integer, a share between 0 and 1, or None; got "
            f"{subsample!r}."
        )
    if size >= n:
        return np.arange(n)
    return np.sort(check_random_state(random_state).choice(n, size=size, replace=False))


def legend_above(ax: Any, **kwargs: Any) -> Any:
    """Add a legend above the axes, where it hides nothing."""
    return add_legend(ax, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, **kwargs)


def shorten(name: Any, most: int = 24) -> str:
    """Cut a name in the middle, so that it fits beside an axis."""
    text = str(name)
    return text if len(text) <= most else f"{text[: most - 9]}...{text[-6:]}"
