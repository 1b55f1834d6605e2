"""The face that every estimator shares."""

from __future__ import annotations

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
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
from sklearn.utils.metadata_routing import UNUSED
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
from ..metrics import importance_log_likelihood
from ..model import MultimodalVAE
from ..random import RowNoise
from ..threads import limit_threads
from .acquiring import AcquisitionMixin
from .conditioning import ConditioningMixin
from .double import double_of
from .fitting import all_or_nothing, draw_seed
from .imputing import ImputationMixin
from .naming import show_only
from .predicting import PredictionMixin
from .reading import check_weights
from .reporting import ReportingMixin
from .saving import SavingMixin
from .summary import visual_block
from .writing import Filled, Given, New


class BaseMultimodal(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    PredictionMixin,
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
    # an array to write to is nothing that is known of rows
    __metadata_request__transform = {"out": UNUSED}

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
            or DataFrame is one modality, or several if ``modalities`` says so. A map-style
            Dataset of torch gives a tuple or dict of modalities for each row.
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

    def transform(self, X, *, given=None, out=None):
        """Infer the posterior mean of the latent variables from what each row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        given : str, int, sequence of them or None, default=None
            Names (as in ``modality_names_``) or positions of the modalities that are read; all
            when None.
        out : array-like of shape (n_samples, latent_dim), default=None
            Where to write the result, chunk by chunk, so that it may be larger than memory: an
            ndarray, ``np.memmap``, dataset of h5py or array of zarr.

        Returns
        -------
        Z : ndarray of shape (n_samples, latent_dim)
            ``out``, if there is one. A row that shows nothing has the mean of the prior: zero,
            unless it is a mixture.

        Raises
        ------
        ValueError
            If a name is unknown, or ``out`` has another shape; before anything is written.
        TypeError
            If ``out`` is no array that holds floats.
        """

        def posterior_mean(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [model.posterior(batch, noise=noise).mean()]

        source = show_only(self, self._read(X), given)
        container = _get_output_config("transform", self)["dense"]
        if out is not None:
            if container != "default":
                raise ValueError(
                    f"out is an array to write to, but set_output asks for {container}. Call "
                    "set_output(transform='default'), or pass no out."
                )
            shape = len(source), self.latent_dim_
            self._predict(source, posterior_mean, into=Given(out, shape, source.dtype))
            return out
        Z = self._predict(source, posterior_mean)[0]
        if container != "pandas":
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

    def predict_missing(self, X, *, out=None):
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
        out : array-like, or list or dict of (array-like or None), default=None
            Where to write the result, chunk by chunk: an array of the shape of each modality, as
            in ``transform``, in order or by name, or one where X is one table. A modality whose
            array is None is not filled in.

        Returns
        -------
        X_filled : same type as X
            ``out``, if there is one; else a copy. Observed entries are returned as they came.

        Raises
        ------
        ValueError
            If ``out`` has other modalities or another shape, or columns hold what is no number;
            before anything is written.
        TypeError
            If ``out`` is no array that holds floats.
        """
        return self._filled(X, out, missing_only=True)

    def reconstruct(self, X, *, out=None):
        """Give the mean of every entry, also of observed ones, given what the row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``predict_missing``.
        out : array-like, or list or dict of (array-like or None), default=None
            As in ``predict_missing``.

        Returns
        -------
        X_mean : same type as X
            ``out``, if there is one. Computed as in ``predict_missing``.
        """
        return self._filled(X, out, missing_only=False)

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

    def score_samples(self, X, *, out=None):
        """Estimate the log-likelihood of what each row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        out : array-like of shape (n_samples,), default=None
            Where to write the result, as in ``transform``.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            ``out``, if there is one. Importance-weighted lower bound with
            ``n_importance_samples`` draws, in nats, summed over all observed features, in the
            units of the data. Zero where nothing is observed.
        """
        source = self._read(X)
        if out is None:
            return self._bounds(source)
        self._bounds(source, Given(out, (len(source),), source.dtype))
        return out

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

    def _bounds(self, source: Source, into: Given | None = None) -> Any:
        n_draws = self.n_importance_samples

        def bound(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            value = importance_log_likelihood(model, batch, noise, n_draws)
            far = ~value.isfinite()
            if far.any() and value.dtype is not torch.float64:  # squares overflowed
                value, rows = value.double(), batch[far].to(dtype=torch.float64)
                double = double_of(model)
                value[far] = importance_log_likelihood(double, rows, noise[far], n_draws)
            return [value]

        into = New(len(source), np.dtype(np.float64)) if into is None else into
        return self._predict(source, bound, n_draws, into=into)[0]

    def _filled(self, X: Any, out: Any, *, missing_only: bool) -> Any:
        source = self._read(X)
        if out is not None:
            into = Filled(out, self._layout, len(source), source.dtype, missing_only=missing_only)
            self._means(source, into.wanted, missing_only=missing_only, into=into)
            return out
        new = self._means(source, range(len(source.widths)), missing_only=missing_only)
        return self._layout.renew(X, new, missing_only=missing_only)

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
