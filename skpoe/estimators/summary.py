"""A fitted model in a few words, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from .._compat import _VisualBlock
from ..data.tables import describe
from ..likelihoods import Likelihood

# modalities that the notebook view has room for
_MOST_BOXES = 11


def core_of(estimator: Any) -> dict[str, Any]:
    """Name what stands in the slots of a fitted model, and count its weights."""
    model = estimator.model_
    objective = getattr(estimator, "_objective", None)
    core = {
        "strategy": type(model.strategy).__name__,
        "posterior": type(model.strategy.family).__name__,
        "components": len(model.subsets),
        "prior": type(model.prior).__name__,
        "objective": "log-likelihood (EM)" if objective is None else type(objective).__name__,
    }
    if model.private is not None:
        core["private variables"] = f"{model.private.prior.latent_dim} a modality"
    return {**core, "weights": sum(parameter.numel() for parameter in model.parameters())}


def likelihood_in_words(likelihood: Likelihood, labels: Sequence[Hashable]) -> str:
    """Name a likelihood; of columns of several kinds, say how many have which."""
    told = likelihood.describe(labels)
    if not isinstance(told, dict):
        return str(told)
    return ", ".join(f"{n} {name}" for name, n in Counter(map(str, told.values())).most_common())


def visual_block(estimator: Any) -> Any:
    """Draw a fitted model for scikit-learn's notebook view: its modalities, and its core."""
    layout, likelihoods = estimator._layout, estimator.model_.likelihoods
    told = [
        f"{likelihood_in_words(likelihoods[m], layout.labels(m))}, {describe(size)}"
        for m, size in enumerate(layout.sizes)
    ]
    names = list(layout.names)
    if len(names) > _MOST_BOXES:
        rest = f"{len(names) - _MOST_BOXES} more"
        names, told = [*names[:_MOST_BOXES], rest], [*told[:_MOST_BOXES], "..."]
    boxes = [_VisualBlock("single", text, names=text, name_details=text) for text in told]
    modalities = _VisualBlock("parallel", boxes, names=names, name_details=told)
    slots = core_of(estimator)
    core = "\n".join(f"{slot}: {what}" for slot, what in slots.items())
    name = slots["strategy"]
    middle = _VisualBlock("single", name, names=name, name_details=core)
    return _VisualBlock(
        "serial",
        [modalities, middle],
        names=["modalities", "core"],
        name_details=["likelihood and number of features of each", core],
    )
