"""A step of training: look at some rows, and move the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .compiling import compiled
from .data.rows import Picked, Rows
from .device import can_ask
from .distributed import Team
from .model import MultimodalVAE
from .objectives import Objective
from .optimizer import AdamW
from .random import RowNoise
from .recording import Recording

# largest norm of a gradient
_CLIP = 10.0


class Spoilt(Exception):
    """The loss of a batch, or its gradient, is not finite; the parameters are as they were.

    Parameters
    ----------
    picked : Picked, default=None
        The batch, if it is known.
    """

    def __init__(self, picked: Picked | None = None) -> None:
        super().__init__()
        self.picked = picked


class Stepper:
    """Takes steps, and adds up what is told of an epoch.

    Nothing is asked of a GPU until the epoch is over: it works through the steps while Python
    prepares later ones. After a loss that is not finite the parameters stay as they are.

    Parameters
    ----------
    model : MultimodalVAE
    objective : Objective
    data : Rows
    optimizer : AdamW
    seed : int
    team : Team
    is_compiled : bool, default=False
        Whether torch compiles the objective.
    """

    def __init__(
        self,
        model: MultimodalVAE,
        objective: Objective,
        data: Rows,
        optimizer: AdamW,
        *,
        seed: int,
        team: Team,
        is_compiled: bool = False,
    ) -> None:
        self.model, self.data, self.optimizer = model, data, optimizer
        self.seed, self.team = seed, team
        self._named = type(objective).__name__
        self.objective: Callable[..., Tensor] = compiled(objective) if is_compiled else objective
        device = data.weights.device
        self.total_weight = data.total_weight().item()
        # a batch counts by its rows: divided by its own weights, heavy rows would lose theirs
        self._mean_weight = self.total_weight / len(data)
        # of an epoch: sum of the losses by rows, largest norm, steps before the first that was
        # spoilt
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._steepest = torch.zeros((), dtype=data.weights.dtype, device=device)
        self._told: list[tuple[float, float]] = []  # the first two, step by step, where known
        self._n_good = torch.zeros((), dtype=torch.int64, device=device)
        self._spoilt = torch.zeros((), dtype=torch.float32, device=device)
        # what changes from step to step, where a recording or compiled code finds it
        self._number = torch.zeros((), dtype=torch.int64, device=device)
        self._rate = torch.zeros((), dtype=torch.float32, device=device)
        self._kl_weight = torch.ones((), dtype=torch.float32, device=device)
        self.is_compiled = is_compiled
        self._together: tuple[Tensor, RowNoise] | None = None
        records = device.type == "cuda" and team.size == 1
        self.recording = Recording(self._step_by_tensors, device) if records else None

    def take(
        self, picked: Picked, rows: Tensor, number: int, rate: float, kl_weight: float
    ) -> None:
        """Take the step of a number.

        Parameters
        ----------
        picked : Picked
            This process's share of the batch.
        rows : Tensor
            Numbers of all rows of the batch.
        number : int
            Names the noise.
        rate : float
            Learning rate.
        kl_weight : float

        Raises
        ------
        Spoilt
            On a CPU, when the loss is not finite.
        """
        if not self.is_compiled and self.recording is None:
            self._step(picked, rows, number, rate, kl_weight)
            return
        self._number.fill_(number)
        self._kl_weight.fill_(kl_weight)
        if self.recording is None:
            self._step(picked, rows, self._number, rate, self._kl_weight)
            return
        self._rate.fill_(rate)
        self.recording(picked)

    def finish(self) -> tuple[float, float]:
        """End an epoch: the weighted sum of the objective, and the largest norm of a gradient.

        Raises
        ------
        Spoilt
            When any loss was not finite.
        """
        if self._spoilt:
            raise Spoilt
        if self._told:
            totals, norms = zip(*self._told, strict=True)
            self._total += math.fsum(totals)
            self._steepest.clamp_(min=max(norms))
            self._told.clear()
        self.team.add([self._total])
        told = -(self._total * self._mean_weight).item(), self._steepest.item()
        for number in (self._total, self._steepest, self._n_good):
            number.zero_()
        return told

    @property
    def n_good(self) -> int:
        """Steps of this epoch before the first that was spoilt."""
        return int(self._n_good)

    def _noise(self, picked: Picked, keys: Tensor, number: int | Tensor) -> RowNoise:
        """Give the noise of a step; batches that were taken together draw together."""
        part = picked.part
        if part is None or self.is_compiled:
            return RowNoise(self.seed, keys).numbered(number)
        if self._together is None or part.keys is not self._together[0]:
            numbers = part.numbers + (number - part.number)
            self._together = part.keys, RowNoise(self.seed, part.keys).numbered(numbers)
        return self._together[1].part(part.place)

    def _step_by_tensors(self, picked: Picked) -> None:
        self._step(picked, None, self._number, self._rate, self._kl_weight)

    def _step(
        self,
        picked: Picked,
        rows: Tensor | None,
        number: int | Tensor,
        rate: float | Tensor,
        kl_weight: float | Tensor,
    ) -> None:
        batch, keys, weights = self.data.open(picked)
        noise = self._noise(picked, keys, number)
        value = self.objective(self.model, batch, noise, kl_weight)
        if value.shape != weights.shape:
            raise ValueError(
                f"The objective, {self._named}, must give one value for each of the "
                f"{len(weights)} rows, of shape ({len(weights)},); it gave {tuple(value.shape)}. "
                "Average over draws or subsets, and leave the rows."
            )
        n_rows = len(weights) if rows is None or self.team.size == 1 else len(rows)
        share = weights / (-n_rows * self._mean_weight)
        loss = torch.dot(value, share.to(value.dtype))
        self.optimizer.zero_grad()
        loss.backward()  # without an argument: for that torch imports its compiler
        own = loss.detach()
        of_all = own.clone() if self.team.size > 1 else own
        self.team.add_gradients(self.optimizer.parameters, of_all)
        gradients = [p.grad for p in self.optimizer.parameters if p.grad is not None]
        norms = torch._foreach_norm(gradients)
        if can_ask(of_all):
            # a few numbers in Python: calls of torch take longer
            norm, mine = math.hypot(*[each.item() for each in norms]), own.item()
            if not math.isfinite(norm + of_all.item()):
                raise Spoilt(picked)
            if norm > _CLIP:
                torch._foreach_mul_(gradients, _CLIP / norm)
            self.optimizer.step(rate)
            self._told.append((mine * n_rows, norm))
        else:
            norm = torch.linalg.vector_norm(torch.stack(norms))
            spoilt = (~(norm + of_all).isfinite()).float()
            torch.maximum(self._spoilt, spoilt, out=self._spoilt)
            self._n_good += self._spoilt == 0
            parameters = self.optimizer.parameters
            nn.utils.clip_grads_with_norm_(parameters, _CLIP, norm, foreach=True)
            self.optimizer.step(rate, skip=self._spoilt)
            self._total += own * n_rows
            torch.maximum(self._steepest, norm, out=self._steepest)
