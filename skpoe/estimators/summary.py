"""A fitted model in a few words, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from ..likelihoods import Likelihood


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
