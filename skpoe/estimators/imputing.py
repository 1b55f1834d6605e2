"""Draws and intervals of what is missing, the same for every estimator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.metaestimators import available_if
from torch import Tensor

from ..data.alignment import differ
from ..data.batch import Batch
from ..data.coding import Coding
from ..data.layout import Layout
from ..data.modalities import index_of
from ..data.source import Source
from ..drawing import central_interval, draw_missing, effective_size, propose
from ..model import MultimodalVAE
from ..random import RowNoise

# draws that an interval is read off, or as many as leave so many beyond both its ends
_N_DRAWS, _BEYOND = 500, 10
_MOST_COVERAGE = 0.9999
# a row with a smaller effective number of proposals is reported
_FEW = 10.0


def _has_levels(estimator: Any) -> bool:
    """Whether any column of what an estimator was fitted on has levels."""
    members = (part for each in estimator.model_.likelihoods for part in each.members())
    return any(part.has_levels for part in members)


class ImputationMixin:
    """Multiple imputation and intervals, for an estimator that predicts."""

    n_importance_samples: int
    imputation: str
    _layout: Layout
    _read: Callable[[Any], Source]
    _predict: Callable[..., list[np.ndarray]]
    _means: Callable[..., list[np.ndarray]]
    _how_to_average: Callable[[str], str]
    model_: MultimodalVAE

    def impute(self, X, n_imputations=5):
        """Fill in what is missing by draws from its distribution given what the row shows.

        Draws of z from the posterior are resampled by their importance weights, and x is drawn
        given z, noise included. What is missing in a row is drawn together, so that a draw is as
        likely as a whole. Unlike means, draws have the variance of real data: estimate what
        interests you on each, and take the mean of the estimates.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        n_imputations : int, default=5

        Returns
        -------
        imputations : list of X
            Each of the type of X; observed entries are as they came. Calls with the same rows
            give the same draws.

        Warns
        -----
        UserWarning
            Where few of the importance samples of a row have nearly all the weight (see
            :meth:`effective_sample_size`).
        """
        return self._drawn(X, self._read(X), n_imputations, "n_imputations")

    def predict_interval(self, X, coverage=0.9):
        """Give an interval for each missing entry, between quantiles of draws.

        There are 500 of them, or as many as leave five beyond either end.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``impute``.
        coverage : float, default=0.9
            Probability, under the model, that the interval holds the missing value, between 0
            and 0.9999; the tails are equal.

        Returns
        -------
        low, high : same type as X
            Observed entries are as they came. A category whose levels have no order has no
            interval, and stays missing: see ``predict_proba``.

        See Also
        --------
        skpoe.imputation.ConformalIntervals : Intervals that cover as they say, whatever the model.
        """
        low, high = (
            self._layout.renew(X, ends, missing_only=True)
            for ends in self._intervals(self._read(X), coverage)
        )
        return low, high

    @available_if(_has_levels)
    def predict_proba(self, X):
        """Give the probabilities of the levels of each flag and category, given what rows show.

        It is there after ``fit`` on data of which some column has the likelihood "bernoulli",
        "categorical" or "ordinal".

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``impute``.

        Returns
        -------
        probabilities : dict of DataFrame of shape (n_samples, n_levels)
            By column, and first by modality where X is several tables. The columns are named by
            the levels; a cell that is observed has 1 at its level.
        """
        source, layout = self._read(X), self._layout
        means = self._chances(source)
        index, told = index_of(X), {}
        for m, (likelihood, mean, shown) in enumerate(
            zip(self.model_.likelihoods, means, source[:], strict=True)
        ):
            labels, codings = layout.labels(m), layout.coding(m)
            for feature, chances in likelihood.probabilities(torch.from_numpy(mean)).items():
                table, level = chances.numpy().copy(), shown[:, feature]
                known = ~np.isnan(level)
                table[known] = np.eye(table.shape[1])[level[known].astype(int)]
                coding = Coding("number", float) if codings is None else codings[feature]
                names = coding.names(table.shape[1])
                frame = pd.DataFrame(table, index=index, columns=names)
                place = told if layout.is_table else told.setdefault(layout.names[m], {})
                place[labels[feature]] = frame
        return told

    def effective_sample_size(self, X):
        """How many of the ``n_importance_samples`` draws of a row effectively count.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``impute``.

        Returns
        -------
        size : ndarray of shape (n_samples,)
            1 / sum of squared normalised importance weights: all draws where the posterior is
            exact, 1 where one of them has all the weight.
        """
        n_proposals = self.n_importance_samples

        def sizes(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [effective_size(propose(model, batch, noise, n_proposals)[1])]

        return self._predict(self._read(X), sizes, n_proposals)[0].astype(np.float64)

    def _chances(self, source: Source) -> list[np.ndarray]:
        """Means (N, W_m), of levels their probabilities: averaged, for one z is too sure."""
        how = self._how_to_average(self.imputation)
        how = "posterior" if how == "mean" else how
        every = range(len(source.widths))
        return self._means(source, every, say=lambda part, mean: mean, how=how)

    def _intervals(
        self, source: Source, coverage: Any
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Give the lower and the upper ends, (N, F_m) a modality, of all that rows lack."""
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must lie between 0 and 1; got {coverage!r}.")
        if coverage > _MOST_COVERAGE:
            raise ValueError(
                f"coverage={coverage!r} would take more than 100,000 draws a row: it must be at "
                f"most {_MOST_COVERAGE}."
            )
        n_draws = max(_N_DRAWS, math.ceil(_BEYOND / (1 - coverage)))
        n_proposals = max(n_draws, self.n_importance_samples)

        def ends(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            draws, _ = draw_missing(model, batch, noise, n_draws, n_proposals)
            return [
                end
                for likelihood, x in zip(model.likelihoods, draws, strict=True)
                for end in central_interval(likelihood, x, coverage)
            ]

        flat = self._predict(source, ends, n_proposals, distinct=True)
        return flat[::2], flat[1::2]

    def _drawn(
        self, X: Any, source: Source, n_draws: Any, word: str, *, everything: bool = False
    ) -> list[Any]:
        """Give so many X of draws; ``word`` is what the caller calls their number."""
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"{word} must be a positive integer; got {n_draws!r}.")
        draws, sizes = self._draws(source, int(n_draws), everything=everything)
        self._warn_of_few(sizes, max(int(n_draws), self.n_importance_samples), stacklevel=4)
        return [
            self._layout.renew(X, [x[:, k] for x in draws], missing_only=not everything)
            for k in range(int(n_draws))
        ]

    def _draws(
        self, source: Source, n_draws: int, *, everything: bool = False
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Draw what rows lack, or all of them anew: (N, n_draws, F_m) a modality.

        Also gives effective numbers of proposals, (N,).
        """
        n_proposals = max(n_draws, self.n_importance_samples)

        def draw(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            stream = noise.fold("all") if everything else noise
            draws, size = draw_missing(
                model, batch, stream, n_draws, n_proposals, everything=everything
            )
            return [*(x.transpose(0, 1) for x in draws), size]

        *draws, sizes = self._predict(source, draw, n_proposals, distinct=True)
        return draws, sizes

    def _read_beside(self, X: Any, truth: Any) -> tuple[Source, Source]:
        """Read rows with holes, and the same rows with what is known of these."""
        source, known = self._read(X), self._read(truth)
        if len(source) != len(known):
            raise ValueError(f"X has {len(source)} rows, but truth has {len(known)}.")
        if differ({"X": index_of(X), "truth": index_of(truth)}):
            raise ValueError(
                "The rows of X and truth have different indexes. Align them first, for example "
                "with truth.reindex(X.index)."
            )
        return source, known

    def _warn_of_few(self, sizes: np.ndarray, n_proposals: int, stacklevel: int = 3) -> None:
        fewest = min(_FEW, n_proposals / 2)
        few = int((sizes < fewest).sum())
        if few:
            warnings.warn(
                f"In {few} of {len(sizes)} rows, fewer than {fewest:g} of {n_proposals} "
                "importance samples count effectively, so draws repeat few values of z. Raise "
                "n_importance_samples; see effective_sample_size.",
                UserWarning,
                stacklevel=stacklevel,
            )
