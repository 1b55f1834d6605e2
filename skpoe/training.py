"""The only training loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .data.batch import Batch
from .model import MultimodalVAE
from .objectives import Objective
from .random import RowNoise, row_keys

_AUTO_VISITS = 200_000
_AUTO_FEWEST_EPOCHS, _AUTO_MOST_EPOCHS = 20, 200
_AUTO_SMALL = 2000
_CLIP = 10.0


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
    seed : int
    verbose : int
        Print a line every so many epochs; 0 is silent.
    """

    max_iter: int | str = "auto"
    batch_size: int | str = "auto"
    learning_rate: str = "one_cycle"
    learning_rate_init: float = 3e-3
    weight_decay: float = 0.0
    kl_warmup: int = 0
    seed: int = 0
    verbose: int = 0

    def n_epochs(self, n_rows: int) -> int:
        """Epochs for so many rows."""
        if self.max_iter != "auto":
            return int(self.max_iter)
        return min(_AUTO_MOST_EPOCHS, max(_AUTO_FEWEST_EPOCHS, _AUTO_VISITS // n_rows))

    def n_batch(self, n_rows: int) -> int:
        """Rows in a step."""
        if self.batch_size != "auto":
            return int(self.batch_size)
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


_WARM = 0.1


def train(
    model: MultimodalVAE, objective: Objective, data: Batch, plan: Plan, names: Sequence[str]
) -> list[dict[str, float]]:
    """Maximise an objective over the rows of a batch that is held in memory.

    Parameters
    ----------
    model : MultimodalVAE
        Trained in place.
    objective : Objective
    data : Batch
        Standardised values, on the model's device and in its dtype.
    plan : Plan
    names : sequence of str
        Names of the modalities, for messages.

    Returns
    -------
    history : list of dict
        One an epoch: ``epoch``, ``loss`` (the mean over rows of minus the objective, nats),
        ``kl_weight``, ``learning_rate``, ``gradient_norm`` (largest, before clipping),
        ``seconds``.

    Raises
    ------
    FloatingPointError
        When the loss or its gradient is not finite. The weights are those before the bad step.
    """
    model.train()
    shuffle = torch.Generator().manual_seed(plan.seed)
    streams = RowNoise(plan.seed, row_keys(data.values, data.masks))
    parameters = [p for p in (*model.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=plan.learning_rate_init,
        betas=(0.9, 0.99),
        weight_decay=plan.weight_decay,
        fused=True,
    )
    n_epochs, n_batch = plan.n_epochs(len(data)), plan.n_batch(len(data))
    n_steps = n_epochs * -(-len(data) // n_batch)
    history: list[dict[str, float]] = []
    step = 0
    for epoch in range(n_epochs):
        began = time.perf_counter()
        kl_weight = min(1.0, (epoch + 1) / plan.kl_warmup) if plan.kl_warmup else 1.0
        total = torch.zeros((), dtype=torch.float64, device=data.observed.device)
        steepest = 0.0
        for rows, batch in data.minibatches(n_batch, shuffle):
            rate = plan.rate(step / n_steps)
            optimizer.param_groups[0]["lr"] = rate
            noise = streams[rows].fold(step)
            loss = -objective(model, batch, noise, kl_weight).mean()
            optimizer.zero_grad()
            loss.backward()
            gradients = [p.grad for p in parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients, foreach=True)
            if not math.isfinite(norm.item()):
                raise FloatingPointError(_diverged(model, batch, noise, epoch + 1, rate, names))
            nn.utils.clip_grads_with_norm_(parameters, _CLIP, norm, foreach=True)
            optimizer.step()
            total += loss.detach() * len(rows)
            steepest = max(steepest, norm.item())
            step += 1
        record = {
            "epoch": epoch + 1,
            "loss": total.item() / len(data),
            "kl_weight": kl_weight,
            "learning_rate": rate,
            "gradient_norm": steepest,
            "seconds": time.perf_counter() - began,
        }
        history.append(record)
        if plan.verbose and (epoch + 1 == n_epochs or epoch % plan.verbose == 0):
            sys.stdout.write(
                f"epoch {epoch + 1:>{len(str(n_epochs))}}/{n_epochs}  loss {record['loss']:.4f} "
                f"nats a row  {record['seconds']:.2f} s\n"
            )
    model.eval()
    return history


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
    z = model.posterior(batch).rsample(1, noise)
    finite = model.log_likelihood(z, batch).isfinite().flatten(0, -2).all(0).tolist()
    guilty = [
        repr(name)
        for name, likelihood, decoder in zip(names, finite, model.decoders, strict=True)
        if not likelihood
        or any(p.grad is not None and not p.grad.isfinite().all() for p in decoder.parameters())
    ]
    where = f"modality {', '.join(guilty)}" if guilty else "all modalities"
    return (
        f"The training loss is not finite in epoch {epoch}, in {where} "
        f"(learning rate {rate:.3g}). "
        "Lower learning_rate_init, rescale the modality (extreme values?), or set kl_warmup."
    )
