"""What fit saw of a user's data, and how results go back into the same form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from . import tables
from .modalities import Modalities, index_of


@dataclass(frozen=True)
class Layout:
    """Form and names of the X that an estimator was fitted on.

    Parameters
    ----------
    kind : type
        list, tuple, dict, Modalities, ndarray or DataFrame; the last two are one table.
    names : tuple of str
        Names of the modalities.
    widths : tuple of int
        Their numbers of features.
    columns : tuple of (Index or None)
        Their column labels, where they came as DataFrames; those of the one table, once.
    positions : tuple of int ndarray, default=None
        Where the columns of each modality stand in the one table.
    event_shapes : tuple of (tuple of int or None), default=()
        Shapes of one row of those that came with more than two axes; () is None for each.
    """

    kind: type
    names: tuple[str, ...]
    widths: tuple[int, ...]
    columns: tuple[pd.Index | None, ...]
    positions: tuple[np.ndarray, ...] | None = None
    event_shapes: tuple[tuple[int, ...] | None, ...] = ()

    @property
    def sizes(self) -> tuple[tables.Size, ...]:
        """What one row of each modality is: a number of features, or the shape of an image."""
        shapes = self.event_shapes or (None,) * len(self.widths)
        return tuple(shape or width for shape, width in zip(shapes, self.widths, strict=True))

    @property
    def is_table(self) -> bool:
        """Whether X is one table."""
        return self.positions is not None

    def labels(self, modality: int) -> pd.Index | None:
        """Column labels of the modality of a number; None where it came without."""
        if self.positions is None or self.columns[0] is None:
            return self.columns[0 if self.is_table else modality]
        return self.columns[0][self.positions[modality]]

    def join(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """Put the modalities of one table back in their places."""
        table = np.empty((len(arrays[0]), sum(self.widths)), dtype=arrays[0].dtype)
        for where, array in zip(self.positions or (), arrays, strict=True):
            table[:, where] = array
        return table

    def new(self, arrays: Sequence[np.ndarray]) -> Any:
        """Build what fit was given, of new values: one array (N, F_m) a modality.

        Images, here and in ``renew``, have their shape back.
        """
        if self.is_table:
            labels = self.columns[0] if self.kind is pd.DataFrame else None
            return _like(None, labels, self.join(arrays))
        new = [
            _like(None, labels, array)
            for labels, array in zip(self.columns, self._shaped(arrays), strict=True)
        ]
        return self._wrap(self.kind, new)

    def renew(self, X: Any, arrays: Sequence[np.ndarray], *, missing_only: bool) -> Any:
        """Build what X is, of new values: all of them, or only where X has none.

        X itself is not changed.
        """
        if self.is_table:
            return _replace(X, self.join(arrays), missing_only)
        old = list(X) if isinstance(X, (list, tuple)) else [X[name] for name in self.names]
        index = index_of(old)
        new = [
            _like(index, labels, array) if table is None else _replace(table, array, missing_only)
            for table, labels, array in zip(old, self.columns, self._shaped(arrays), strict=True)
        ]
        return self._wrap(kind_of(X), new)

    def _shaped(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Give the rows of images their shape back."""
        return [
            array.reshape(len(array), *size) if isinstance(size, tuple) else array
            for array, size in zip(arrays, self.sizes, strict=True)
        ]

    def _wrap(self, kind: type, parts: list[Any]) -> Any:
        if kind in (list, tuple):
            return kind(parts)
        named = dict(zip(self.names, parts, strict=True))
        return named if kind is dict else Modalities(named)


def kind_of(X: Any) -> type:
    """Tell list, tuple, dict (also subclasses of them) and Modalities apart."""
    kinds = [kind for kind in (list, tuple, Mapping) if isinstance(X, kind)] or [Modalities]
    return dict if kinds[0] is Mapping else kinds[0]


def _like(index: pd.Index | None, labels: pd.Index | None, array: np.ndarray) -> Any:
    return array if labels is None else pd.DataFrame(array, index=index, columns=labels)


def _replace(table: Any, array: np.ndarray, missing_only: bool) -> Any:
    """Copy a table, with new values everywhere or where it has none; keep dtypes that can hold."""
    if isinstance(table, pd.DataFrame):
        return _replace_frame(table, array, missing_only)
    if tables.is_sparse(table) and missing_only:
        return _fill_sparse(tables.to_csr(table).copy(), array)
    if isinstance(table, torch.Tensor):
        new = _replace(tables.to_array(table), array, missing_only)
        return torch.from_numpy(new).to(device=table.device)
    table = np.asarray(tables.to_array(table))
    if table.dtype.kind in "biu":  # nothing is missing, and means are not integers
        return table.copy() if missing_only else array
    if table.dtype.kind != "f":  # objects that hold numbers and None
        table = table.astype(float)
    return _filled(table, array) if missing_only else array.astype(table.dtype, copy=False)


def _replace_frame(frame: pd.DataFrame, array: np.ndarray, missing_only: bool) -> pd.DataFrame:
    missing = frame.isna().to_numpy() if missing_only else np.ones(frame.shape, dtype=bool)
    dtypes = list(frame.dtypes.unique())
    if len(dtypes) == 1 and isinstance(dtypes[0], np.dtype) and dtypes[0].kind == "f":
        values = np.where(missing, array, frame.to_numpy()).astype(dtypes[0])
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)
    columns = [
        _replace_column(frame.iloc[:, j], array[:, j], missing[:, j])
        for j in range(frame.shape[1])
    ]
    filled = pd.concat(columns, axis=1)
    filled.columns = frame.columns
    return filled


def _fill_sparse(table: Any, array: np.ndarray) -> Any:
    """Write over the NaN of a CSR table."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    holes = np.isnan(table.data)
    table.data[holes] = array[rows[holes], table.indices[holes]]
    return table


def _filled(table: np.ndarray, array: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(table), array, table).astype(table.dtype, copy=False)


def _replace_column(column: pd.Series, values: np.ndarray, missing: np.ndarray) -> pd.Series:
    if not missing.any():
        return column.copy()
    kept = column.astype(float).to_numpy(dtype=float, na_value=np.nan)
    dtype = column.dtype if pd.api.types.is_float_dtype(column.dtype) else float
    filled = np.where(missing, values, kept)
    return pd.Series(filled, index=column.index, name=column.name).astype(dtype)
