"""Steps that a GPU has recorded: small models wait for Python otherwise.

A step of a small model is hundreds of operations of a few microseconds each, and Python takes
longer to ask for one than the GPU takes to do it. A CUDA graph asks for all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch

from .data.rows import Picked

# steps that are taken before one is recorded: libraries set themselves up in the first
_WARM = 3


@dataclass
class _Kind:
    """What is known of batches of one kind: how many there were, and the recording."""

    n_seen: int = 0
    held: Picked | None = None
    graph: torch.cuda.CUDAGraph | None = None


class Recording:
    """Calls a function of a batch, and plays back what the GPU did where that can be recorded.

    At most ``most`` kinds of batches are recorded: recordings take memory.

    A function that has to ask the GPU for a number cannot be recorded: it is called each time.

    Parameters
    ----------
    function : callable
        Takes a :class:`~skpoe.data.rows.Picked`. What it works on, beside that, stays where it
        is.
    device : torch.device
        A GPU; it need not be the one that torch takes by default.
    """

    most = 8

    def __init__(self, function: Callable[[Picked], None], device: torch.device) -> None:
        self.function, self.device = function, device
        self.refusal = ""
        self._kinds: dict[Hashable, _Kind] = {}
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    @property
    def n_recorded(self) -> int:
        """Kinds of batches that have been recorded."""
        return sum(kind.graph is not None for kind in self._kinds.values())

    def __call__(self, picked: Picked) -> None:
        """Do what the function does."""
        if self.refusal or (picked.kind not in self._kinds and len(self._kinds) >= self.most):
            self.function(picked)
            return
        kind = self._kinds.setdefault(picked.kind, _Kind())
        kind.n_seen += 1
        with torch.cuda.device(self.device):
            if kind.n_seen <= _WARM:
                self._aside(picked)
                return
            if kind.graph is None:
                self._record(kind, picked)
            if kind.held is None or kind.graph is None:
                self.function(picked)
                return
            kind.held.copy_(picked)
            kind.graph.replay()

    def _aside(self, picked: Picked) -> None:
        """Call the function in a stream of its own, as recordings want it before they are made."""
        here = torch.cuda.current_stream()
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            self.function(picked)
        here.wait_stream(self._stream)

    def _record(self, kind: _Kind, picked: Picked) -> None:
        """Record what the function does with batches of a kind; nothing is done yet."""
        held, graph = picked.clone(), torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                self.function(held)
        except RuntimeError as error:
            self.refusal = str(error)
            return
        self._pool = graph.pool()
        kind.held, kind.graph = held, graph
