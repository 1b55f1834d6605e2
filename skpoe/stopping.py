"""The best weights of a training run: for early stopping, and for training that diverges."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .data.rows import Rows
from .distributed import Team
from .model import MultimodalVAE
from .objectives import Objective
from .random import RowNoise

# validation rows that are scored at a time, where they stay in a cache and where not
_WATCHED, _WATCHED_ON_GPU = 256, 4096


@dataclass
class Best:
    """The best weights so far.

    Parameters
    ----------
    weights : dict of str to Tensor
        Of "model." and "objective.".
    epoch : int
        After which training had them.
    score : float
        The objective on validation rows; without any, on the training rows of the epoch after.
    waited : int
        Epochs since the score last rose by as much as counts.
    """

    weights: dict[str, Tensor]
    epoch: int
    score: float = -math.inf
    waited: int = 0


class Keeper:
    """Scores the weights after each epoch of training and keeps the best.

    Without validation rows, weights are judged by the loss of the epoch that starts with them: one
    whose loss is finite may end with weights that are of no use.

    Parameters
    ----------
    model : MultimodalVAE
    objective : Objective
    rows : Rows or None
        To validate on.
    seed : int
    tol : float
        What counts as better, nats a row.
    patience : int or None
        Epochs without a better score after which to stop; None is never.
    epoch : int
        Epochs that were done before the call.
    best : Best, default=None
        What was kept before.
    team : Team
    """

    def __init__(
        self,
        model: MultimodalVAE,
        objective: Objective,
        rows: Rows | None,
        *,
        seed: int,
        tol: float,
        patience: int | None,
        epoch: int,
        best: Best | None = None,
        team: Team,
    ) -> None:
        self.team = team
        self.model, self.objective, self.rows = model, objective, rows
        self.seed, self.tol, self.patience = seed, tol, patience
        self.learned = learned(model, objective)
        self.best = Best(copy_of(self.learned), epoch) if best is None else best
        self._before = self.best.weights if best is None else copy_of(self.learned)
        self._first = epoch if rows is None else epoch + 1
        self.total_weight = 1.0 if rows is None else rows.total_weight().item()

    @property
    def has_gained(self) -> bool:
        """Whether any epoch has brought training forward."""
        return self.best.epoch > self._first

    @property
    def is_done(self) -> bool:
        """Whether waiting longer for a better score is of no use."""
        return self.patience is not None and self.best.waited >= self.patience

    def look(self, record: dict[str, float]) -> None:
        """Score the model after the epoch of a record, and note the score there."""
        best, epoch = self.best, int(record["epoch"])
        if self.rows is None:
            if -record["loss"] > best.score:
                best.score, best.weights, best.epoch = -record["loss"], self._before, epoch - 1
            self._before = copy_of(self.learned)
            return
        self.model.eval()
        record["validation"] = score = self._score(self.rows)
        self.model.train()
        best.waited = 0 if score > best.score + self.tol else best.waited + 1
        if score > best.score:
            best.score, best.weights, best.epoch = score, copy_of(self.learned), epoch

    @torch.no_grad()
    def _score(self, rows: Rows) -> float:
        total = torch.zeros((), dtype=torch.float64, device=rows.weights.device)
        n_rows = _WATCHED_ON_GPU if total.device.type == "cuda" else _WATCHED
        for numbers in rows.deal(n_rows * self.team.size):
            if not len(mine := self.team.share(numbers)):
                continue
            batch, keys, weights = rows[mine]
            noise = RowNoise(self.seed, keys).fold("validation")
            total += (weights * self.objective(self.model, batch, noise)).sum()
        self.team.add([total])
        return total.item() / self.total_weight

    def restore(self) -> None:
        """Put the best weights back."""
        self.learned.load_state_dict(self.best.weights)


def learned(model: MultimodalVAE, objective: Objective) -> nn.ModuleDict:
    """Put a model and its objective under one roof: a state dict has what both have learned."""
    return nn.ModuleDict({"model": model, "objective": objective})


def copy_of(module: nn.Module) -> dict[str, Tensor]:
    """Copy the state dict of a module."""
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
