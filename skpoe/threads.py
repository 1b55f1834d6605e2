"""The number of threads, borrowed and given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_mine = threading.local()
# how many blocks are inside at this moment, and the setting that the first of them found
_inside, _before = 0, 0


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Let torch use so many threads inside the block; None leaves its setting alone.

    Blocks of several threads may overlap: the last one out gives back what the first one found.
    """
    global _inside, _before
    if n_threads is None:
        yield
        return
    with _lock:
        if not _inside:
            _before = torch.get_num_threads()
        _inside += 1
    before = getattr(_mine, "limit", None)
    _mine.limit = n_threads
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            _mine.limit = before
            torch.set_num_threads(_before if before is None else before)
