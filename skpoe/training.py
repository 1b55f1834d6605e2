"""The only training loop."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .data.batch import Batch
from .data.rows import Picked, Rows
from .device import keep_freed_memory
from .distributed import gather
from .model import MultimodalVAE
from .nn.networks import Networks
from .objectives import Objective
from .optimizer import AdamW, Group, Moments
from .random import RowNoise, derive_seed
from .stepping import Spoilt, Stepper
from .stopping import Best, Keeper

_AUTO_VISITS = 200_000
_AUTO_FEWEST_EPOCHS = 20
_AUTO_SMALL = 2000
_WARM = 0.1
# of the learning rate, for what started at a factor analysis: networks, and noise, which has far
# to go where a feature is nearly constant; that of all models with a term for prediction
_STARTED_SHARE, _NOISE_SHARE = 1 / 3, 3.0

Record = dict[str, float]


class Cycle(NamedTuple):
    """How a model is trained where a user says nothing: steps, rows of each, and the peak rate."""

    n_steps: int
    n_rows: int = 128
    rate: float = 3e-3


@dataclass(frozen=True)
class Plan:
    """How to train.

    Parameters
    ----------
    max_iter : int or "auto"
        Epochs; "auto" visits about 200,000 rows in all, in 20 to ``most_epochs`` epochs.
    batch_size : int or "auto"
        Largest number of rows in a step; "auto" is 64 below 2,000 rows, else 128.
    learning_rate : {"one_cycle", "constant"}
    learning_rate_init : float
        The constant rate, or the peak of the cycle.
    weight_decay : float
    kl_warmup : int
        Epochs over which the weight of the KL rises from 0 to beta.
    n_iter_no_change : int
        With validation rows and a constant rate: epochs without a better score before the end.
    tol : float
        What counts as better, nats a row.
    seed : int
    verbose : int
        Print a line every so many epochs; 0 is silent.
    compile : bool
        Whether torch compiles the objective.
    n_steps : int
        What "auto" comes to, of so many rows each; 0 where it counts visits.
    step_rows : int
    most_epochs : int
    """

    max_iter: int | str = "auto"
    batch_size: int | str = "auto"
    learning_rate: str = "one_cycle"
    learning_rate_init: float = 3e-3
    weight_decay: float = 0.0
    kl_warmup: int = 0
    n_iter_no_change: int = 10
    tol: float = 1e-4
    seed: int = 0
    verbose: int = 0
    compile: bool = False
    n_steps: int = 0
    step_rows: int = 128
    most_epochs: int = 200

    def n_epochs(self, n_rows: int) -> int:
        """Epochs for so many rows."""
        if self.max_iter != "auto":
            return int(self.max_iter)
        if self.n_steps:
            return max(_AUTO_FEWEST_EPOCHS, -(-self.n_steps // -(-n_rows // self.n_batch(n_rows))))
        return min(self.most_epochs, max(_AUTO_FEWEST_EPOCHS, _AUTO_VISITS // n_rows))

    def n_batch(self, n_rows: int) -> int:
        """Rows in a step."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        if self.n_steps:
            return self.step_rows
        return 64 if n_rows < _AUTO_SMALL else 128

    def rate(self, progress: float) -> float:
        """Learning rate when this share of all steps is done."""
        if self.learning_rate == "constant":
            return self.learning_rate_init
        if progress < _WARM:  # from a twenty-fifth of the peak, by a half cosine
            low, climb = 1 / 25, progress / _WARM
        else:
            low, climb = 1e-4, (1.0 - progress) / (1.0 - _WARM)
        return self.learning_rate_init * (low + (1 - low) * 0.5 * (1 - math.cos(math.pi * climb)))


@dataclass
class Run:
    """What a training run has done, and what it needs to go on, after any epoch.

    Parameters
    ----------
    history : list of dict
        One record an epoch: ``epoch``, ``loss`` (minus the objective, the weighted mean over rows,
        nats), ``kl_weight``, ``learning_rate``, ``gradient_norm`` (largest, before clipping),
        ``seconds``, and ``validation`` (the objective on validation rows) where there are any.
    step : int
        Steps taken.
    moments : dict of int to Moments, default=None
        What the optimiser knows of each parameter.
    interrupted : bool
        Whether the call ended by a keyboard interrupt.
    diverged : str
        What was said of a loss that was not finite and ended the call; "" when none was.
    began : tuple of two int
        Epochs and steps before the call.
    best : Best, default=None
        The best weights of the call.
    """

    history: list[Record] = field(default_factory=list)
    step: int = 0
    moments: dict[int, Moments] | None = None
    interrupted: bool = False
    diverged: str = ""
    began: tuple[int, int] = (0, 0)
    best: Best | None = None

    def again(self) -> Run:
        """Give a run for another call, that has this one behind it."""
        began = len(self.history), self.step
        return Run(list(self.history), self.step, self.moments, began=began)


@torch.enable_grad()
def train(
    model: MultimodalVAE,
    objective: Objective,
    data: Rows,
    plan: Plan,
    names: Sequence[str],
    *,
    validation: Rows | None = None,
    run: Run | None = None,
    after_epoch: Callable[[Run], bool] | None = None,
) -> Run:
    """Maximise an objective over rows.

    Parameters
    ----------
    model : MultimodalVAE
        Trained in place.
    objective : Objective
    data : Rows
    plan : Plan
    names : sequence of str
        Names of the modalities, for messages.
    validation : Rows, default=None
        Watched after each epoch, always with the same noise; the weights end as they were when
        the objective was best here.
    run : Run, default=None
        What was done before; training goes on as if it had not stopped. What ``after_epoch`` was
        given in a call that was cut short is carried to its end; ``run.again()`` is another call,
        for as many epochs more.
    after_epoch : callable, default=None
        Takes the run as it is after an epoch and says whether to stop.

    Returns
    -------
    run : Run
        A keyboard interrupt ends training early and leaves the model usable. So does a loss that
        is not finite, if training had come forward before: the weights are then the best that it
        had.

    Raises
    ------
    FloatingPointError
        When the loss or its gradient is not finite before any epoch was better than the first.
    """
    keep_freed_memory()
    run = Run() if run is None else replace(run, history=list(run.history))
    optimizer = optimizer_of(model, objective, plan.weight_decay)
    if run.moments is not None:
        optimizer.load(run.moments)
    n_epochs, n_batch = plan.n_epochs(len(data)), plan.n_batch(len(data))
    told = [plan, model.strategy.family, *objective.modules()]
    team = gather(model, data, n_batch, told, n_epochs=n_epochs, seed=plan.seed, step=run.step)
    keeper = Keeper(
        model,
        objective,
        validation,
        seed=plan.seed,
        tol=plan.tol,
        # a cycle is planned for its whole length: cut short, it never reaches the small rates
        patience=plan.n_iter_no_change if plan.learning_rate == "constant" else None,
        epoch=run.began[0],
        best=run.best,
        team=team,
    )
    run.best = keeper.best
    stepper = Stepper(
        model, objective, data, optimizer, seed=plan.seed, team=team, is_compiled=plan.compile
    )
    last = run.began[0] + n_epochs
    model.train()
    try:
        for epoch in range(len(run.history) + 1, last + 1):
            if keeper.is_done:
                break
            began = time.perf_counter()
            try:
                record = _visit(stepper, plan, names, run, epoch)
            except FloatingPointError as error:
                if not keeper.has_gained:
                    raise
                run.diverged = str(error)
                break
            keeper.look(record)
            record["seconds"] = time.perf_counter() - began
            run.history.append(record)
            run.moments = optimizer.moments()
            due = plan.verbose and (epoch == last or (epoch - 1) % plan.verbose == 0)
            if due and team.rank == 0:
                _print(record, last)
            asked = after_epoch is not None and after_epoch(run)
            if team.any(asked, data.weights.device):
                break
    except KeyboardInterrupt:
        if team.size > 1:  # the others wait for this process: all have to end
            raise
        run.interrupted = True
    model.eval()
    optimizer.zero_grad()  # they are as large as the model
    if validation is not None or run.diverged:
        keeper.restore()
    # after a divergence its moments are of no use
    run.moments = None if run.diverged else optimizer.moments()
    return run


def _visit(stepper: Stepper, plan: Plan, names: Sequence[str], run: Run, epoch: int) -> Record:
    """Train for an epoch, and say how it went."""
    model, data, team = stepper.model, stepper.data, stepper.team
    n_batch = plan.n_batch(len(data))
    n_steps = plan.n_epochs(len(data)) * -(-len(data) // n_batch)
    kl_weight = min(1.0, epoch / plan.kl_warmup) if plan.kl_warmup else 1.0
    began = run.step

    def visit() -> Iterator[tuple[Tensor, Picked]]:
        shuffle = torch.Generator().manual_seed(derive_seed(plan.seed, epoch))
        ahead = None if stepper.is_compiled else model.encoded_ahead
        return data.visit(n_batch, shuffle, team.share, ahead)

    try:
        for rows, picked in visit():
            rate = plan.rate((run.step - run.began[1]) / n_steps)
            stepper.take(picked, rows, run.step, rate, kl_weight)
            run.step += 1
        total, steepest = stepper.finish()
    except Spoilt as spoilt:
        if (culprit := spoilt.picked) is None:  # a GPU was not asked until the end
            run.step = began + stepper.n_good
            culprit = next(itertools.islice(visit(), stepper.n_good, None))[1]
            rate = plan.rate((run.step - run.began[1]) / n_steps)
        batch, keys, _ = data.open(culprit)
        noise = RowNoise(plan.seed, keys).numbered(run.step)
        raise FloatingPointError(_diverged(model, batch, noise, epoch, rate, names)) from None
    return {
        "epoch": epoch,
        "loss": -total / stepper.total_weight,
        "kl_weight": kl_weight,
        "learning_rate": rate,
        "gradient_norm": steepest,
    }


def optimizer_of(model: MultimodalVAE, objective: Objective, weight_decay: float = 0.0) -> AdamW:
    """Make an optimiser: what started at a solution moves at rates of its own, without decay.

    So does noise beside a term for prediction, which has errors of its own.
    """
    started = {id(parameter) for parameter in model.started()}
    noise = {id(p) for likelihood in model.likelihoods for p in likelihood.parameters()}
    predicts = objective.prediction_weight > 0
    fast: list[nn.Parameter] = []
    slow: list[nn.Parameter] = []
    noisy: list[nn.Parameter] = []
    for parameter in (*model.parameters(), *objective.parameters()):
        if parameter.requires_grad:
            has_started = id(parameter) in started
            if id(parameter) in noise and (has_started or predicts):
                noisy.append(parameter)
            else:
                (slow if has_started else fast).append(parameter)
    return AdamW(
        [Group(fast, 1.0, weight_decay), Group(slow, _STARTED_SHARE), Group(noisy, _NOISE_SHARE)]
    )


def _print(record: Record, n_epochs: int) -> None:
    watched = f"  validation {record['validation']:.4f}" if "validation" in record else ""
    sys.stdout.write(
        f"epoch {record['epoch']:>{len(str(n_epochs))}}/{n_epochs}  "
        f"loss {record['loss']:.4f} nats a row{watched}  {record['seconds']:.2f} s\n"
    )


@torch.no_grad()
def _diverged(
    model: MultimodalVAE,
    batch: Batch,
    noise: RowNoise,
    epoch: int,
    rate: float,
    names: Sequence[str],
) -> str:
    """Say which modality a loss that is not finite comes from, and what to change."""
    encoded = [True] * len(names)
    for part in (model.strategy, model.private):
        if isinstance(networks := getattr(part, "encoders", None), Networks):
            said = networks.each(model.encoded(batch).inputs).isfinite().flatten(2).all(2).all(0)
            encoded = [a and b for a, b in zip(encoded, said.tolist(), strict=True)]
    # decoders are shown draws of the prior: a broken encoder must not throw suspicion on them
    z = model.sample(noise)[None, None]
    decoded = model.log_likelihood(z, batch).isfinite().flatten(0, -2).all(0).tolist()
    guilty = [
        repr(name)
        for name, encoder, decoder in zip(names, encoded, decoded, strict=True)
        if not (encoder and decoder)
    ]
    where = f"modality {', '.join(guilty)}" if guilty else "all modalities"
    return (
        f"The training loss is not finite in epoch {epoch}, in {where} "
        f"(learning rate {rate:.3g}). "
        "Lower learning_rate_init, rescale the modality (extreme values?), or set kl_warmup."
    )
