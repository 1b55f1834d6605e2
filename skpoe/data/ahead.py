"""Rows on disk on the way to training: in what order they come, and read while it is at work.

Storage is fast at rows that lie together, and training wants them in random order. So blocks of
rows that lie together are shuffled; some of them at a time are read into a buffer; and the rows of
a buffer are dealt out in random order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

import torch
from torch import Tensor

from .source import Source

# what a buffer holds: bytes, more where blocks are as large as chunks; and blocks: the more
# there are, the better are rows mixed that lie sorted in their file
_BUFFER, _LARGEST, _N_BLOCKS = 2**23, 2**25, 128

Piece = TypeVar("Piece")
Read = TypeVar("Read")


@dataclass(frozen=True)
class Blocks:
    """How rows on disk are grouped.

    Parameters
    ----------
    n_block : int
        Rows that lie together: row number i of a file is in block i // n_block.
    n_buffer : int
        Rows that are read at a time.
    """

    n_block: int
    n_buffer: int

    @classmethod
    def of(cls, source: Source) -> Blocks:
        """Fill buffers of 8 MiB with 128 blocks.

        A block holds whole chunks of a file; a buffer may hold 32 MiB then, and at least four
        blocks.
        """
        n_bytes = sum(source.widths) * source.dtype.itemsize
        n_buffer, n_most = max(1, _BUFFER // n_bytes), max(1, _LARGEST // n_bytes)
        n_block = -(-max(1, n_buffer // _N_BLOCKS) // source.n_chunk) * source.n_chunk
        n_block = min(n_block, max(1, n_most // 4))
        return cls(n_block, min(max(n_buffer, _N_BLOCKS * n_block), n_most))

    def deal(self, at: Tensor, size: int, generator: torch.Generator) -> list[Sequence[Tensor]]:
        """Deal out row numbers in batches of nearly equal size, as lists that are read together.

        Parameters
        ----------
        at : int64 Tensor of shape (N,)
            Where rows lie in their files.
        size : int
            Largest number of rows in a batch.
        generator : Generator
            The order is a function of it and of what else is given here; if all rows are read
            together, it is that of rows in memory.
        """
        n_rows, n_batches = len(at), -(-len(at) // size)
        n_groups = -(-n_batches // max(1, self.n_buffer // size))
        if n_groups == 1:
            return [torch.randperm(n_rows, generator=generator).tensor_split(n_batches)]
        group = torch.arange(n_batches) * n_groups // n_batches
        block = at // self.n_block
        rank = torch.randperm(int(block.max()) + 1, generator=generator)
        order = rank[block].argsort(stable=True)
        lengths = torch.tensor([len(rows) for rows in order.tensor_split(n_batches)])
        within = torch.randperm(n_rows, generator=generator)
        order = order[(group.repeat_interleave(lengths) * n_rows + within).argsort()]
        batches, counts = order.tensor_split(n_batches), group.bincount().cumsum(0).tolist()
        return [batches[a:b] for a, b in zip([0, *counts], counts, strict=False)]


class _Reading(Thread):
    """A thread that reads one piece."""

    def __init__(self, read: Callable[[Any], Any], piece: Any) -> None:
        super().__init__(name="skpoe-read-ahead")
        self.read, self.piece = read, piece
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.what = self.read(self.piece)
        except BaseException as error:  # raised again where the piece is asked for
            self.error = error

    def result(self) -> Any:
        self.join()
        if self.error is not None:
            raise self.error
        return self.what


def read_ahead(read: Callable[[Piece], Read], pieces: Iterable[Piece]) -> Iterator[Read]:
    """Read pieces one after the other, each in a thread while the one before it is used.

    A thread ends with its piece, and no two read at the same time; closing the iterator waits for
    the last one. What goes wrong in a thread is raised here.
    """
    left = iter(pieces)
    reading = next((_Reading(read, piece) for piece in left), None)
    try:
        while reading is not None:
            done = reading.result()
            reading = next((_Reading(read, piece) for piece in left), None)
            yield done
            del done  # before the next one: two are held, not three
    finally:
        if reading is not None:
            reading.join()
