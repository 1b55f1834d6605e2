"""Which parameters shape a model, so that they cannot change while it is trained further."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# parameters of training and of predictions, which may change from one fit to the next; all others
# say what model and objective are, or where they start
FREE = frozenset(
    {
        "batch_size",
        "checkpoint",
        "checkpoint_every",
        "compile",
        "device",
        "early_stopping",
        "imputation",
        "kl_warmup",
        "learning_rate",
        "learning_rate_init",
        "max_iter",
        "n_importance_samples",
        "n_iter_no_change",
        "n_threads",
        "random_state",
        "resume",
        "tol",
        "validation_fraction",
        "verbose",
        "warm_start",
        "weight_decay",
    }
)


def shape_of(estimator: Any) -> dict[str, Any]:
    """Give the parameters that a model and its objective follow from."""
    parameters = estimator.get_params(deep=False)
    return {name: value for name, value in parameters.items() if name not in FREE}


def changed_shape(estimator: Any) -> list[str]:
    """Name such parameters that are others than those that the fitted model was made with."""
    made_with = getattr(estimator, "_made_with", {})  # what an earlier version left has none
    return [
        f"{name}={made_with[name]!r}, and now {name}={value!r}"
        for name, value in shape_of(estimator).items()
        if name in made_with and not _alike(made_with[name], value)
    ]


def check_shape(estimator: Any) -> None:
    """Refuse to train a model further under other parameters than those it was made with."""
    if changed := changed_shape(estimator):
        raise ValueError(
            f"This {type(estimator).__name__} would go on from a model that was made with "
            f"{'; '.join(changed)}. Fit anew with warm_start=False, or set it back."
        )


def _alike(old: Any, new: Any) -> bool:
    """Whether two values of a parameter are the same; objects without ``==`` only if they are."""
    if old is new:
        return True
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_alike(old[key], new[key]) for key in old)
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        return len(old) == len(new) and all(map(_alike, old, new))
    return bool(np.array_equal(old, new))
