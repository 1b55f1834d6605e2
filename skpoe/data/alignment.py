"""Do tables agree? Side by side their rows must, below each other their columns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from . import tables
from .items import tables_of

# dtypes of pandas that may be missing, for kinds of numpy's that may not
_NULLABLE = {"b": "boolean", "i": "Int64", "u": "UInt64"}


def name_items(data: Any) -> dict[str, Any]:
    """Name the items of a sequence of tables; keep the names of a mapping."""
    data = tables_of(data)
    if hasattr(data, "shape") or isinstance(data, str) or not isinstance(data, Iterable):
        raise ValueError(
            "Modalities are made of a dict or a list of tables; got "
            f"{type(data).__name__}. One table alone is passed as {{'name': table}}."
        )
    if not isinstance(data, Mapping):
        data = {f"modality_{m}": table for m, table in enumerate(data)}
    if not data:
        raise ValueError("There is no modality. Give at least one array or DataFrame.")
    return dict(data)


def read_shapes(
    data: Mapping[str, Any], n_features: Mapping[str, tables.Size]
) -> tuple[dict[str, tables.Size | None], int]:
    """Check the shapes of tables; give the size of a row of each, None where unknown, and N."""
    if not isinstance(n_features, Mapping):
        raise TypeError(
            "n_features must be a dict, of the number of features or the shape of a row by the "
            f"name of its modality; got {n_features!r}."
        )
    sizes: dict[str, tables.Size | None] = {
        name: tuple(size) if isinstance(size, Sequence) else size
        for name, size in n_features.items()
    }
    if unknown := set(sizes) - set(data):
        raise ValueError(
            f"n_features names {sorted(unknown, key=str)}, which are not in the data."
        )
    lengths: dict[str, int] = {}
    for name, size in sizes.items():
        widths = size if isinstance(size, tuple) else (size,)
        if not all(isinstance(width, Integral) and width > 0 for width in widths):
            raise ValueError(f"n_features['{name}'] must be positive integers; got {size!r}.")
    for name, table in data.items():
        if not isinstance(name, str):
            raise TypeError(f"Names of modalities must be str; got {name!r}.")
        if table is None:
            sizes.setdefault(name, None)
            continue
        n_axes = len(getattr(table, "shape", ()))
        if n_axes < 2 or (n_axes > 2 and tables.is_sparse(table)):
            shape = getattr(table, "shape", type(table).__name__)
            raise ValueError(
                f"Modality '{name}' must be an array or DataFrame with two axes (samples, "
                f"features), or an array with more, such as (samples, channels, height, width); "
                f"got {shape}."
            )
        size = tables.size_of(table)
        if sizes.setdefault(name, size) not in (size, tables.n_numbers(size)):
            raise ValueError(
                f"Modality '{name}' has {tables.describe(size)} features, but n_features says "
                f"{tables.describe(sizes[name])}."
            )
        sizes[name] = size
        lengths[name] = table.shape[0]
    if not lengths:
        raise ValueError("All modalities are None, so the number of samples is unknown.")
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "All modalities must have the same number of samples; got "
            + ", ".join(f"'{name}': {n}" for name, n in lengths.items())
            + ". Fill rows in which a modality is not measured with NaN."
        )
    return {name: sizes[name] for name in data}, next(iter(lengths.values()))


def is_default(index: pd.Index) -> bool:
    """Whether it is 0, 1, 2, ... as pandas writes it where nobody gave labels."""
    return isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(index)))


def check_indexes(data: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse DataFrames whose rows are about different things, or in different orders.

    Those without labels get those of the others, so that parts of both still agree.
    """
    indexes = {name: table.index for name, table in data.items() if tables.is_frame(table)}
    if differing := differ(indexes):
        raise ValueError(
            f"The rows of modalities '{differing[0]}' and '{differing[1]}' have different "
            "indexes. Align them first, for example with .reindex on the union of their indexes: "
            "rows in which a modality is not measured become NaN."
        )
    index = next(iter(_labels(indexes).values()), None)
    if index is None:
        return dict(data)
    return {n: t.set_axis(index) if n in indexes else t for n, t in data.items()}


def differ(indexes: Mapping[str, pd.Index | None]) -> tuple[str, str] | None:
    """Name two tables whose rows have other labels, or in another order; None where none have."""
    labels = _labels({name: index for name, index in indexes.items() if index is not None})
    first = next(iter(labels), "")
    others = (name for name, index in labels.items() if not index.equals(labels[first]))
    return next(((first, name) for name in others), None)


def _labels(indexes: Mapping[str, pd.Index]) -> dict[str, pd.Index]:
    """Leave out the indexes that nobody gave.

    Beside other whole numbers 0, 1, 2, ... are labels too: rows of one table were taken or sorted.
    """
    labels = {name: index for name, index in indexes.items() if not is_default(index)}
    whole = any(index.inferred_type == "integer" for index in labels.values())
    return dict(indexes) if whole else labels


def join(
    given: Mapping[str, Any], indexes: Mapping[str, pd.Index | None]
) -> tuple[dict[str, Any], pd.Index | None]:
    """Give tables the same rows: those whose label any of them has, in the order first seen.

    Parameters
    ----------
    given : mapping of str to (DataFrame or ndarray)
    indexes : mapping of str to (Index or None)
        Labels of their rows. If no table has any, rows go by position.

    Returns
    -------
    joined : dict of str to table
        Rows that a table lacks are missing in it. Integers and truth values of a DataFrame become
        those of pandas that may be missing ("Int64", "boolean") where one is.
    index : Index or None

    Raises
    ------
    ValueError
        If only some tables have labels, or a label is missing or stands twice in one table.

    Warns
    -----
    UserWarning
        If no two tables have a label in common.
    """
    known = {name: index for name, index in indexes.items() if index is not None}
    if not known:
        return dict(given), None
    frames = {name: table.index for name, table in given.items() if tables.is_frame(table)}
    indexes = {**indexes, **_labels({**frames, **known})}
    if bare := [name for name, index in indexes.items() if index is None]:
        raise ValueError(
            f"The rows of the modalities {bare} have no labels, and those of others have: they "
            "cannot be joined. Give each table an index, or none."
        )
    kinds = {pd.api.types.infer_dtype(index) for index in indexes.values()}
    labels = {n: i if len(kinds) == 1 else i.astype(str) for n, i in indexes.items()}
    for name, index in labels.items():
        if index.hasnans:
            raise ValueError(
                f"Modality '{name}': the label of row {int(index.isna().argmax())} is missing."
            )
        if index.has_duplicates:
            twice = index[index.duplicated()].unique()[:5].tolist()
            raise ValueError(
                f"Modality '{name}': the labels {twice} stand in several rows. Each row needs a "
                "label of its own."
            )
    every = pd.Index(list(dict.fromkeys(chain(*labels.values()))))
    every.name = next((i.name for i in labels.values() if i.name is not None), None)
    if len(labels) > 1 and len(every) == sum(map(len, labels.values())):
        first = ", ".join(f"'{name}' begins with {i[0]!r}" for name, i in labels.items() if len(i))
        warnings.warn(
            f"No two modalities have a row in common: {first}. Are these the labels of the rows?",
            UserWarning,
            stacklevel=2,
        )
    at = {name: index.get_indexer(every) for name, index in labels.items()}
    return {name: _spread(table, at[name], every) for name, table in given.items()}, every


def _spread(table: Any, at: np.ndarray, index: pd.Index) -> Any:
    """Put rows of a table where the index has them, and missing ones where ``at`` is -1."""
    lacks = at < 0
    if not tables.is_frame(table):
        return tables.hide(table[at], ~lacks) if lacks.any() else table[at]
    if lacks.any():
        kinds = {
            label: _NULLABLE[dtype.kind]
            for label, dtype in table.dtypes.items()
            if isinstance(dtype, np.dtype) and dtype.kind in _NULLABLE
        }
        table = table.astype(kinds)
    return table.set_axis(range(len(table))).reindex(at).set_axis(index)


def read_mask(mask: Any, data: Mapping[str, Any], n_samples: int) -> dict[str, np.ndarray]:
    """Bring a mask to one bool (N,) for each modality of the data that has one."""
    if mask is None:
        return {}
    names = list(data)
    if tables.is_frame(mask):
        mask = {name: mask[name] for name in mask}
    if isinstance(mask, Mapping):
        index = next((table.index for table in data.values() if tables.is_frame(table)), None)
        for name, part in mask.items():
            if isinstance(part, pd.Series):
                check_index_of_mask(part, index, f"the mask of modality '{name}'")
        if unknown := [name for name in mask if name not in names]:
            raise ValueError(f"mask names {unknown}, which are not in the data.")
        shown = {
            name: _array_of(part, f"The mask of modality '{name}'") for name, part in mask.items()
        }
    else:
        array = _array_of(mask, "mask")
        if array.ndim != 2 or array.shape[1] != len(names):
            raise ValueError(
                f"mask must have one column for each of the {len(names)} modalities; got the "
                f"shape {array.shape}."
            )
        shown = dict(zip(names, array.T, strict=True))
    for name, part in shown.items():
        if part.dtype != bool or part.shape != (n_samples,):
            raise ValueError(
                f"The mask of modality '{name}' must be bool, one for each of the {n_samples} "
                f"samples; got {part.dtype} of shape {part.shape}."
            )
    return shown


def check_index_of_mask(mask: pd.Series, index: pd.Index | None, called: str) -> None:
    """Refuse a mask whose rows are other ones, or in another order."""
    if differ({"data": index, "mask": mask.index}):
        raise ValueError(
            f"The rows of {called} and of the data have different indexes. Align them first, for "
            "example with mask.reindex, or give the mask as an array."
        )


def _array_of(mask: Any, what: str) -> np.ndarray:
    try:
        return np.array(mask)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{what} must be bool; got what is no array: {error}.") from error


def stack(
    name: str,
    parts: Sequence[Any],
    lengths: Sequence[int],
    indexes: Sequence[Any],
    size: tables.Size | None,
) -> Any:
    """Put the tables of one modality below each other, NaN where a part is None.

    Tables of one kind stay of that kind; others become an array.
    """
    given = [table for table in parts if table is not None]
    if not given:
        return None
    if all(tables.is_frame(table) for table in given):
        columns = given[0].columns
        if not all(table.columns.equals(columns) for table in given):
            raise ValueError(f"The columns of modality '{name}' differ between the parts.")
        return pd.concat(
            [
                given[0].iloc[:0].reindex(pd.RangeIndex(n) if index is None else index)
                if table is None
                else table
                for table, n, index in zip(parts, lengths, indexes, strict=True)
            ]
        )
    if all(tables.is_sparse(table) for table in parts):
        import scipy.sparse  # whoever has such a table has scipy

        return scipy.sparse.vstack(parts, format="csr")
    row = size if isinstance(size, tuple) else (size,)
    return np.concatenate(
        [
            np.full((n, *row), np.nan) if table is None else np.asarray(tables.to_array(table))
            for table, n in zip(parts, lengths, strict=True)
        ]
    )
