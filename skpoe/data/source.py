"""Modalities that have been checked, as float arrays that are read by rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from . import tables
from .modalities import Modalities

# numbers that are read at a time where all are gone over
CHUNK = 2**17


class Source:
    """Float arrays, NaN where missing; what lives on disk or is sparse is read when asked for.

    Parameters
    ----------
    X : Modalities
        Numbers; in the order of fit.
    widths : sequence of int
        Numbers of features.
    dtype : dtype
        float32 or float64, of all that is read.
    positions : sequence of int ndarray, default=None
        Where the columns of each modality stand, if X is one table.
    hidden : collection of int, default=()
        Numbers of modalities that are shown in no row.
    """

    def __init__(
        self,
        X: Modalities,
        widths: Sequence[int],
        dtype: np.dtype,
        positions: Sequence[np.ndarray] | None = None,
        hidden: Collection[int] = (),
    ) -> None:
        self.X, self.widths, self.dtype = X, widths, dtype
        self.positions, self.hidden = positions, hidden

    def __len__(self) -> int:
        return len(self.X)

    @property
    def is_elsewhere(self) -> bool:
        """Whether any table is on disk or sparse, so that memory holds less than it."""
        return any(tables.is_elsewhere(table) for table in self.X._tables.values())

    @property
    def is_stored(self) -> bool:
        """Whether any table is on disk, or gives one row at a time."""
        return any(map(tables.is_stored, self.X._tables.values()))

    @property
    def n_chunk(self) -> int:
        """How many rows the storage of any table reads at least."""
        return max(tables.n_chunk(table) for table in self.X._tables.values())

    def at(self) -> np.ndarray:
        """Where rows stand in their tables: int (N,)."""
        return np.asarray(self.X._rows)

    def take(self, rows: np.ndarray) -> Source:
        """Keep some rows; nothing is read."""
        return Source(self.X[rows], self.widths, self.dtype, self.positions, self.hidden)

    def hide(self, modalities: Collection[int]) -> Source:
        """Show nothing of some modalities, in any row; what was hidden before stays so."""
        hidden = {*self.hidden, *modalities}
        return Source(self.X, self.widths, self.dtype, self.positions, hidden)

    def show(self, modalities: Collection[int]) -> Source:
        """Show nothing but some modalities."""
        return self.hide([m for m in range(len(self.widths)) if m not in modalities])

    def observed(self) -> np.ndarray:
        """Whether a row shows any entry of a modality: bool (N, M)."""
        parts = [[~np.isnan(x).all(axis=1) for x in self[rows]] for rows in self.chunks()]
        return np.concatenate([np.stack(part, axis=1) for part in parts])

    def one(self, modality: int) -> Source:
        """Keep the modality of a number; nothing is read."""
        width, hidden = [self.widths[modality]], {0} if modality in self.hidden else ()
        if self.positions is not None:
            return Source(self.X, width, self.dtype, [self.positions[modality]], hidden)
        one = self.X.select([self.X.names[modality]])
        return Source(one, width, self.dtype, hidden=hidden)

    def chunks(self) -> Iterator[slice]:
        """Slices of rows that go over all of them; few enough at a time to be held."""
        size = max(1, CHUNK // sum(self.widths))
        return (slice(start, start + size) for start in range(0, len(self), size))

    def __getitem__(self, rows: slice | np.ndarray) -> list[np.ndarray]:
        """Read rows: an array (n, F_m) a modality. They may be the caller's: do not write."""
        part = self.X[rows]
        nothing = np.array(np.nan, dtype=self.dtype)
        if self.positions is not None:
            table = self._floats(part["X"])
            arrays = [table[:, where] for where in self.positions]
        else:
            arrays = [
                np.broadcast_to(nothing, (len(part), width))
                if part._tables[name] is None or m in self.hidden
                else self._floats(part[name])
                for m, (name, width) in enumerate(zip(part.names, self.widths, strict=True))
            ]
        for m in self.hidden:
            arrays[m] = np.broadcast_to(nothing, arrays[m].shape)
        return arrays

    def _floats(self, table: Any) -> np.ndarray:
        array = np.asarray(tables.to_array(table)).astype(self.dtype, copy=False)
        return tables.flatten(array)
