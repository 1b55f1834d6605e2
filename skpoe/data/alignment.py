"""Do tables agree? Side by side their rows must, below each other their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import tables


def read_shapes(
    data: Mapping[str, Any], n_features: Mapping[str, tables.Size]
) -> tuple[dict[str, tables.Size | None], int]:
    """Check the shapes of tables; give the size of a row of each, None where unknown, and N."""
    sizes: dict[str, tables.Size | None] = {
        name: tuple(size) if isinstance(size, Sequence) else size
        for name, size in n_features.items()
    }
    if unknown := set(sizes) - set(data):
        raise ValueError(f"n_features names {sorted(unknown)}, which are not in the data.")
    lengths: dict[str, int] = {}
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


def check_indexes(data: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse DataFrames whose rows are about different things, or in different orders.

    Those without labels get those of the others, so that parts of both still agree.
    """
    first: tuple[str, pd.Index] | None = None
    for name, table in data.items():
        if not isinstance(table, pd.DataFrame) or isinstance(table.index, pd.RangeIndex):
            continue
        if first is not None and not table.index.equals(first[1]):
            raise ValueError(
                f"The rows of modalities '{first[0]}' and '{name}' have different indexes. Align "
                "them first, for example with .reindex on the union of their indexes: rows in "
                "which a modality is not measured become NaN."
            )
        first = first or (name, table.index)
    if first is None:
        return dict(data)
    return {n: t.set_axis(first[1]) if tables.is_frame(t) else t for n, t in data.items()}


def read_mask(mask: Any, names: Sequence[str], n_samples: int) -> dict[str, np.ndarray]:
    """Bring a mask to one bool (N,) for each modality that has one."""
    if mask is None:
        return {}
    if tables.is_frame(mask):
        mask = {name: mask[name] for name in mask}
    if isinstance(mask, Mapping):
        if unknown := [name for name in mask if name not in names]:
            raise ValueError(f"mask names {unknown}, which are not in the data.")
        shown = {name: np.array(part) for name, part in mask.items()}
    else:
        array = np.array(mask)
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
