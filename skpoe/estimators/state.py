"""The state of a fit: all that it needs to go on, and what it leaves on the estimator."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.layout import Layout
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..objectives import Objective
from ..stopping import learned
from ..training import Run
from .pieces import Pieces


@dataclass
class State:
    """A fit after some epoch.

    Parameters
    ----------
    model : MultimodalVAE
    objective : Objective
    layout : Layout
    seed : int
    auto : dict
        What the parameters that may be "auto" came to.
    run : Run
        Of the model in this stage.
    made_with : dict
        The parameters that model and objective follow from.
    stage : {"rehearsal", "training", "finished"}
        In a rehearsal the model is trained without some rows, to find on them how much of its
        start to keep; then it is trained with all, unless that is all of the start.
    start_weight : float or "auto"
        Share of the start that is kept; "auto" is not known yet.
    begun : dict of str to Tensor, default=None
        Parameters that the stage began with, where some of the start may be kept.
    fresh : dict of str to Tensor, default=None
        In a rehearsal: what training will begin with.
    held : int64 Tensor, default=None
        In a rehearsal: numbers of the rows that it does not learn from.
    is_long : bool, default=False
        Whether a trial found that a long training pays.
    """

    model: MultimodalVAE
    objective: Objective
    layout: Layout
    seed: int
    auto: dict[str, Any]
    run: Run
    made_with: dict[str, Any]
    stage: str = "training"
    start_weight: float | str = 0.0
    begun: dict[str, Tensor] | None = None
    fresh: dict[str, Tensor] | None = None
    held: Tensor | None = None
    is_long: bool = False

    @property
    def learned(self) -> nn.ModuleDict:
        """Model and objective under one roof."""
        return learned(self.model, self.objective)

    def copied(self) -> State:
        """Give a state whose model is not trained any further, as if training had stopped here."""
        model, objective = copy.deepcopy((self.model, self.objective))
        run = Run(list(self.run.history), self.run.step)
        return replace(
            self, model=model.eval(), objective=objective, auto=dict(self.auto), run=run
        )

    def fitted(self) -> dict[str, Any]:
        """Give every attribute that a fitted estimator has."""
        history = self.run.history
        watched = [record["validation"] for record in history if "validation" in record]
        return {
            "model_": self.model,
            "modality_names_": list(self.layout.names),
            "latent_dim_": self.model.latent_dim,
            "auto_": self.auto,
            "history_": history,
            "loss_curve_": [record["loss"] for record in history],
            "validation_scores_": watched or None,
            "best_validation_score_": max(watched) if watched else None,
            "n_iter_": len(history),
            "_n_features_out": self.model.latent_dim,
            "_layout": self.layout,
            "_objective": self.objective,
            "_seed": self.seed,
            "_run": self.run,
            "_made_with": self.made_with,
        }


def recompose(
    estimator: Any,
    layout: Layout,
    likelihoods: list[Likelihood],
    seed: int,
    auto: dict[str, Any],
) -> tuple[MultimodalVAE, Objective]:
    """Compose the model of an earlier fit anew, on the CPU, with the weights that it began with.

    Parameters
    ----------
    estimator : BaseVAE
    layout : Layout
    likelihoods : list of Likelihood
        Started, or stand-ins.
    seed : int
    auto : dict
        What the fit had as ``auto_``.
    """
    linear = auto["init"] == "factor_analysis"
    pieces = Pieces(estimator, layout.names, likelihoods, seed, 0, linear, auto["latent_dim"])
    pieces.auto |= auto
    model, objective = estimator._compose(pieces)
    cast(model, torch.float64 if auto["dtype"] == "float64" else torch.float32)
    model.has_started = linear
    return model.eval(), objective


def cast(model: MultimodalVAE, dtype: torch.dtype) -> None:
    """Give all that is learned one precision; what likelihoods read off the data keeps its own."""
    for name, part in model.named_children():
        if name not in ("likelihoods", "subsets"):
            part.to(dtype=dtype)
    for parameter in nn.ModuleList(model.likelihoods).parameters():
        parameter.data = parameter.data.to(dtype)
