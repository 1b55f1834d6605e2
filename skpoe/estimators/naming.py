"""What users call modalities and columns: names and positions to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from ..data.layout import Layout
from ..data.source import Source


def find_modalities(estimator: Any, which: Any) -> list[int]:
    """Numbers of modalities, in the order of fit, from a name or position or several of them."""
    several = which if isinstance(which, Iterable) and not isinstance(which, str) else (which,)
    return sorted({_find(estimator, name) for name in several})


def find_target_and_given(
    estimator: Any, target: Any, given: Any, word: str = "target"
) -> tuple[list[int], list[int]]:
    """Numbers of the modalities to predict, and of those to predict from: all others when None.

    ``word`` is what the caller calls the target.
    """
    names = estimator.modality_names_
    wanted = find_modalities(estimator, target)
    others = [m for m in range(len(names)) if m not in wanted]
    known = others if given is None else find_modalities(estimator, given)
    if both := [names[m] for m in wanted if m in known]:
        raise ValueError(f"A target cannot be given; {both} are in {word} and in given.")
    if not wanted or not known:
        raise ValueError(
            "There must be a modality to predict and another to predict it from; got "
            f"{word}={target!r} and given={given!r} of the modalities {names}."
        )
    return wanted, known


def show_only(estimator: Any, source: Source, given: Any) -> Source:
    """Hide all modalities but those that are given, by name or position; none when None."""
    return source if given is None else source.show(find_modalities(estimator, given))


def find_features(estimator: Any, which: Any) -> np.ndarray:
    """Mark features of all modalities side by side: bool (n_features,).

    ``which`` is the name or position of a modality, or a tuple of that and a column of it: its
    label where it came as a DataFrame, or its position; or a list of these.
    """
    if isinstance(which, list):
        return np.any([find_features(estimator, one) for one in which], axis=0)
    layout: Layout = estimator._layout
    marked = np.zeros(sum(layout.widths), dtype=bool)
    name, *column = which if isinstance(which, tuple) and len(which) == 2 else (which,)
    m = _find(estimator, name)
    start = sum(layout.widths[:m])
    if column:
        marked[start + _find_column(layout, m, column[0])] = True
    else:
        marked[start : start + layout.widths[m]] = True
    return marked


def _find(estimator: Any, name: Any) -> int:
    names: Sequence[str] = estimator.modality_names_
    if name in names:
        return names.index(name)
    if isinstance(name, Integral) and 0 <= name < len(names):
        return int(name)
    who = type(estimator).__name__
    raise ValueError(f"There is no modality {name!r}; {who} was fitted on {names}.")


def _find_column(layout: Layout, m: int, column: Any) -> int:
    labels, width = list(layout.labels(m)), layout.widths[m]
    if column in labels:
        return labels.index(column)
    if isinstance(column, Integral) and 0 <= column < width:
        return int(column)
    are_positions = labels == list(range(width))
    known = f"positions 0 to {width - 1}" + ("" if are_positions else f", or {_some(labels)}")
    raise ValueError(
        f"There is no column {column!r} in modality {layout.names[m]!r}; it has {known}. A tuple "
        "is a column of a modality: give several modalities as a list."
    )


def _some(labels: list[Any]) -> str:
    shown = ", ".join(map(repr, labels[:5]))
    return f"labels {shown}" + (", ..." if len(labels) > 5 else "")
