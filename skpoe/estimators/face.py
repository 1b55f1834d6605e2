"""The face that every estimator shares."""

from __future__ import annotations

import copy
from abc import ABCMeta, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .._compat import (
    _clone_parametrized,
    _fit_context,
    _get_output_config,
    _VisualBlock,
)
from ..data.batch import Batch
from ..data.modalities import index_of
from ..data.source import Source
from ..data.validation import read
from ..likelihoods import Likelihood
from ..metrics import (
    MOST_COMPONENTS,
    importance_log_likelihood,
    predictive_draws,
    predictive_log_weights,
)
from ..model import MultimodalVAE
from ..random import RowNoise, row_keys, tell_apart
from ..threads import limit_threads
from .acquiring import AcquisitionMixin
from .conditioning import ConditioningMixin
from .double import double_of
from .fitting import all_or_nothing, draw_seed
from .imputing import ImputationMixin
from .naming import show_only
from .reading import check_support, check_weights
from .reporting import ReportingMixin
from .saving import SavingMixin
from .summary import visual_block

# numbers that one chunk of a prediction may hold at once in its widest layer
_CHUNK = 2**20


class BaseMultimodal(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    ImputationMixin,
    ConditioningMixin,
    AcquisitionMixin,
    SavingMixin,
    ReportingMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """What every estimator does with X once it is fitted, and how ``fit`` is asked for."""

    # read by predictions; fields of those estimators that let users choose
    n_importance_samples = 1
    imputation = "mean"
    # what imputation="auto" means where means are linear
    _auto_imputation = "mean"
    hidden_layer_sizes: Sequence[int] = ()

    model_: MultimodalVAE

    @abstractmethod
    def _train(self, X, y, sample_weight, **how):
        """Read X, train, and leave fitted attributes; ``fit`` undoes what a failure left."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Train on X.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            Tables of shape (n_samples, n_features), one a modality, NaN where missing. One array
            or DataFrame is one modality, or several if ``modalities`` says so.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts; a row of weight 0 is left out.

        Returns
        -------
        self : object
            The fitted estimator. A keyboard interrupt ends training early, with a warning, and
            leaves it usable; after any other error it is as it was before.
        """
        with all_or_nothing(self):
            self._train(X, y, sample_weight)
        return self

    def transform(self, X, *, given=None):
        """Infer the posterior mean of the latent variables from what each row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        given : str, int, sequence of them or None, default=None
            Names (as in ``modality_names_``) or positions of the modalities that are read; all
            when None.

        Returns
        -------
        Z : ndarray of shape (n_samples, latent_dim)
            Zeros in a row that shows nothing: the mean of the prior.
        """

        def posterior_mean(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [model.posterior(batch, noise=noise).mean()]

        Z = self._predict(show_only(self, self._read(X), given), posterior_mean)[0]
        if _get_output_config("transform", self)["dense"] != "pandas":
            return Z
        return pd.DataFrame(Z, index=index_of(X), columns=self.get_feature_names_out())

    def inverse_transform(self, Z):
        """Decode latent variables to the mean of each modality.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim)

        Returns
        -------
        X : same type as the X given to ``fit``
            Means in the data's units.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self.latent_dim_:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but {type(self).__name__} has "
                f"latent_dim_={self.latent_dim_}."
            )
        model, device, dtype = self._model_for(Z.dtype)
        with torch.no_grad(), limit_threads(self.n_threads):
            z = torch.from_numpy(np.array(Z)).to(device, dtype)
            means = [
                likelihood.best_guess(model.mean(z, m)).cpu().numpy()
                for m, likelihood in enumerate(model.likelihoods)
            ]
        return self._layout.new([mean.astype(Z.dtype) for mean in means])

    def predict_missing(self, X):
        r"""Fill in what is missing by its mean given what the row shows.

        .. math:: \mathbb{E}[x_{mis} \mid x_{obs}] \approx \frac{1}{K} \sum_k
            \mathbb{E}[x_{mis} \mid z_k], \quad z_k \sim q(z \mid x_{obs})

        with K = ``n_importance_samples`` draws in mirrored pairs, so that it is exact where the
        decoder is linear. With ``imputation="importance"`` draws are weighted by
        p(x_obs, z) / q(z | x_obs), which makes up for a posterior that is not exact. Any pattern
        of missing entries in any row is served in one call.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.

        Returns
        -------
        X_filled : same type as X
            A copy; observed entries are returned as they came.
        """
        return self._filled(X, missing_only=True)

    def reconstruct(self, X):
        """Give the mean of every entry, also of observed ones, given what the row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``predict_missing``.

        Returns
        -------
        X_mean : same type as X
            Computed as in ``predict_missing``.
        """
        return self._filled(X, missing_only=False)

    def sample(self, n_samples=1):
        """Draw new rows from the model.

        Parameters
        ----------
        n_samples : int, default=1

        Returns
        -------
        X : same type as the X given to ``fit``
            All modalities, in the data's units, noise included.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}.")
        model, device, _ = self._model_for(np.dtype(np.float32))
        with torch.no_grad(), limit_threads(self.n_threads):
            keys = torch.arange(n_samples, device=device)
            noise = RowNoise(draw_seed(self.random_state), keys).fold("sample")
            z = model.sample(noise)
            draws = [
                likelihood.sample(model.decode(z, m), noise.fold(m)).cpu().double().numpy()
                for m, likelihood in enumerate(model.likelihoods)
            ]
        return self._layout.new(draws)

    def score_samples(self, X):
        """Estimate the log-likelihood of what each row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Importance-weighted lower bound with ``n_importance_samples`` draws, in nats, summed
            over all observed features, in the units of the data. Zero where nothing is observed.
        """
        return self._bounds(self._read(X))

    def score(self, X, y=None, sample_weight=None):
        """Return the mean of ``score_samples``: nats per sample.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        log_likelihood : float
        """
        scores = self.score_samples(X)
        if sample_weight is not None:
            sample_weight = check_weights(sample_weight, len(scores))
        return float(np.average(scores, weights=sample_weight))

    def _read(self, X: Any) -> Source:
        check_is_fitted(self)
        return read(self, X, self._layout)[0]

    def _bounds(self, source: Source) -> np.ndarray:
        n_draws = self.n_importance_samples

        def bound(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [importance_log_likelihood(model, batch, noise, n_draws)]

        scores = self._predict(source, bound, n_draws, dtype=np.float64)[0]
        far = ~np.isfinite(scores)
        if far.any() and source.dtype != np.float64:  # squares overflowed in single precision
            rows = source.take(far)
            rows.dtype = np.dtype(np.float64)
            scores[far] = self._predict(rows, bound, n_draws)[0]
        return scores

    def _filled(self, X: Any, *, missing_only: bool) -> Any:
        source = self._read(X)
        new = self._means(source, range(len(source.widths)), missing_only=missing_only)
        return self._layout.renew(X, new, missing_only=missing_only)

    def _means(
        self,
        source: Source,
        wanted: Sequence[int],
        *,
        missing_only: bool = True,
        say: Callable[[Likelihood, Tensor], Tensor] = lambda part, mean: part.best_guess(mean),
        how: str | None = None,
    ) -> list[np.ndarray]:
        """Means of some modalities given what rows show; NaN in rows where nothing is missing.

        ``say`` takes the means (n, W_m) of a likelihood to what is wanted of them; ``how`` stands
        in for ``imputation``.
        """
        how = self._how_to_average(self.imputation if how is None else how)
        n_draws = 1 if how == "mean" else self.n_importance_samples

        def means(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            stream = noise.fold("fill")
            if how == "mean":
                posterior = model.posterior(batch, noise=stream).thin(MOST_COMPONENTS, stream)
                z = posterior.centres()
            else:
                posterior, z = predictive_draws(model, batch, stream, n_draws, antithetic=True)
            weights = posterior.log_weights.expand(z.shape[:-1])
            if how == "importance":
                weights = weights + predictive_log_weights(model, batch, posterior, z)
            weights = torch.softmax(weights.flatten(0, 1), dim=0).view_as(weights)  # (K, S, N)
            filled = []
            for m in wanted:
                mask = batch.masks[m]
                rows = ~mask.all(-1) if missing_only else torch.ones_like(mask[:, 0])
                decoded = model.mean(z[:, :, rows], m)  # (K, S, rows, W)
                mean = torch.einsum("ksn,ksnf->nf", weights[:, :, rows].to(decoded.dtype), decoded)
                told = say(model.likelihoods[m], mean)
                everywhere = told.new_full((len(batch), told.shape[1]), torch.nan)
                everywhere[rows] = told
                filled.append(everywhere)
            return filled

        return self._predict(source, means, n_draws)

    def _predict(
        self,
        source: Source,
        function: Callable[[MultimodalVAE, Batch, RowNoise], list[Tensor]],
        n_draws: int = 1,
        *,
        distinct: bool = False,
        n_read: int = 1,
        dtype: Any = None,
    ) -> list[np.ndarray]:
        """Run a function over chunks of rows; every prediction from data goes through here.

        Its randomness belongs to the rows, so chunks, order and company do not change a result.
        ``distinct`` says that rows that are alike are different draws; ``n_read``, of how many
        rows posteriors are held for each row; ``dtype``, of results, if not that of the data.
        """
        model, _, _ = self._model_for(source.dtype)
        widths = (likelihood.width for likelihood in model.likelihoods)
        widest = max(*widths, *self.hidden_layer_sizes, self.latent_dim_)
        n_subsets, family = len(model.subsets), model.strategy.family
        each = family.n_held(self.latent_dim_) * n_subsets * n_read
        judged = n_draws * min(n_subsets, MOST_COMPONENTS) * self.latent_dim_ if n_draws > 1 else 0
        size = max(1, _CHUNK // max(widest * n_draws, each, judged))
        results: list[np.ndarray] = []
        seen: Counter[int] = Counter()
        with torch.no_grad(), limit_threads(self.n_threads):
            for start in range(0, len(source), size):
                arrays = source[start : start + size]
                check_support(model.likelihoods, self._layout, arrays, start)
                batch = model.read(arrays)
                keys = row_keys(batch.values, batch.masks)
                noise = RowNoise(self._seed, tell_apart(keys, seen) if distinct else keys)
                part = function(model, batch, noise)
                if not results:  # made once: what stays between chunks would scatter the memory
                    shapes = [(len(source), *tensor.shape[1:]) for tensor in part]
                    results = [np.empty(shape, dtype or source.dtype) for shape in shapes]
                for result, tensor in zip(results, part, strict=True):
                    result[start : start + size] = tensor.cpu().numpy()
        return results

    def _model_for(self, dtype: np.dtype) -> tuple[MultimodalVAE, torch.device, torch.dtype]:
        """Return the model in the precision of the data, if that is the higher one."""
        parameter = next(self.model_.parameters())
        if dtype == np.float64 and parameter.dtype is torch.float32:
            return double_of(self.model_), parameter.device, torch.float64
        return self.model_, parameter.device, parameter.dtype

    def _sk_visual_block_(self):
        if hasattr(self, "model_"):
            return visual_block(self)
        return _VisualBlock("single", self, names=type(self).__name__, name_details=str(self))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __sklearn_clone__(self):
        clone = _clone_parametrized(self)
        clone._is_clone = True  # see data/validation.py: a clone refuses lists of modalities
        return clone

    def __getstate__(self):
        state = super().__getstate__()
        model: nn.Module | None = state.get("model_")
        if model is not None and next(model.parameters()).device.type != "cpu":
            state = {**state, "model_": copy.deepcopy(model).cpu()}
        return state
