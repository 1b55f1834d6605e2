"""Rows as training visits them: held in memory, or read from where they are, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from ..random import row_keys
from .ahead import Blocks, read_ahead
from .batch import Batch
from .source import Source

# rows that are read at a time to hash them
_HASHED = 256
# rows of batches that draw together, and values that are taken together: they stay in the cache
_ROWS_TOGETHER, _TOGETHER = 2**11, 2**17

Prepare = Callable[[Sequence[np.ndarray]], Batch]


class Chunked:
    """One modality in chunks that can be gone over again, in the data's own units.

    Parameters
    ----------
    source : Source
        Of one modality.
    weights : Tensor of shape (N,)
    """

    def __init__(self, source: Source, weights: Tensor) -> None:
        self.source, self.weights = source, weights

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Values (n, F), zero where missing; masks (n, F) or (n, 1); weights (n,)."""
        for rows in self.source.chunks():
            batch = Batch.from_arrays(self.source[rows])
            yield batch.values[0], batch.masks[0], self.weights[rows]


class Held:
    """Rows that are in memory, standardised, on the device of the model.

    Parameters
    ----------
    batch : Batch
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.keys = row_keys(batch.values, batch.masks)

    @classmethod
    def read(cls, source: Source, prepare: Prepare) -> Held:
        """Read everything, so that there is never a second copy of all of it."""
        parts = (prepare(source[rows]) for rows in source.chunks())
        return cls(Batch.gather(parts, len(source)))

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Batch of some rows, and their keys."""
        return self.batch[rows], self.keys.index_select(0, rows)


class Streamed:
    """Rows that stay where they are; each batch is read and standardised when it is asked for.

    Parameters
    ----------
    source : Source
    prepare : callable
        From arrays to a standardised batch on the device of the model.
    """

    def __init__(self, source: Source, prepare: Prepare) -> None:
        self.source, self.prepare = source, prepare
        self.blocks = Blocks.of(source) if source.is_stored else None
        self.at = source.at()

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Batch of some rows, and their keys."""
        return self._keyed(self.source[rows.cpu().numpy()])

    def visit(self, groups: Iterable[Sequence[Tensor]]) -> Iterator[tuple[Batch, Tensor]]:
        """Give batches of rows, and keys; those of a group are read together, ahead of time."""
        for arrays, places in read_ahead(self._read, groups):
            for rows in places:
                yield self._keyed([array[rows] for array in arrays])
            del arrays

    def _read(self, group: Sequence[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Read rows of batches in the order of the file; say where those of each batch are."""
        rows = torch.cat(list(group)).numpy()
        order = self.at[rows].argsort()
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        ends = np.cumsum([len(batch) for batch in group])[:-1]
        return self.source[rows[order]], np.split(places, ends)

    def _keyed(self, arrays: Sequence[np.ndarray]) -> tuple[Batch, Tensor]:
        batch = self.prepare(arrays)
        return batch, row_keys(batch.values, batch.masks)


class Part(NamedTuple):
    """A batch whose rows were taken together with those of others.

    Parameters
    ----------
    keys : Tensor of shape (n,)
        Of the rows of all.
    numbers : int64 Tensor of shape (n,)
        Which of the batches each row is in.
    place : slice
        Where the rows of this one are.
    number : int
        Which of the batches this one is.
    """

    keys: Tensor
    numbers: Tensor
    place: slice
    number: int


class Picked(NamedTuple):
    """Some rows on their way to a step: their numbers where all rows are held, else the rows.

    Parameters
    ----------
    rows : int64 Tensor of shape (n,), default=None
    batch : Batch, default=None
    keys, weights : Tensor of shape (n,), default=None
    part : Part, default=None
        What they are a part of.
    """

    rows: Tensor | None = None
    batch: Batch | None = None
    keys: Tensor | None = None
    weights: Tensor | None = None
    part: Part | None = None

    @property
    def kind(self) -> tuple[object, ...]:
        """Equal for those whose tensors have the same shapes, and that are computed with alike."""
        whole = () if self.batch is None else tuple(self.batch.complete)
        return (whole, *(tensor.shape for tensor in self._tensors()))

    def clone(self) -> Picked:
        """Copy all tensors."""
        batch = None if self.batch is None else self.batch.clone()
        rows, keys, weights = (
            None if tensor is None else tensor.clone()
            for tensor in (self.rows, self.keys, self.weights)
        )
        return Picked(rows, batch, keys, weights)

    def copy_(self, other: Picked) -> None:
        """Take over the numbers of another of the same kind."""
        for own, new in zip(self._tensors(), other._tensors(), strict=True):
            own.copy_(new)

    def _tensors(self) -> list[Tensor]:
        of_batch = [] if self.batch is None else self.batch.tensors()
        own = (self.rows, self.keys, self.weights)
        return [*of_batch, *(tensor for tensor in own if tensor is not None)]


@dataclass(frozen=True)
class Rows:
    """Rows to learn from or to validate on.

    Parameters
    ----------
    table : Held or Streamed
    weights : Tensor of shape (n rows of the table,)
        Positive.
    index : int64 Tensor of shape (N,), default=None
        Which rows of the table these are; all when None.
    """

    table: Held | Streamed
    weights: Tensor
    index: Tensor | None = None

    @classmethod
    def alike(cls, batch: Batch) -> Rows:
        """Hold a batch, and weigh all rows alike."""
        return cls(Held(batch), torch.ones(len(batch), device=batch.observed.device))

    def __len__(self) -> int:
        return len(self.weights if self.index is None else self.index)

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """Batch, keys (n,) and weights (n,) of some rows."""
        where = rows.to(self.weights.device)
        if self.index is not None:
            where = self.index.index_select(0, where)
        return *self.table[where], self.weights.index_select(0, where)

    def take(self, rows: Tensor) -> Rows:
        """Keep some rows; nothing is copied."""
        where = rows.to(self.weights.device)
        return Rows(self.table, self.weights, where if self.index is None else self.index[where])

    def keys(self) -> Tensor:
        """Hash the observed values of each row: int64 (N,)."""
        if isinstance(self.table, Held):
            return self.table.keys if self.index is None else self.table.keys[self.index]
        return torch.cat([self[rows][1] for rows in self.deal(_HASHED)])

    def total_weight(self) -> Tensor:
        """Sum of the weights of all rows."""
        return (self.weights if self.index is None else self.weights[self.index]).sum()

    @property
    def blocks(self) -> Blocks | None:
        """How rows on disk are grouped; None of those that are read one by one."""
        return self.table.blocks if isinstance(self.table, Streamed) else None

    def visit(
        self,
        size: int,
        generator: torch.Generator,
        share: Callable[[Tensor], Tensor],
        encode: Callable[[Batch], Batch | None] | None = None,
    ) -> Iterator[tuple[Tensor, Picked]]:
        """Visit all rows in random order, in batches of nearly equal size.

        Rows on disk come block by block: see :class:`Blocks`. What encoders read of them may be
        made on the way by ``encode``, of several batches at a time.

        Yields
        ------
        rows : Tensor
            The numbers of the rows of a batch.
        picked : Picked
            A share of them, for :meth:`open`.
        """
        table = self.table
        if not isinstance(table, Streamed):
            yield from self._visit_held(size, self.deal(size, generator), share, encode)
            return
        if table.blocks is None:
            for rows in self.deal(size, generator):
                yield rows, Picked(None, *self[share(rows)])
            return
        index = torch.arange(len(self)) if self.index is None else self.index.cpu()
        groups = table.blocks.deal(torch.from_numpy(table.at)[index], size, generator)
        wanted = ([index[share(rows)] for rows in group] for group in groups)
        batches = (rows for group in groups for rows in group)
        for rows, (batch, keys) in zip(batches, table.visit(wanted), strict=True):
            where = index[share(rows)].to(self.weights.device)
            yield rows.to(self.weights.device), Picked(None, batch, keys, self.weights[where])

    def _visit_held(
        self,
        size: int,
        batches: Sequence[Tensor],
        share: Callable[[Tensor], Tensor],
        encode: Callable[[Batch], Batch | None] | None,
    ) -> Iterator[tuple[Tensor, Picked]]:
        """Prepare several small batches together: it takes as long as one of them."""
        table = cast("Held", self.table)
        n_together = _ROWS_TOGETHER // size
        if self.weights.device.type != "cpu" or n_together < 2:
            for rows in batches:
                yield rows, Picked(share(rows))
            return
        widths = sum(value.shape[1] for value in table.batch.values)
        n_taken = max(1, _TOGETHER // max(1, size * widths))
        for first in range(0, len(batches), n_together):
            those = batches[first : first + n_together]
            mine = [share(rows) for rows in those]
            lengths = [len(rows) for rows in mine]
            ends = [0, *accumulate(lengths)]
            where = torch.cat(mine)
            if self.index is not None:
                where = self.index.index_select(0, where)
            keys, weights = (of.index_select(0, where) for of in (table.keys, self.weights))
            numbers = torch.arange(len(mine)).repeat_interleave(torch.tensor(lengths))
            own = zip(those, keys.split(lengths), weights.split(lengths), strict=True)
            for n, (rows, own_keys, own_weights) in enumerate(own):
                if n % n_taken == 0:
                    last = min(n + n_taken, len(those))
                    several = table.batch[where[ends[n] : ends[last]]]
                    several.encoded = None if encode is None else encode(several)
                    taken = several.split(lengths[n:last])
                part = Part(keys, numbers, slice(ends[n], ends[n + 1]), n)
                yield rows, Picked(None, taken[n % n_taken], own_keys, own_weights, part)

    def open(self, picked: Picked) -> tuple[Batch, Tensor, Tensor]:
        """Batch, keys (n,) and weights (n,) of rows that a visit came to."""
        if picked.rows is not None:
            return self[picked.rows]
        return cast("tuple[Batch, Tensor, Tensor]", (picked.batch, picked.keys, picked.weights))

    def deal(self, size: int, generator: torch.Generator | None = None) -> Sequence[Tensor]:
        """Deal out the numbers of all rows in batches of nearly equal size.

        In random order if there is a generator.
        """
        n_rows = len(self)
        order = torch.arange(n_rows)
        if generator is not None:
            order = torch.randperm(n_rows, generator=generator)
        return order.to(self.weights.device).tensor_split(-(-n_rows // size))
