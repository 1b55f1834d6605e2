"""What is asked of some modalities given others, the same for every estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..data.batch import Batch
from ..data.source import Source
from ..metrics import conditional_log_likelihood
from ..model import MultimodalVAE
from ..random import RowNoise
from .naming import find_target_and_given, show_only


class ConditioningMixin:
    """Densities and draws given some modalities, for an estimator that predicts."""

    n_importance_samples: int
    _read: Callable[[Any], Source]
    _predict: Callable[..., list[np.ndarray]]
    _drawn: Callable[..., list[Any]]

    def log_likelihood(self, X, of, given=None):
        r"""Estimate the log-likelihood of some modalities given others.

        .. math:: \log \frac{1}{K} \sum_{k=1}^K p(x_{of} \mid z_k),
            \quad z_k \sim q(z \mid x_{given})

        over the observed entries, with K = ``n_importance_samples``; of a factor analysis it is
        exact.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        of : str, int or sequence of them
            Names (as in ``modality_names_``) or positions of the modalities that are scored.
        given : str, int, sequence of them or None, default=None
            What they are predicted from; all other modalities when None. Where a row shows
            nothing of it, the posterior is the prior.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Nats, in the units of the data; zero where a row shows nothing of ``of``.

        Raises
        ------
        ValueError
            If a name is unknown, a modality is in both, or either is empty.

        See Also
        --------
        skpoe.scorers.ConditionalLogLikelihood : Its mean, for ``scoring=``.
        """
        source = self._read(X)
        target, known = find_target_and_given(self, of, given, word="of")
        return self._log_likelihood(source, target, known)

    def _log_likelihood(
        self, source: Source, target: Sequence[int], given: Sequence[int]
    ) -> np.ndarray:
        n_draws = self.n_importance_samples

        def conditional(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [conditional_log_likelihood(model, batch, noise, n_draws, target, given)]

        return self._predict(source, conditional, n_draws)[0].astype(np.float64)

    def sample_conditional(self, X, n_samples=1, given=None):
        """Draw whole rows given some of their modalities.

        Unlike in ``impute``, all entries are drawn, also those that a row shows: new rows that
        have z in common with it.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        n_samples : int, default=1
            Draws for each row.
        given : str, int, sequence of them or None, default=None
            Names or positions of the modalities that are read; all that a row shows when None.

        Returns
        -------
        samples : list of X
            ``n_samples`` of them, each of the type of X, noise included. Calls with the same rows
            give the same draws.

        Warns
        -----
        UserWarning
            As ``impute``.

        Raises
        ------
        ValueError
            If a name is unknown.
        """
        source = show_only(self, self._read(X), given)
        return self._drawn(X, source, n_samples, "n_samples", everything=True)
