"""One table in any form that people have: what it holds, and how its rows are read.

Optional packages are never imported here: a table that came from h5py or zarr brings its own.
"""

from __future__ import annotations

import math
import os
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch

Rows = range | np.ndarray
# what one row of a modality is: so many features, or the shape of an image
Size = int | tuple[int, ...]


def is_frame(table: Any) -> bool:
    """Whether it is a DataFrame."""
    return isinstance(table, pd.DataFrame)


def is_sparse(table: Any) -> bool:
    """Whether it is a sparse matrix or array of scipy, in any format."""
    return hasattr(table, "tocsr")


def sparse_columns(table: Any) -> list[int]:
    """Positions of the columns of a DataFrame that pandas holds as sparse ones."""
    dtypes = table.dtypes if is_frame(table) else []
    return [j for j, dtype in enumerate(dtypes) if isinstance(dtype, pd.SparseDtype)]


def is_store(table: Any) -> bool:
    """Whether it is an array in a file that is read by parts: a dataset of h5py, zarr, ..."""
    known = isinstance(table, (np.ndarray, pd.DataFrame, torch.Tensor)) or is_sparse(table)
    return not known and hasattr(table, "shape") and hasattr(table, "dtype")


def is_mapped(table: Any) -> bool:
    """Whether it is a memory-mapped array, or a view of one."""
    while isinstance(table, np.ndarray):
        if isinstance(table, np.memmap):
            return True
        table = table.base
    return False


def is_stored(table: Any) -> bool:
    """Whether it is on disk, or gives one row at a time."""
    return is_store(table) or is_mapped(table)


def is_elsewhere(table: Any) -> bool:
    """Whether a dense copy in memory would be more than what the table is now."""
    return is_sparse(table) or is_stored(table)


def n_chunk(table: Any) -> int:
    """How many rows a store reads at least."""
    chunks = getattr(table, "chunks", None) if is_store(table) else None
    return int(chunks[0]) if chunks else 1


def to_csr(table: Any) -> Any:
    """Bring a sparse table to CSR with each entry once; the caller's is not changed."""
    csr = table.tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def size_of(table: Any) -> Size:
    """Tell how many features a row has; its shape, where the table has more than two axes."""
    return table.shape[1] if len(table.shape) == 2 else tuple(table.shape[1:])


def n_numbers(size: Size) -> int:
    """How many numbers one row holds."""
    return math.prod(size) if isinstance(size, tuple) else size


def describe(size: Size | None) -> str:
    """Say the size of a row for people: 3 or 1x28x28."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def flatten(table: Any) -> Any:
    """Lay the numbers of each row side by side, (N, F), where a table has more than two axes."""
    if len(table.shape) <= 2:
        return table
    return table.reshape(table.shape[0], n_numbers(size_of(table)))


def dtypes(table: Any) -> list[np.dtype]:
    """Dtypes of the columns, or the one of all; object for those that numpy does not know."""
    if is_frame(table):
        return [d if isinstance(d, np.dtype) else np.dtype(object) for d in table.dtypes]
    if isinstance(table, torch.Tensor):
        return [to_array(table[:0]).dtype]
    return [np.dtype(table.dtype)]


def is_all(rows: Rows, n_rows: int) -> bool:
    """Whether these are all rows, in order."""
    return isinstance(rows, range) and rows == range(n_rows)


def compose(rows: Rows, key: Any) -> Rows:
    """Find rows of rows."""
    if isinstance(key, slice):
        return rows[key]
    key = np.asarray(key)
    if key.size == 0 and key.ndim == 1:
        key = key.astype(np.intp)
    if key.dtype == bool:
        if key.shape != (len(rows),):
            raise IndexError(f"The mask has shape {key.shape} for {len(rows)} samples.")
        key = key.nonzero()[0]
    if key.dtype.kind not in "iu" or key.ndim != 1:
        raise IndexError("Modalities are indexed by rows, or by the name of a modality.")
    if key.size and not (-len(rows) <= key.min() and key.max() < len(rows)):
        raise IndexError(f"Rows are out of range for {len(rows)} samples.")
    key = key.astype(np.intp, copy=False)
    key = np.where(key < 0, key + len(rows), key)
    return rows.start + rows.step * key if isinstance(rows, range) else rows[key]


def take(table: Any, rows: Rows) -> Any:
    """Give rows of a table, in its own form; those of a store are read."""
    if isinstance(rows, range):
        if is_all(rows, table.shape[0]):
            return table
        rows = rows if len(rows) else range(0)
        if rows.step > 0 or isinstance(table, np.ndarray):
            stop = rows.stop if rows.stop >= 0 else None
            rows = slice(rows.start, stop, rows.step)
        else:  # few others can step backwards
            rows = np.asarray(rows)
    if is_frame(table):
        return table.iloc[rows]
    if is_store(table) and not isinstance(rows, slice):
        return _read(table, rows)
    if isinstance(table, torch.Tensor) and not isinstance(rows, slice):
        return table[torch.as_tensor(rows, device=table.device)]
    return table[rows]


def _read(store: Any, rows: np.ndarray) -> np.ndarray:
    """Read rows of a store, each once and in the order of the file, as stores ask for."""
    if hasattr(store, "__getitems__"):  # row by row
        return store.__getitems__(rows)
    unique, inverse = np.unique(rows, return_inverse=True)
    if not len(unique):
        return store[:0]
    first, last = unique[0], unique[-1] + 1
    if last - first <= 4 * len(unique):  # one block is faster than a list of rows
        return store[first:last][rows - first]
    cuts = np.flatnonzero(np.diff(unique) > 4) + 1
    if 4 * len(cuts) < len(unique):  # and so are some blocks
        runs = np.split(unique, cuts)
        return np.concatenate([store[r[0] : r[-1] + 1][r - r[0]] for r in runs])[inverse]
    return store[(unique, *[slice(None)] * (len(store.shape) - 1))][inverse]


def hide(table: Any, shown: np.ndarray) -> Any:
    """Copy a table with NaN in the rows that are not shown, (N,) bool."""
    if is_frame(table):
        return table.where(np.broadcast_to(shown[:, None], table.shape))
    if isinstance(table, torch.Tensor):
        here = torch.as_tensor(shown.copy(), device=table.device).view(-1, *[1] * (table.ndim - 1))
        numbers = table.is_floating_point() or table.is_complex()
        return torch.where(here, table if numbers else table.double(), torch.nan)
    if is_sparse(table):
        return _hide_sparse(table, shown)
    table = unmask(table)
    hidden = np.array(table, dtype=with_nan(table.dtype))
    hidden[~shown] = np.nan
    return hidden


def with_nan(dtype: np.dtype) -> np.dtype:
    """Find the dtype that holds NaN too."""
    return dtype if dtype.kind in "fc" else np.dtype(float if dtype.kind in "biu" else object)


def _hide_sparse(table: Any, shown: np.ndarray) -> Any:
    """Write whole rows of NaN into a CSR table without making the others dense."""
    n_features = table.shape[1]
    lengths = np.where(shown, np.diff(table.indptr), n_features)
    kind = with_nan(table.dtype)
    kept = np.repeat(shown, lengths)
    data = np.full(lengths.sum(), np.nan, dtype=kind)
    indices = np.empty(lengths.sum(), dtype=table.indices.dtype)
    old = np.repeat(shown, np.diff(table.indptr))
    data[kept], indices[kept] = table.data[old], table.indices[old]
    indices[~kept] = np.tile(np.arange(n_features), int((~shown).sum()))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    return type(table)((data, indices, indptr), shape=table.shape)


def unmask(table: Any) -> Any:
    """Say missing by NaN where a masked array says it by its mask, and one of objects by NA."""
    if isinstance(table, np.ma.MaskedArray):
        kind = table.dtype if table.dtype.kind == "f" else float
        return table.astype(kind).filled(np.nan)
    if isinstance(table, np.ndarray) and table.dtype == object:
        return np.where(pd.isna(table), np.nan, table)
    return table


def to_array(table: Any) -> Any:
    """Give a dense table as an array; DataFrames stay, for scikit-learn reads their dtypes."""
    if is_sparse(table):
        return table.toarray()
    if isinstance(table, torch.Tensor):
        table = table.detach().cpu()
        return (table.float() if table.dtype is torch.bfloat16 else table).numpy()
    if sparse := sparse_columns(table):  # scikit-learn would make them a sparse matrix
        table = table.copy(deep=False)
        for j in sparse:
            table.isetitem(j, np.asarray(table.iloc[:, j]))
    return unmask(table if is_frame(table) or isinstance(table, np.ndarray) else np.asarray(table))


def missing(table: Any) -> np.ndarray:
    """Count the missing entries of each row, (N,)."""
    if is_sparse(table):
        entries = table.tocoo()
        return np.bincount(entries.row[np.isnan(entries.data)], minlength=table.shape[0])
    return flatten(np.asarray(pd.isna(to_array(table)))).sum(axis=1)


class _Frozen:
    """A table that cannot be pickled as it is, or that joblib can map only as an array."""

    def __init__(self, kind: str, *what: Any) -> None:
        self.kind, self.what = kind, what


def freeze(table: Any) -> Any:
    """Make a table ready for pickling: datasets of h5py go by path, tensors as arrays."""
    if isinstance(table, torch.Tensor) and table.device.type == "cpu":
        return _Frozen("torch", to_array(table), table.dtype)
    if type(table).__module__.startswith("h5py"):
        if table.file.mode != "r" or not os.path.exists(table.file.filename):
            raise pickle.PicklingError(
                f"The dataset {table.name!r} of h5py is pickled by its path, to be read "
                "elsewhere: open a file that lies on disk with mode 'r'."
            )
        return _Frozen("h5py", os.path.abspath(table.file.filename), table.name)
    if is_mapped(table) and min(table.strides) < 0:  # joblib maps such a view from its wrong end
        return np.array(table)
    return table


def thaw(table: Any) -> Any:
    """Undo :func:`freeze`."""
    if not isinstance(table, _Frozen):
        return table
    if table.kind == "h5py":
        import h5py

        path, key = table.what
        return h5py.File(path, "r")[key]
    array, dtype = table.what
    with warnings.catch_warnings():  # mapped by a worker, it is read-only; nobody writes to it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(dtype)
