"""Processes that train one model together: each takes its share of every batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, distributed, nn


class Team:
    """The processes of torch's default group, or this one alone where there is none.

    All do the same steps on the same rows in the same order; what differs is which rows of a batch
    a process looks at. Noise belongs to rows, so that many processes give what one would give, up
    to rounding.
    """

    def __init__(self) -> None:
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.size = distributed.get_world_size() if together else 1

    def share(self, rows: Tensor) -> Tensor:
        """Take the rows that are for this process: some, if there are enough for all."""
        return rows if self.size == 1 else rows[self.rank :: self.size]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over processes, all in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, flat.split(sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def add_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> None:
        """Add up gradients, and a loss; a parameter that no process needed keeps None."""
        if self.size == 1:
            return
        needed = [p.grad is not None for p in parameters]
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        counts = torch.tensor(needed, dtype=loss.dtype, device=loss.device)
        self.add([*(p.grad for p in parameters if p.grad is not None), counts, loss])
        for p, count in zip(parameters, counts.tolist(), strict=True):
            if not count:
                p.grad = None

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether a flag is up in any of the processes."""
        if self.size == 1:
            return flag
        raised = torch.tensor(float(flag), device=device)
        self.add([raised])
        return bool(raised > 0)

    def first(self, number: int, device: torch.device) -> int:
        """Give the number that the first process has."""
        if self.size == 1:
            return number
        said = torch.tensor(number, device=device)
        distributed.broadcast(said, 0)
        return int(said)

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def check_same(self, device: torch.device, **numbers: int) -> None:
        """Raise ValueError, in every process, where they have not the same numbers."""
        if self.size == 1:
            return
        mine = torch.tensor(list(numbers.values()), device=device)
        everyone = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(everyone, mine)
        for at, (what, number) in enumerate(numbers.items()):
            said = [int(theirs[at]) for theirs in everyone]
            if len(set(said)) > 1:
                raise ValueError(
                    f"Processes that train together need the same data and parameters, but their "
                    f"{what.replace('_', ' ')} are {said} by rank; it is {number} in this one, "
                    f"rank {self.rank}. Pass the same X, parameters and random_state everywhere."
                )
