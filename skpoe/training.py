"""The only training loop."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .data.batch import Batch
from .data.rows import Held, Rows
from .distributed import Team
from .model import MultimodalVAE
from .nn.networks import Networks
from .objectives import Objective
from .random import RowNoise, derive_seed

_AUTO_VISITS = 200_000
_AUTO_FEWEST_EPOCHS, _AUTO_MOST_EPOCHS = 20, 200
_AUTO_SMALL = 2000
_STARTED_STEPS, _STARTED_SMALL = 600, 1000
_CLIP = 10.0
_WARM = 0.1
# of the learning rate, for what started at a factor analysis: networks, and noise, which has far
# to go where a feature is nearly constant
_STARTED_SHARE, _NOISE_SHARE = 1 / 3, 3.0
# validation rows that are scored at a time
_WATCHED = 256

Record = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How to train.

    Parameters
    ----------
    max_iter : int or "auto"
        Epochs; "auto" visits about 200,000 rows in all, in 20 to 200 epochs.
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
    started : bool
        Whether the model starts at a factor analysis: "auto" is then 600 steps below 1,000 rows,
        else 1,200, of at most 128 rows.
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
    started: bool = False

    def n_epochs(self, n_rows: int) -> int:
        """Epochs for so many rows."""
        if self.max_iter != "auto":
            return int(self.max_iter)
        if self.started:
            n_steps = _STARTED_STEPS if n_rows < _STARTED_SMALL else 2 * _STARTED_STEPS
            return max(_AUTO_FEWEST_EPOCHS, -(-n_steps // -(-n_rows // self.n_batch(n_rows))))
        return min(_AUTO_MOST_EPOCHS, max(_AUTO_FEWEST_EPOCHS, _AUTO_VISITS // n_rows))

    def n_batch(self, n_rows: int) -> int:
        """Rows in a step."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        return 64 if n_rows < _AUTO_SMALL and not self.started else 128

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
    """What a training run has done, and what it needs to go on.

    Parameters
    ----------
    history : list of dict
        One record an epoch: ``epoch``, ``loss`` (minus the objective, the weighted mean over rows,
        nats), ``kl_weight``, ``learning_rate``, ``gradient_norm`` (largest, before clipping),
        ``seconds``, and ``validation`` (the objective on validation rows) where there are any.
    step : int
        Steps taken.
    optimizer : dict, default=None
        State of the optimiser.
    interrupted : bool
        Whether the last call ended by a keyboard interrupt.
    """

    history: list[Record] = field(default_factory=list)
    step: int = 0
    optimizer: dict[str, Any] | None = None
    interrupted: bool = False


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
    after_epoch: Callable[[Record], bool] | None = None,
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
        What was done before; training goes on as if it had not stopped.
    after_epoch : callable, default=None
        Takes the record of an epoch and says whether to stop.

    Returns
    -------
    run : Run
        A keyboard interrupt ends training early and leaves the model usable.

    Raises
    ------
    FloatingPointError
        When the loss or its gradient is not finite. The weights are those before the bad step.
    """
    before = Run() if run is None else run
    run = Run(list(before.history), before.step, before.optimizer)
    parameters = _learned(model, objective)
    optimizer = _optimizer(model, parameters, plan, run)
    n_rows = len(data)
    n_epochs, n_batch = plan.n_epochs(n_rows), plan.n_batch(n_rows)
    n_steps = n_epochs * -(-n_rows // n_batch)
    team = _gather_team(model, data, plan)
    keeper = None if validation is None else _Keeper(model, objective, validation, plan, team)
    first_step, total_weight = run.step, data.total_weight().item()
    try:
        for epoch in range(len(run.history) + 1, len(run.history) + n_epochs + 1):
            began = time.perf_counter()
            model.train()
            kl_weight = min(1.0, epoch / plan.kl_warmup) if plan.kl_warmup else 1.0
            total = torch.zeros((), dtype=torch.float64, device=data.weights.device)
            steepest = 0.0
            shuffle = torch.Generator().manual_seed(derive_seed(plan.seed, epoch))
            for rows in data.deal(n_batch, shuffle):
                batch, keys, weights = data[team.share(rows)]
                rate = plan.rate((run.step - first_step) / n_steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate * group["share"]
                noise = RowNoise(plan.seed, keys).fold(run.step)
                weighted = (weights * objective(model, batch, noise, kl_weight)).sum()
                loss = -weighted / data.total_weight(rows)
                optimizer.zero_grad()
                loss.backward()
                team.add_gradients(parameters, loss.detach())
                gradients = [p.grad for p in parameters if p.grad is not None]
                norm = nn.utils.get_total_norm(gradients, foreach=True)
                if not math.isfinite((norm + loss.detach()).item()):
                    raise FloatingPointError(_diverged(model, batch, noise, epoch, rate, names))
                nn.utils.clip_grads_with_norm_(parameters, _CLIP, norm, foreach=True)
                optimizer.step()
                run.step += 1
                total += weighted.detach()
                steepest = max(steepest, norm.item())
            team.add([total])
            record = {
                "epoch": epoch,
                "loss": -total.item() / total_weight,
                "kl_weight": kl_weight,
                "learning_rate": rate,
                "gradient_norm": steepest,
            }
            model.eval()
            enough = keeper is not None and keeper.look(record)
            record["seconds"] = time.perf_counter() - began
            run.history.append(record)
            last = epoch == len(before.history) + n_epochs
            if plan.verbose and team.rank == 0 and (last or (epoch - 1) % plan.verbose == 0):
                _print(record, len(before.history) + n_epochs)
            asked = after_epoch is not None and after_epoch(record)
            if team.any(asked, total.device) or enough:
                break
    except KeyboardInterrupt:
        if team.size > 1:  # the others wait for this process: all have to end
            raise
        run.interrupted = True
    model.eval()
    if keeper is not None:
        keeper.restore()
    run.optimizer = optimizer.state_dict()
    return run


def _gather_team(model: MultimodalVAE, data: Rows, plan: Plan) -> Team:
    """Make sure that all processes are about to do the same."""
    team, device = Team(), data.weights.device
    n_rows = len(data)
    fewest = n_rows // -(-n_rows // plan.n_batch(n_rows))
    if fewest < team.size:
        raise ValueError(
            f"batch_size={plan.batch_size} deals out {n_rows} rows in batches of {fewest}, fewer "
            f"than the {team.size} processes that train together. Take a larger batch_size, or "
            "fewer processes."
        )
    team.check_same(
        device,
        numbers_of_rows=n_rows,
        numbers_of_parameters=sum(p.numel() for p in model.parameters()),
        numbers_of_epochs=plan.n_epochs(n_rows),
        batch_sizes=plan.n_batch(n_rows),
        seeds=plan.seed,
        data=int(data.keys().sum()) if isinstance(data.table, Held) else 0,
    )
    team.follow_first(p.detach() for p in model.parameters())
    return team


def _learned(model: MultimodalVAE, objective: Objective) -> list[nn.Parameter]:
    return [p for p in (*model.parameters(), *objective.parameters()) if p.requires_grad]


def optimizer_state(
    model: MultimodalVAE, objective: Objective, moments: Mapping[int, dict[str, Tensor]]
) -> dict[str, Any]:
    """Make the state of an optimiser of what is kept for each parameter, by its number.

    Raises
    ------
    ValueError
        When what is kept has not the shapes of the parameters.
    """
    optimizer = _optimizer(model, _learned(model, objective), Plan(), Run())
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, kept in moments.items():
        like = parameters[number] if 0 <= number < len(parameters) else None
        if like is None or set(kept) != {"step", "exp_avg", "exp_avg_sq"}:
            raise ValueError(f"The optimiser has no parameter {number} with {sorted(kept)}.")
        for name, tensor in kept.items():
            shape = () if name == "step" else like.shape
            good = tensor.dtype.is_floating_point if name == "step" else tensor.dtype == like.dtype
            if tensor.shape != shape or not good:
                raise ValueError(
                    f"'{name}' of parameter {number} of the optimiser should be of shape "
                    f"{tuple(shape)} and {like.dtype}; got {tuple(tensor.shape)}, {tensor.dtype}."
                )
    return {**optimizer.state_dict(), "state": dict(moments)}


def _groups(
    model: MultimodalVAE, parameters: list[nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    """Let what started at a solution move at rates of its own, without decay."""
    started = {id(parameter) for parameter in model.started()}
    noise = {id(p) for likelihood in model.likelihoods for p in likelihood.parameters()}
    fast: list[nn.Parameter] = []
    slow: list[nn.Parameter] = []
    noisy: list[nn.Parameter] = []
    for parameter in parameters:
        is_noise = id(parameter) in noise
        kind = fast if id(parameter) not in started else noisy if is_noise else slow
        kind.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": fast, "share": 1.0, "weight_decay": weight_decay},
        {"params": slow, "share": _STARTED_SHARE, "weight_decay": 0.0},
        {"params": noisy, "share": _NOISE_SHARE, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _optimizer(
    model: MultimodalVAE, parameters: list[nn.Parameter], plan: Plan, run: Run
) -> torch.optim.Optimizer:
    groups = _groups(model, parameters, plan.weight_decay)
    optimizer = torch.optim.AdamW(
        groups,
        lr=plan.learning_rate_init,
        betas=(0.9, 0.99),
        fused=True,
    )
    if run.optimizer is not None:
        optimizer.load_state_dict(copy.deepcopy(run.optimizer))  # it is updated in place
        for group, now in zip(optimizer.param_groups, groups, strict=True):
            group["weight_decay"] = now["weight_decay"]
    return optimizer


class _Keeper:
    """Watches the objective on validation rows and keeps the best weights."""

    def __init__(
        self, model: MultimodalVAE, objective: Objective, rows: Rows, plan: Plan, team: Team
    ) -> None:
        self.model, self.objective, self.rows, self.plan = model, objective, rows, plan
        self.team = team
        self.total_weight = rows.total_weight().item()
        self.best, self.weights, self.waited = -math.inf, _copy(model), 0

    @torch.no_grad()
    def look(self, record: Record) -> bool:
        """Score the model, note the score, and say whether waiting longer is of no use."""
        total = torch.zeros((), dtype=torch.float64, device=self.rows.weights.device)
        for rows in self.rows.deal(_WATCHED * self.team.size):
            if not len(mine := self.team.share(rows)):
                continue
            batch, keys, weights = self.rows[mine]
            noise = RowNoise(self.plan.seed, keys).fold("validation")
            total += (weights * self.objective(self.model, batch, noise)).sum()
        self.team.add([total])
        record["validation"] = score = total.item() / self.total_weight
        self.waited = 0 if score > self.best + self.plan.tol else self.waited + 1
        if score > self.best:
            self.best, self.weights = score, _copy(self.model)
        # a cycle is planned for its whole length: cut short, it never reaches the small rates
        return self.plan.learning_rate == "constant" and self.waited >= self.plan.n_iter_no_change

    def restore(self) -> None:
        """Put the best weights back."""
        self.model.load_state_dict(self.weights)


def _copy(model: MultimodalVAE) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


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
            said = networks.each(model.encoded(batch).values).isfinite().flatten(2).all(2).all(0)
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
