"""What fit saw of a user's data, and how results go back into the same form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from . import tables
from .coding import Codings, as_floats, frame_of, labels_of, refill
from .items import tables_of
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
    codings : tuple of (tuple of Coding or None), default=()
        What their columns held, where they came as DataFrames of more than plain numbers; of the
        one table, once. () is None for each.
    """

    kind: type
    names: tuple[str, ...]
    widths: tuple[int, ...]
    columns: tuple[pd.Index | None, ...]
    positions: tuple[np.ndarray, ...] | None = None
    event_shapes: tuple[tuple[int, ...] | None, ...] = ()
    codings: tuple[Codings, ...] = ()

    def labels(self, modality: int) -> Sequence[Any]:
        """Names of the columns of a modality; positions where they have none."""
        if self.positions is None:
            return labels_of(self.columns[modality], self.widths[modality])
        where, whole = self.positions[modality], self.columns[0]
        return where.tolist() if whole is None else whole[where].tolist()

    def coding(self, modality: int) -> Codings:
        """Tell what the columns of a modality hold; None if plain numbers, or if nobody said."""
        whole = self._codings[0 if self.is_table else modality]
        if whole is None or self.positions is None:
            return whole
        return tuple(whole[position] for position in self.positions[modality])

    @property
    def _codings(self) -> tuple[Codings, ...]:
        return self.codings or (None,) * len(self.columns)

    @property
    def sizes(self) -> tuple[tables.Size, ...]:
        """What one row of each modality is: a number of features, or the shape of an image."""
        shapes = self.event_shapes or (None,) * len(self.widths)
        return tuple(shape or width for shape, width in zip(shapes, self.widths, strict=True))

    @property
    def is_table(self) -> bool:
        """Whether X is one table."""
        return self.positions is not None

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
            return _like(None, self.columns[0], self.join(arrays), self._codings[0])
        new = [
            _like(None, labels, array, codings)
            for labels, array, codings in zip(
                self.columns, self._shaped(arrays), self._codings, strict=True
            )
        ]
        return self._wrap(self.kind, new)

    def renew(self, X: Any, arrays: Sequence[np.ndarray], *, missing_only: bool) -> Any:
        """Build what X is, of new values: all of them, or only where X has none.

        X itself is not changed.
        """
        if self.is_table:
            return _replace(X, self.join(arrays), self._codings[0], missing_only)
        X = tables_of(X)
        old = list(X) if isinstance(X, (list, tuple)) else [X[name] for name in self.names]
        index = index_of(old)
        new = [
            _like(index, labels, array, codings)
            if table is None
            else _replace(table, array, codings, missing_only)
            for table, labels, array, codings in zip(
                old, self.columns, self._shaped(arrays), self._codings, strict=True
            )
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


def _like(
    index: pd.Index | None, labels: pd.Index | None, array: np.ndarray, codings: Codings
) -> Any:
    return array if labels is None else frame_of(array, index, labels, codings)


def _replace(table: Any, array: np.ndarray, codings: Codings, missing_only: bool) -> Any:
    """Copy a table, with new values everywhere or where it has none; keep dtypes that can hold."""
    if isinstance(table, pd.DataFrame):
        return refill(table, array, codings, missing_only=missing_only)
    if tables.is_sparse(table) and missing_only:
        return _fill_sparse(tables.to_csr(table).copy(), array)
    if isinstance(table, torch.Tensor):
        new = _replace(tables.to_array(table), array, None, missing_only)
        return torch.from_numpy(new).to(device=table.device)
    table = np.asarray(tables.to_array(table))
    if table.dtype.kind in "biu":  # nothing is missing, and means are not integers
        return table.copy() if missing_only else array
    if table.dtype.kind != "f":  # objects that hold numbers and None
        table = table.astype(float)
    return _filled(table, array) if missing_only else as_floats(array, table.dtype)


def _fill_sparse(table: Any, array: np.ndarray) -> Any:
    """Write over the NaN of a CSR table."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    holes = np.isnan(table.data)
    table.data[holes] = array[rows[holes], table.indices[holes]]
    return table


def _filled(table: np.ndarray, array: np.ndarray) -> np.ndarray:
    return as_floats(np.where(np.isnan(table), array, table), table.dtype)
