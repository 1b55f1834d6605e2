"""Rows as training visits them: held in memory, or read from where they are, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..random import row_keys
from .batch import Batch
from .source import Source

# rows that are read at a time to hash them
_HASHED = 256

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
        chunks = list(source.chunks())
        parts = (prepare(source[rows]) for rows in chunks)
        return cls(next(parts) if len(chunks) == 1 else Batch.gather(parts, len(source)))

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Batch of some rows, and their keys."""
        return self.batch[rows], self.keys[rows]


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

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Batch of some rows, and their keys."""
        batch = self.prepare(self.source[rows.cpu().numpy()])
        return batch, row_keys(batch.values, batch.masks)


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
        where = rows if self.index is None else self.index[rows]
        return *self.table[where], self.weights[where]

    def take(self, rows: Tensor) -> Rows:
        """Keep some rows; nothing is copied."""
        return Rows(self.table, self.weights, rows if self.index is None else self.index[rows])

    def keys(self) -> Tensor:
        """Hash the observed values of each row: int64 (N,)."""
        if isinstance(self.table, Held):
            return self.table.keys if self.index is None else self.table.keys[self.index]
        return torch.cat([self[rows][1] for rows in self.deal(_HASHED)])

    def total_weight(self, rows: Tensor | None = None) -> Tensor:
        """Sum of the weights of some rows, or of all."""
        where = self.index
        if rows is not None:
            where = rows if where is None else where[rows]
        return (self.weights if where is None else self.weights[where]).sum()

    def deal(self, size: int, generator: torch.Generator | None = None) -> Sequence[Tensor]:
        """Deal out the numbers of all rows in batches of nearly equal size.

        In random order if there is a generator.
        """
        n_rows = len(self)
        order = torch.arange(n_rows)
        if generator is not None:
            order = torch.randperm(n_rows, generator=generator)
        return order.to(self.weights.device).tensor_split(-(-n_rows // size))
