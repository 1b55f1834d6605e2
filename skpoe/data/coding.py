"""Columns of a DataFrame that are not plain numbers: written as numbers, and read back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Coding:
    """What a column held in fit.

    Parameters
    ----------
    kind : {"number", "integer", "bool", "levels"}
    dtype : dtype
        Of the column.
    levels : Index, default=None
        Level number k stands for ``levels[k]``: the categories of the dtype, or the strings that
        the column showed, sorted.
    has_holes : bool, default=False
        Whether anything is missing, of a column of floats.
    """

    kind: str
    dtype: Any
    levels: pd.Index | None = None
    has_holes: bool = False

    def names(self, n_levels: int) -> pd.Index:
        """Names of so many levels: what each number of 0, 1, 2, ... stands for."""
        if self.levels is not None:
            return self.levels
        return pd.Index([False, True] if self.kind == "bool" else range(n_levels))

    @property
    def is_ordered(self) -> bool:
        """Whether levels have an order."""
        return bool(getattr(self.dtype, "ordered", False))


Codings = tuple[Coding, ...] | None


def codings_of(frame: pd.DataFrame) -> Codings:
    """Find out what each column holds; None where all are plain numbers."""
    if _are_floats(frame):
        return None
    made = tuple(_coding_of(frame, j, dtype) for j, dtype in enumerate(frame.dtypes))
    return made if any(coding.kind != "number" for coding in made) else None


def _are_floats(frame: pd.DataFrame) -> bool:
    return all(
        isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in frame.dtypes.unique()
    )


def _coding_of(frame: pd.DataFrame, j: int, dtype: Any) -> Coding:
    if isinstance(dtype, pd.CategoricalDtype):
        return Coding("levels", dtype, dtype.categories)
    if pd.api.types.is_bool_dtype(dtype):
        return Coding("bool", dtype)
    if pd.api.types.is_integer_dtype(dtype):
        return Coding("integer", dtype)
    if pd.api.types.is_float_dtype(dtype):
        return Coding("number", dtype, has_holes=bool(frame.iloc[:, j].isna().any()))
    if isinstance(dtype, pd.ArrowDtype) and str(dtype).startswith("dictionary"):
        # categories, as Arrow holds them: by name, for files know no such dtype
        read = frame.iloc[:, j].array.__arrow_array__().to_pandas().dtype  # type: ignore[attr-defined]
        return Coding("levels", read, read.categories)
    held = pd.api.types.infer_dtype(frame.iloc[:, j], skipna=True)
    if held == "string":
        return Coding("levels", dtype, pd.Index(np.sort(frame.iloc[:, j].dropna().unique())))
    return Coding("bool" if held == "boolean" else "number", dtype)


def encode(frame: pd.DataFrame, codings: Codings, modality: str) -> pd.DataFrame:
    """Write levels and truth values as numbers, NaN where missing; the frame is not changed.

    A level that fit did not know says nothing: it is read as missing, with a warning.
    """
    if codings is None and _are_floats(frame):
        return frame
    encoded = frame.copy(deep=False)
    dtypes = frame.dtypes.tolist()
    for j, coding in enumerate(codings or _plain(frame)):
        if dtypes[j].kind == "c":
            raise ValueError(
                f"Column {frame.columns[j]!r} holds complex numbers. Give real ones, such as the "
                "real and the imaginary part in columns of their own."
            )
        if coding.kind in ("number", "integer"):
            if dtypes[j].kind not in "iufbc":  # scikit-learn does not know pd.NA
                encoded.isetitem(j, _numbers(frame.iloc[:, j]))
        elif coding.kind == "bool":
            encoded.isetitem(j, _truth(frame.iloc[:, j]))
        elif coding.levels is not None:
            encoded.isetitem(j, _level_numbers(frame.iloc[:, j], coding.levels, modality))
    return encoded


def _truth(column: pd.Series) -> np.ndarray:
    try:
        return column.astype("boolean").to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        refused = _first_refused(column, lambda value: pd.array([value], dtype="boolean"))
        raise ValueError(
            f"Column {column.name!r} held truth values in fit, and now holds {refused}. Give "
            "True, False, 1 or 0, or NaN where it is not known."
        ) from error


def _plain(frame: pd.DataFrame) -> Sequence[Coding]:
    return [Coding("number", dtype) for dtype in frame.dtypes]


def _numbers(column: pd.Series) -> np.ndarray:
    """Read a column of objects, or of what has no numbers of its own; NaN where missing."""
    try:
        return column.astype(object).where(column.notna(), np.nan).to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"Column {column.name!r} holds {_first_refused(column, float)}, which is no number: "
            f"{error}. Give a number, or NaN where there is none."
        ) from error


def _first_refused(column: pd.Series, read: Callable[[Any], Any]) -> str:
    """Say which value of a column cannot be read, and where it stands."""
    for label, value in column.dropna().items():
        try:
            read(value)
        except (TypeError, ValueError):
            return f"{repr(value)[:60]} in row {label!r}"
    return "values of several kinds"


def _level_numbers(column: pd.Series, levels: pd.Index, modality: str) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = np.append(levels.get_indexer(column.cat.categories), -1)
        numbers = known[column.cat.codes]
    else:
        numbers = levels.get_indexer(pd.Index(column, dtype=object))
    unknown = (numbers < 0) & column.notna().to_numpy()
    if unknown.any():
        found = list(column[unknown].unique()[:5])
        warnings.warn(
            f"Column {column.name!r} of modality '{modality}' has the levels {found} in "
            f"{int(unknown.sum())} rows, which fit did not know. They are read as missing, and "
            "returned as they came. Give the column a dtype 'category' with all levels in fit.",
            UserWarning,
            stacklevel=2,
        )
    return np.where(numbers < 0, np.nan, numbers)


def decode(column: np.ndarray, coding: Coding) -> Any:
    """Read numbers of a column back, as a column of the dtype that it had in fit."""
    if coding.levels is not None:
        numbers = _whole(column, len(coding.levels))
        if isinstance(coding.dtype, pd.CategoricalDtype):
            return pd.Categorical.from_codes(numbers, dtype=coding.dtype)
        return pd.Series(_names(numbers, coding.levels), dtype=coding.dtype).array
    if coding.kind == "bool":
        return pd.array(column > 0.5, dtype=coding.dtype)  # type: ignore[call-overload]
    if coding.kind == "integer" and (column == np.rint(column)).all():
        return as_integers(column, coding.dtype)
    return column


def as_integers(numbers: np.ndarray, dtype: Any) -> Any:
    """Give whole numbers a dtype; a wider one, or floats, where it cannot hold them.

    What is drawn may lie beyond all that a column showed: 130 does not fit int8.
    """
    families = [(np.dtype, "int64"), (pd.ArrowDtype, "int64[pyarrow]")]
    wide = next((name for family, name in families if isinstance(dtype, family)), "Int64")
    known = ~np.isnan(numbers)
    there = numbers[known]
    for kind in (dtype, pd.api.types.pandas_dtype(wide)):
        limits = np.iinfo(_numpy_dtype(kind))
        # 2**63 is a float, the number before it is none
        if (there >= limits.min).all() and (there < float(limits.max) + 1).all():
            whole = pd.Series(np.where(known, numbers, 0).astype(limits.dtype), dtype=kind)
            return whole.array if known.all() else whole.where(known).array
    return numbers


def as_floats(numbers: np.ndarray, dtype: Any) -> Any:
    """Give numbers a dtype of floats, unless some would be infinite in it: 70,000 in float16."""
    with np.errstate(over="ignore"):
        narrow = numbers.astype(_numpy_dtype(dtype), copy=False)
    if np.isinf(narrow).any():
        return numbers
    return narrow if isinstance(dtype, np.dtype) else pd.Series(narrow).astype(dtype).array


def _numpy_dtype(dtype: Any) -> np.dtype:
    """Find numpy's dtype of the numbers in a column."""
    if isinstance(dtype, np.dtype):
        return dtype
    return dtype.subtype if isinstance(dtype, pd.SparseDtype) else dtype.numpy_dtype


def frame_of(
    array: np.ndarray, index: pd.Index | None, labels: pd.Index, codings: Codings
) -> pd.DataFrame:
    """Make a DataFrame as fit had it, of new values."""
    frame = pd.DataFrame(array, index=index, columns=labels)
    for j, coding in enumerate(codings or ()):
        if coding.kind != "number":
            frame.isetitem(j, decode(array[:, j], coding))
    return frame


def refill(
    frame: pd.DataFrame, array: np.ndarray, codings: Codings, *, missing_only: bool
) -> pd.DataFrame:
    """Copy a frame with new values everywhere, or where it has none; keep dtypes that can hold."""
    missing = frame.isna().to_numpy() if missing_only else np.ones(frame.shape, dtype=bool)
    told = any(coding.kind in ("bool", "levels") for coding in codings or ())
    if len(frame.dtypes.unique()) == 1 and _are_floats(frame) and not told:
        values = as_floats(np.where(missing, array, frame.to_numpy()), frame.dtypes.iloc[0])
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)
    columns = {}
    for j, coding in enumerate(codings or _plain(frame)):
        column, lacks = frame.iloc[:, j], missing[:, j]
        columns[j] = _refilled(column, array[:, j], lacks, coding) if lacks.any() else column
    filled = pd.DataFrame(columns, index=frame.index, copy=True)  # at once: labels may repeat
    filled.columns = frame.columns
    return filled


def _refilled(column: pd.Series, values: np.ndarray, missing: np.ndarray, coding: Coding) -> Any:
    if (
        coding.kind in ("bool", "levels")
        and pd.api.types.is_float_dtype(column.dtype)
        and column.isna().all()
    ):  # an empty column of a file: nothing in it says what it would hold
        return decode(values, coding)
    if coding.levels is not None:
        return _refilled_levels(column, values, missing, coding.levels)
    if coding.kind == "bool":
        filled = column.astype(object)
        filled[missing] = values[missing] > 0.5
        return filled.astype(column.dtype)
    kept = _numbers(column)
    new = np.where(missing, values, kept)
    dtype = column.dtype
    if pd.api.types.is_float_dtype(dtype):
        return as_floats(new, dtype)
    if pd.api.types.is_integer_dtype(dtype) and not isinstance(dtype, np.dtype):
        return as_integers(np.rint(new), dtype)
    # draws are integers, means are not
    whole = dtype.kind in "iu" and (new == np.rint(new)).all()
    return as_integers(new, dtype) if whole else new


def _refilled_levels(
    column: pd.Series, values: np.ndarray, missing: np.ndarray, levels: pd.Index
) -> pd.Series:
    names, filled = _names(_whole(values, len(levels)), levels)[missing], column.copy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        known = column.cat.categories
        if not levels.isin(known).all():  # all that may be filled in, in the order of fit
            filled = filled.cat.set_categories([*levels, *known.difference(levels, sort=False)])
    elif pd.api.types.is_float_dtype(column.dtype):  # whole numbers, with holes
        try:
            names = names.astype(float)
        except (TypeError, ValueError):
            filled = filled.astype(object)
    filled.iloc[np.flatnonzero(missing)] = names
    return filled


def _whole(values: np.ndarray, n_levels: int) -> np.ndarray:
    """Numbers of levels; -1 where there is none, or the column has no level at all."""
    return np.where(values < n_levels, np.nan_to_num(values), -1).astype(int)


def _names(numbers: np.ndarray, levels: pd.Index) -> np.ndarray:
    """Name levels by their numbers; None where there is none (-1)."""
    return np.append(np.asarray(levels, dtype=object), None)[numbers]


def labels_of(labels: pd.Index | None, width: int) -> Sequence[Any]:
    """Name columns by their labels, or by their positions where they have none."""
    return range(width) if labels is None else list(labels)
