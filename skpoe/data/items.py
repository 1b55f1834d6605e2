"""Datasets that give one row at a time, as tables side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch

from . import tables

# what is asked for rows by number, too, but is no dataset
_OTHERS = (str, bytes, bytearray, list, tuple, range, Mapping)


def is_dataset(X: Any) -> bool:
    """Whether it is a map-style dataset: it has a length, and gives an item for a number."""
    if isinstance(X, _OTHERS) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        return False
    if isinstance(X, torch.utils.data.Dataset) or hasattr(X, "__getitems__"):
        return True
    return not any(hasattr(X, name) for name in ("shape", "__array__", "__dataframe__"))


def tables_of(X: Any) -> Any:
    """Give a dataset as a list or dict of tables, as its items are; anything else as it is."""
    if not is_dataset(X):
        return X
    items = _Items(X)
    columns = {name: items.column(name) for name in items.names}
    return columns if items.has_names else list(columns.values())


class Column:
    """One modality of a dataset. It is read like an array on disk.

    Parameters
    ----------
    items : _Items
    name : str
    shape : tuple of int
    dtype : dtype
        Floats: anything may be missing.
    """

    def __init__(self, items: _Items, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._items, self._name, self.shape, self.dtype = items, name, shape, dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *others = key if isinstance(key, tuple) else (key,)
        which = np.arange(self.shape[0])[rows]
        read = self.__getitems__(np.atleast_1d(which))
        return (read if np.ndim(which) else read[0])[(*[slice(None)] * np.ndim(which), *others)]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray:
        return self._items.read(self._name, rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


class _Items:
    """Reads items, each once for all modalities.

    The first modality that asks for some rows has their items read; the others find their part
    ready and take it away, so that nothing is kept longer than needed. One thread reads at a time.

    Parameters
    ----------
    dataset : map-style dataset
    """

    def __init__(self, dataset: Any) -> None:
        if not len(dataset):
            raise ValueError("X is a dataset without items. Give at least one.")
        self.dataset = dataset
        first = self._fetch([0])[0]
        self.has_names = isinstance(first, Mapping)
        self.names = list(_parts(first, 0))
        # of the first row that shows a modality: its number, and the shape and dtype there
        self._like: dict[str, tuple[int, tuple[int, ...], np.dtype]] = {}
        row = 0
        while len(self._like) < len(self.names) and row < len(dataset):
            for name, value in self._named(self._fetch([row])[0], row):
                if name not in self._like:
                    self._like[name] = row, value.shape, tables.with_nan(value.dtype)
            row += 1
        self._forget()

    def _forget(self) -> None:
        self._lock = Lock()
        self._rows = np.empty(0, int)
        self._ready: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without lock and rows."""
        passing = ("_lock", "_rows", "_ready")
        return {name: value for name, value in vars(self).items() if name not in passing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def column(self, name: str) -> Column | None:
        """Give a modality as a table; None if no row shows it."""
        if name not in self._like:
            return None
        _, shape, dtype = self._like[name]
        return Column(self, name, (len(self.dataset), *shape), dtype)

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Read rows of a modality, NaN where missing."""
        with self._lock:
            if name not in self._ready or not np.array_equal(rows, self._rows):
                self._ready = self._read(rows)
                self._rows = rows
            return self._ready.pop(name)

    def _read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        arrays = {
            name: np.full((len(rows), *shape), np.nan, dtype)
            for name, (_, shape, dtype) in self._like.items()
        }
        numbers = rows.tolist()
        for at, (row, item) in enumerate(zip(numbers, self._fetch(numbers), strict=True)):
            for name, value in self._named(item, row):
                first, shape, dtype = self._like[name]
                if value.shape != shape:
                    raise ValueError(
                        f"Item {row} of X gives modality '{name}' the shape {value.shape}, but "
                        f"item {first} gives it {shape}. All rows of a modality have one shape."
                    )
                if not np.can_cast(value.dtype, dtype):
                    raise ValueError(
                        f"Item {row} of X gives modality '{name}' as {value.dtype}, but item "
                        f"{first} gives it in a dtype that is held as {dtype}, which would round "
                        "it. Give all rows of a modality one dtype."
                    )
                arrays[name][at] = value
        return arrays

    def _fetch(self, rows: list[int]) -> Sequence[Any]:
        if not hasattr(self.dataset, "__getitems__"):
            return [self.dataset[row] for row in rows]
        items = self.dataset.__getitems__(rows)
        if len(items) != len(rows):
            raise ValueError(
                f"X.__getitems__ gave {len(items)} items for {len(rows)} rows. It has to give a "
                "list with one item a row."
            )
        return items

    def _named(self, item: Any, row: int) -> Iterable[tuple[str, np.ndarray]]:
        """Name of each modality that an item shows, and its numbers."""
        parts = _parts(item, row)
        if parts.keys() != set(self.names):
            raise ValueError(
                f"Item {row} of X has the modalities {list(parts)}, but item 0 has {self.names}. "
                "Give None for a modality that a row lacks."
            )
        return (
            (name, _numbers(parts[name], name, row))
            for name in self.names
            if parts[name] is not None
        )


def _parts(item: Any, row: int) -> dict[str, Any]:
    """Give the modalities of an item by name, or by position."""
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, (list, tuple)):
        return {f"modality_{m}": part for m, part in enumerate(item)}
    raise TypeError(
        f"Item {row} of X is a {type(item).__name__}, but must be a tuple, list or dict of the "
        "modalities of one row. Return (x,) or {'name': x} for a single one."
    )


def _numbers(value: Any, name: str, row: int) -> np.ndarray:
    """Read one row of a modality; a number alone is one feature."""
    try:
        array = np.atleast_1d(tables.to_array(value))
    except ValueError:  # lists of lists of several lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"Item {row} of X gives modality '{name}' as {type(value).__name__} of "
            f"{array.dtype}, but numbers are needed: an array, a tensor, an image, or None where "
            "it is missing."
        )
    return array
