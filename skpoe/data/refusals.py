"""What X cannot be, told in its own words before anything of it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import tables

# how pandas calls what objects, and dtypes that are not of numpy, hold
_DATES = ("date", "time", "period")


def refuse_what_folds_make(estimator: Any, X: Sequence[Any]) -> None:
    """Model selection splits a list of modalities into shorter lists; catch it doing so."""
    kind = type(X).__name__
    if getattr(estimator, "_is_clone", False):
        raise ValueError(
            f"X is a {kind} of modalities, and this {type(estimator).__name__} is a clone, as "
            f"model selection makes them: it would split the {kind} into modalities instead of "
            "rows. Pass skpoe.Modalities(X), which is split into rows."
        )
    if len(X) == 1:
        images = getattr(X[0], "ndim", 2) > 2
        itself = "skpoe.Modalities({'image': ...}) of it" if images else "the table itself"
        raise ValueError(
            f"X is a {kind} with one modality. If that is all there is, pass {itself}. If model "
            f"selection made it by splitting a {kind} of modalities, pass "
            "skpoe.Modalities(X), which is split into rows."
        )


def refuse_bare_images(X: Any) -> None:
    """Refuse one array with more than two axes: as scikit-learn has it, one table has two."""
    if getattr(X, "ndim", 2) > 2:
        raise ValueError(
            f"X is one array of shape {tuple(X.shape)}, but one table has two axes (samples, "
            "features). If its rows are images, pass skpoe.Modalities({'image': X})."
        )


def refuse_what_is_no_table(X: Any) -> None:
    """Refuse what cannot be one table: words, None, lists of unequal items, names of levels."""
    if isinstance(X, (list, tuple)):
        _refuse_items(X)
        try:
            np.asarray(X)
        except ValueError as error:
            kind, shapes = type(X).__name__, ", ".join(str(np.shape(item)) for item in _first(X))
            raise ValueError(
                f"X is a {kind}, but neither of tables with two axes (samples, features) each, "
                f"nor of rows of one length; its items have the shapes {shapes}."
            ) from error
    elif not any(hasattr(X, name) for name in ("shape", "__array__", "__dataframe__")):
        raise ValueError(
            "X must be a table (samples, features), or several: a list, a dict or "
            f"skpoe.Modalities of them. Got {type(X).__name__}."
        )
    refuse_bare_images(X)
    if isinstance(X, pd.DataFrame) and isinstance(X.columns, pd.MultiIndex):
        raise ValueError(
            "X has a MultiIndex as columns, which scikit-learn cannot keep. Flatten it, for "
            "example X.columns = ['_'.join(c) for c in X.columns], and pass modalities=."
        )


def _refuse_items(X: Sequence[Any]) -> None:
    """Refuse what model selection makes of a dataset: a list of its items."""
    first = X[0] if len(X) else None
    parts = first if isinstance(first, (list, tuple)) else []
    if isinstance(first, Mapping) or any(getattr(part, "ndim", 0) for part in parts):
        raise ValueError(
            f"X is a {type(X).__name__} whose items are of type {type(first).__name__}, with the "
            "modalities of one row each. If model selection split a dataset, pass "
            "skpoe.Modalities(dataset), which is split into rows; else one table a modality."
        )


def _first(X: Sequence[Any]) -> Sequence[Any]:
    """Give what is shown of a list in a message: ragged items have no shape, but a length."""
    return [
        item
        if hasattr(item, "shape")
        else np.empty(len(item) if isinstance(item, (list, tuple)) else 1)
        for item in X[:5]
    ]


def refuse_columns(table: Any) -> None:
    """Refuse columns that share a name, and those of dates, which would be read as numbers."""
    if tables.is_frame(table):
        if not len(table.columns):
            raise ValueError("The DataFrame has no column: there is nothing to read.")
        if (twice := table.columns[table.columns.duplicated()].unique()).size:
            raise ValueError(
                f"Several columns have the same name: {twice[:5].tolist()}. Rename them, or drop "
                "all but one."
            )
        for j, (label, dtype) in enumerate(zip(table.columns, table.dtypes, strict=True)):
            if dtype.kind in "mMO":
                _refuse_dates(f"Column {label!r}", dtype, table.iloc[:, j])
    elif hasattr(table, "dtype"):
        _refuse_dates("The array", tables.dtypes(table)[0], table)


def _refuse_dates(where: str, dtype: Any, values: Any) -> None:
    held = str(dtype)
    if dtype.kind == "O" and isinstance(values, (np.ndarray, pd.Series)):
        held = pd.api.types.infer_dtype(values.ravel() if values.ndim > 1 else values)
    if dtype.kind in "mM" or held.startswith(_DATES):
        raise ValueError(
            f"{where} holds dates or times ({held}), which are no numbers. Give, for example, "
            "the days since a first date."
        )
