"""Base of all estimators that train networks."""

from __future__ import annotations

import math
from abc import abstractmethod

from .._compat import CallbackSupportMixin, _fit_context, with_callbacks
from ..model import MultimodalVAE
from ..objectives import Objective
from ..training import Cycle, Run, optimizer_of
from .face import BaseMultimodal
from .fitting import Fitting, all_or_nothing
from .parameters import SharedParameters
from .pieces import Pieces
from .saving import FileFormatError, is_record, members
from .shaping import shape_of
from .state import State, recompose

# of a start at a factor analysis: below so many rows it is trained with more care
FEW_ROWS = 1000


class BaseVAE(SharedParameters, CallbackSupportMixin, BaseMultimodal):
    """Trains a model that a subclass composes."""

    # what init="auto" means
    _auto_init = "random"
    # whether it is asked of held-out rows, where there are enough
    _auto_compares = False
    # and latent_dim="auto" at least, beside a start at factor analysis and if features allow
    _auto_least_latent = 1
    # max_iter="auto" in epochs at most, of a random start
    _auto_most_epochs = 200
    # read in every fit; fields of those estimators that let users choose
    free_bits = 0.0
    shrinkage = "auto"
    trust = "auto"

    def _cycle(self, n_rows: int, n_features: int) -> Cycle:
        """Say how "auto" trains from a start at a factor analysis."""
        return Cycle(600 if n_rows < FEW_ROWS else 1200)

    @abstractmethod
    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        """Put the model and its objective together."""

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one epoch on X, going on from where the last call stopped.

        The first call reads column means, scales and everything else that depends on the data off
        its X; let it be a fair share. The learning rate is constant, for nobody knows how long
        training will last; with ``learning_rate="constant"``, so many calls on the same X are so
        many epochs of ``fit``, bit for bit.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        self : object
            The estimator.
        """
        if self.early_stopping not in (False, "auto"):
            raise ValueError("partial_fit does not support early_stopping=True.")
        with all_or_nothing(self):
            self._train(X, y, sample_weight, goes_on=True, n_epochs=1)
        return self

    @with_callbacks
    def _train(self, X, y, sample_weight, *, goes_on=None, n_epochs=None):
        goes_on = self.warm_start if goes_on is None else goes_on
        Fitting(self, goes_on=goes_on, n_epochs=n_epochs).run(X, y, sample_weight)

    # what a file holds of a training run beside weights: see saving
    _kept = {"seed": int, "auto": dict, "history": list, "step": int, "interrupted": bool}

    def _keep(self):
        run = self._run
        return {
            "seed": self._seed,
            "auto": self.auto_,
            "history": run.history,
            "step": run.step,
            "interrupted": run.interrupted,
        }

    def _recompose(self, kept, layout, likelihoods):
        auto = {name: kept["auto"].get(name) for name in ("init", "latent_dim", "dtype")}
        members(auto, "'auto'", dict, {"init": str, "latent_dim": int, "dtype": str})
        weight = kept["auto"].get("prediction_weight")
        if isinstance(weight, float) and 0 <= weight < math.inf:
            auto["prediction_weight"] = weight
        if isinstance(has := kept["auto"].get("prediction_networks"), bool):
            auto["prediction_networks"] = has
        return recompose(self, layout, likelihoods, kept["seed"], auto)

    def _settle(self, kept, layout, model, objective, moments):
        if not all(is_record(record) for record in kept["history"]) or kept["step"] < 0:
            raise FileFormatError("its history is none of a training run")
        if moments:
            optimizer_of(model, objective).load(moments)  # which says what does not fit
        run = Run(kept["history"], kept["step"], moments or None, kept["interrupted"])
        about = layout, kept["seed"], kept["auto"], run, shape_of(self)
        state = State(model, objective, *about)
        vars(self).update(state.fitted())
