"""Where the results of predictions go: into arrays that are new, or that the caller has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data import tables
from ..data.layout import Layout


class New:
    """Arrays that are made for results.

    Parameters
    ----------
    n_rows : int
    dtype : dtype
    """

    # whether they are the caller's: what is read is then looked through before they change
    is_given = False

    def __init__(self, n_rows: int, dtype: np.dtype) -> None:
        self.n_rows, self.dtype = n_rows, dtype
        self.arrays: list[Any] = []

    def write(self, start: int, read: Sequence[np.ndarray], parts: Sequence[np.ndarray]) -> None:
        """Take the results of some rows, and what was read of them, NaN where missing."""
        if not self.arrays:  # once: what stays between chunks would scatter the memory
            shapes = [(self.n_rows, *part.shape[1:]) for part in parts]
            self.arrays = [np.empty(shape, dtype=self.dtype) for shape in shapes]
        for array, part in zip(self.arrays, parts, strict=True):
            array[start : start + len(part)] = part


class Given(New):
    """One array of the caller, in memory or on disk.

    Parameters
    ----------
    out : array-like
    shape : tuple of int
        That it must have.
    dtype : dtype
        Of results.
    """

    is_given = True

    def __init__(self, out: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
        super().__init__(shape[0], dtype)
        check_out("out", out, shape, dtype)
        self.arrays = [out]


class Filled(New):
    """Arrays of the caller for modalities that are filled in, or for the one table.

    Parameters
    ----------
    out : array-like, or list or dict of (array-like or None)
    layout : Layout
    n_rows : int
    dtype : dtype
        Of results.
    missing_only : bool
        Whether observed entries are written as they came.

    Attributes
    ----------
    wanted : list of int
        Numbers of the modalities that have an array.
    """

    is_given = True

    def __init__(
        self, out: Any, layout: Layout, n_rows: int, dtype: np.dtype, *, missing_only: bool
    ) -> None:
        super().__init__(n_rows, dtype)
        self.layout, self.missing_only = layout, missing_only
        self.wanted = list(range(len(layout.names)))
        if layout.is_table:
            check_out("out", out, (n_rows, sum(layout.widths)), dtype)
            self.arrays = [out]
        else:
            given = _by_name(out, layout.names)
            self.wanted = [m for m, name in enumerate(layout.names) if given[name] is not None]
            self.arrays = [given[layout.names[m]] for m in self.wanted]
        for m in self.wanted:
            name, size = layout.names[m], layout.sizes[m]
            if layout.coding(m) is not None:
                raise ValueError(
                    f"Modality '{name}' has columns that are not plain numbers, which out cannot "
                    "hold. Call without out, by parts of the rows."
                )
            if not layout.is_table:
                shape = (n_rows, *(size if isinstance(size, tuple) else (size,)))
                check_out(f"out['{name}']", given[name], shape, dtype)

    def write(self, start: int, read: Sequence[np.ndarray], parts: Sequence[np.ndarray]) -> None:
        """Write rows of all that is wanted."""
        if self.missing_only:
            shown = [read[m] for m in self.wanted]
            parts = [np.where(np.isnan(x), new, x) for x, new in zip(shown, parts, strict=True)]
        if self.layout.is_table:
            parts = [self.layout.join(parts)]
        for array, part in zip(self.arrays, parts, strict=True):
            array[start : start + len(part)] = part.reshape(len(part), *array.shape[1:])


def _by_name(out: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Read a list or dict of arrays, one a modality."""
    if isinstance(out, (list, tuple)) and len(out) == len(names):
        out = dict(zip(names, out, strict=True))
    if not isinstance(out, (list, tuple, Mapping)):
        raise TypeError(
            f"out must be a list or dict with an array, or None, for each of the modalities "
            f"{list(names)}; got {type(out).__name__}."
        )
    if isinstance(out, Mapping) and set(out) == set(names):
        if all(array is None for array in out.values()):
            raise ValueError("Every array of out is None: there is nothing to write to.")
        return out
    has = f"{len(out)} arrays" if isinstance(out, (list, tuple)) else str(list(out))
    raise ValueError(
        f"out has {has}, but the modalities are {list(names)}. Give an array for each, or None "
        "for one that is not wanted."
    )


def check_out(word: str, out: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what results cannot be written to, before anything is."""
    kind = _dtype_of(out)
    if kind is None or tables.is_sparse(out) or tables.is_frame(out):
        raise TypeError(
            f"{word} must be an array that rows can be written to: an ndarray, np.memmap, dataset "
            f"of h5py or array of zarr; got {type(out).__name__}."
        )
    if tuple(out.shape) != shape:
        raise ValueError(f"{word} has the shape {tuple(out.shape)}, but the result has {shape}.")
    if not np.can_cast(dtype, kind, "same_kind"):
        raise TypeError(f"{word} has the dtype {kind}, which cannot hold the result, of {dtype}.")
    if _is_read_only(out):
        raise ValueError(f"{word} is read-only. Open the file with mode 'r+' or 'w+'.")


def _is_read_only(out: Any) -> bool:
    if isinstance(out, np.ndarray):
        return not out.flags.writeable
    # as h5py says it, and as zarr does
    return getattr(getattr(out, "file", None), "mode", "") == "r" or getattr(
        out, "read_only", False
    )


def _dtype_of(out: Any) -> np.dtype | None:
    """Dtype of an array that can be written to; None of anything else."""
    if not (hasattr(out, "shape") and hasattr(out, "dtype") and hasattr(out, "__setitem__")):
        return None
    try:
        return np.dtype(out.dtype)
    except TypeError:  # a tensor's
        return None
