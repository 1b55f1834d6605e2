"""Processes that train one model together: each takes its share of every batch."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, distributed, nn

from .data.rows import Held, Rows
from .random import hash_weights

# rows on disk by which processes find out that they have different ones
_LOOKED_AT = 64
# what a process may have otherwise than the others
_ITS_OWN = {"verbose"}


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

    def check_same(self, device: torch.device, **numbers: int) -> None:
        """Raise ValueError, in every process, where they have not the same numbers."""
        if self.size == 1:
            return
        mine = torch.tensor(list(numbers.values()), device=device)
        everyone = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(everyone, mine)
        for at, what in enumerate(numbers):
            said = [int(theirs[at]) for theirs in everyone]
            if len(set(said)) > 1:
                raise ValueError(
                    "Processes that train together need the same data and parameters, but their "
                    f"{what} is {said} by rank. Pass the same X, parameters and random_state "
                    "everywhere."
                )


def gather(
    model: nn.Module, data: Rows, n_batch: int, told: Sequence[object] = (), **same: int
) -> Team:
    """Make sure that all processes are about to train the same model on the same rows.

    Parameters
    ----------
    model : nn.Module
        Gets the parameters that the first process has.
    data : Rows
    n_batch : int
        Largest number of rows in a batch.
    told : sequence of object
        Besides the model, what has settings: their classes and plain attributes must be the same.
    **same : int
        What else must be the same.

    Raises
    ------
    ValueError
        In every process, when it is not, or when a batch has not a row for each.
    """
    team, n_rows = Team(), len(data)
    if team.size == 1:
        return team
    fewest = n_rows // -(-n_rows // n_batch)
    if fewest < team.size:
        raise ValueError(
            f"batch_size={n_batch} deals out {n_rows} rows in batches of {fewest}, fewer than the "
            f"{team.size} processes that train together. Take a larger batch_size, or fewer "
            "processes."
        )
    team.check_same(
        data.weights.device,
        n_rows=n_rows,
        n_parameters=sum(p.numel() for p in model.parameters()),
        batch_size=n_batch,
        rows_a_block=data.blocks.n_block if data.blocks else 0,
        **same,
        settings=_settings_of([*told, *model.modules()]),
        scales=_scales_of(model),
        values=_values_of(data),
    )
    for parameter in model.parameters():
        distributed.broadcast(parameter.detach(), 0)
    return team


def _settings_of(holders: Iterable[object]) -> int:
    """Hash the classes of some objects, and their plain attributes."""
    plain = (bool, int, float, str, type(None))
    lines = []
    for holder in holders:
        lines.append(type(holder).__qualname__)
        known = {name: value for name, value in vars(holder).items() if name not in _ITS_OWN}
        lines += [f"{name}={known[name]!r}" for name in known if isinstance(known[name], plain)]
    return zlib.crc32("\n".join(lines).encode())


def _scales_of(model: nn.Module) -> int:
    """Hash what was read off the data; to six digits, for machines may round differently."""
    sums = [f"{buffer.double().abs().sum():.6g}" for buffer in model.buffers()]
    return zlib.crc32(" ".join(sums).encode())


def _values_of(data: Rows) -> int:
    """Hash the values of rows, in their order; of rows on disk, those of some."""
    if isinstance(data.table, Held):
        keys = data.keys()
    else:
        keys = data[torch.linspace(0, len(data) - 1, min(len(data), _LOOKED_AT)).long()][1]
    return int((keys * hash_weights(len(keys), 0, keys.device)).sum())
