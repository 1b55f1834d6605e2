"""What is to be said of a fit that has ended."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .state import State


def warn_of_end(estimator: Any, state: State, n_epochs: int | None) -> None:
    """Warn of a training that diverged, was interrupted, or ended before its loss settled.

    Parameters
    ----------
    estimator : BaseVAE
    state : State
        At its end.
    n_epochs : int or None
        Epochs that the call was to have, instead of ``max_iter``.
    """
    name, run = type(estimator).__name__, state.run
    losses = [record["loss"] for record in run.history]
    if run.diverged:
        _warn(
            f"Training of {name} diverged; it ended with the best weights that it had before. "
            f"{run.diverged}",
            ConvergenceWarning,
        )
    elif run.interrupted:
        _warn(
            f"Training of {name} was interrupted after {len(losses)} epochs; it can be used as "
            "it is.",
            UserWarning,
        )
    elif state.auto.get("start_weight"):
        pass  # held-out rows would have less training, not more
    elif n_epochs is None and losses and still_falls(losses):
        wanted = estimator.max_iter
        more = f"Set max_iter to more than {len(losses)}."
        if wanted != "auto":
            more = "Increase max_iter, or set max_iter='auto'."
        _warn(
            f"The loss of {name} was still falling when max_iter={wanted} epochs were over. "
            f"{more}",
            ConvergenceWarning,
        )


def _warn(text: str, category: type[Warning]) -> None:
    warnings.warn(text, category, stacklevel=8)  # the line that called fit


def still_falls(losses: list[float]) -> bool:
    """Whether the last tenth of training brought more than a twentieth of the whole fall.

    And more than two standard errors of what losses of single epochs say.
    """
    window = max(1, len(losses) // 10)
    if len(losses) < 2 * window + 1:
        return True
    ends = np.array(losses[-2 * window :]).reshape(2, window)
    before, last = ends.mean(1)
    noise = np.sqrt((ends.var(1) / window).sum())
    return bool(before - last > max(0.05 * (losses[0] - last), 2 * noise))
