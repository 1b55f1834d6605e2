"""The face that every estimator shares."""

from __future__ import annotations

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from .._compat import Interval, StrOptions, _clone_parametrized, _fit_context
from ..data.batch import Batch
from ..data.validation import read
from ..likelihoods import Likelihood
from ..metrics import importance_log_likelihood
from ..model import MultimodalVAE
from ..nn import ACTIVATIONS
from ..objectives import Objective
from ..random import RowNoise, row_keys
from ..threads import limit_threads
from ..training import Plan, train
from .pieces import Pieces, make_likelihoods

# numbers that one chunk of a prediction may hold at once in its widest layer
_CHUNK = 2**22


class BaseVAE(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    DensityMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Base of all estimators: reads data, trains, predicts. A subclass composes the model."""

    _parameter_constraints: dict = {
        "latent_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "encoder": [callable, Mapping, list, tuple, None],
        "decoder": [callable, Mapping, list, tuple, None],
        "likelihood": [str, Likelihood, Mapping, list, tuple],
        "modalities": [Mapping, list, tuple, None],
        "covariance": [StrOptions({"auto", "diag", "full"})],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Integral, 0, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"one_cycle", "constant"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "dtype": [StrOptions({"float32", "float64"})],
        "device": [str, None, torch.device],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _auto_covariance = "diag"

    @abstractmethod
    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        """Put the model and its objective together."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Train on X.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            Tables of shape (n_samples, n_features), one a modality, NaN where missing. One array
            or DataFrame is one modality, or several if ``modalities`` says so.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with _all_or_nothing(self):
            self._fit(X)
        return self

    def _fit(self, X):
        arrays, layout = read(self, X)
        names, widths = layout.names, layout.widths
        likelihoods = make_likelihoods(self.likelihood, names)
        for name, likelihood, array in zip(names, likelihoods, arrays, strict=True):
            likelihood.check(array, name)
        seed = _draw_seed(self.random_state)
        dtype = getattr(torch, self.dtype)
        with limit_threads(self.n_threads):
            rows = Batch.from_arrays(arrays)
            for likelihood, value, mask in zip(likelihoods, rows.values, rows.masks, strict=True):
                likelihood.start(value, mask)
            pieces = Pieces(self, names, widths, likelihoods, seed)
            model, objective = self._compose(pieces)
            device = _find_device(self.device)
            model.to(device=device)
            if dtype is torch.float64:
                model.double()
            data = rows.map([likelihood.standardise for likelihood in likelihoods])
            plan = Plan(
                max_iter=self.max_iter,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                learning_rate_init=self.learning_rate_init,
                weight_decay=self.weight_decay,
                kl_warmup=self.kl_warmup,
                seed=seed,
                verbose=int(self.verbose),
            )
            history = train(model, objective, data.to(device, dtype), plan, names)
        self._layout = layout
        self.modality_names_ = list(names)
        self.model_ = model
        self.latent_dim_ = pieces.latent_dim
        self.history_ = history
        self.loss_curve_ = [record["loss"] for record in history]
        self.n_iter_ = len(history)
        self._seed = seed
        self._n_features_out = pieces.latent_dim

    def transform(self, X):
        """Infer the posterior mean of the latent variables from what each row shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.

        Returns
        -------
        Z : ndarray of shape (n_samples, latent_dim_)
            Zeros in a row that shows nothing: the mean of the prior.
        """

        def posterior_mean(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [model.posterior(batch).mean()]

        return self._predict(self._read(X), posterior_mean)[0]

    def inverse_transform(self, Z):
        """Decode latent variables to the mean of each modality.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim_)

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
            means = [model.mean(z, m).cpu().numpy() for m in range(len(self.modality_names_))]
        return self._layout.new([mean.astype(Z.dtype) for mean in means])

    def predict_missing(self, X):
        r"""Fill in what is missing by its mean given what the row shows.

        .. math:: \mathbb{E}[x_{mis} \mid x_{obs}] \approx \frac{1}{K} \sum_k
            \mathbb{E}[x_{mis} \mid z_k], \quad z_k \sim q(z \mid x_{obs})

        with K = ``n_importance_samples`` draws in mirrored pairs, so that it is exact where the
        decoder is linear. Any pattern of missing entries in any row is served in one call.

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
            noise = RowNoise(_draw_seed(self.random_state), keys).fold("sample")
            z = model.prior.sample(noise)
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

        def bound(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [importance_log_likelihood(model, batch, noise, self.n_importance_samples)]

        scores = self._predict(self._read(X), bound, self.n_importance_samples)[0]
        return scores.astype(np.float64)

    def score(self, X, y=None):
        """Return the mean of ``score_samples``: nats per sample.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        y : None
            Ignored.

        Returns
        -------
        log_likelihood : float
        """
        return float(np.mean(self.score_samples(X)))

    def _read(self, X: Any) -> list[np.ndarray]:
        check_is_fitted(self)
        return read(self, X, self._layout)[0]

    def _filled(self, X: Any, *, missing_only: bool) -> Any:
        arrays = self._read(X)
        n_draws = self.n_importance_samples

        def means(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            posterior = model.posterior(batch)
            z = posterior.rsample(n_draws, noise.fold("fill"), antithetic=True)
            filled = []
            for m, (value, mask) in enumerate(zip(batch.values, batch.masks, strict=True)):
                rows = ~mask.all(-1) if missing_only else torch.ones_like(mask[:, 0])
                decoded = model.mean(z[:, :, rows], m).mean(0)  # (S, rows, F)
                weights = posterior.log_weights[:, rows, None].exp()
                mean = value.new_full(value.shape, torch.nan, dtype=decoded.dtype)
                mean[rows] = (weights * decoded).sum(0)
                filled.append(mean)
            return filled

        new = self._predict(arrays, means, n_draws)
        return self._layout.renew(X, new, missing_only=missing_only)

    def _predict(
        self,
        arrays: list[np.ndarray],
        function: Callable[[MultimodalVAE, Batch, RowNoise], list[Tensor]],
        n_draws: int = 1,
    ) -> list[np.ndarray]:
        """Run a function over chunks of rows; every prediction from data goes through here.

        Its randomness belongs to the rows, so chunks, order and company do not change a result.
        """
        model, device, dtype = self._model_for(arrays[0].dtype)
        standardise = [likelihood.standardise for likelihood in model.likelihoods]
        widest = max(*self._layout.widths, *self.hidden_layer_sizes, self.latent_dim_)
        size = max(1, _CHUNK // (widest * n_draws))
        parts = []
        with torch.no_grad(), limit_threads(self.n_threads):
            for start in range(0, len(arrays[0]), size):
                raw = Batch.from_arrays([array[start : start + size] for array in arrays])
                batch = raw.map(standardise).to(device, dtype)
                noise = RowNoise(self._seed, row_keys(raw.values, raw.masks).to(device))
                parts.append([t.cpu().numpy() for t in function(model, batch, noise)])
        joined = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
        return [array.astype(arrays[0].dtype, copy=False) for array in joined]

    def _model_for(self, dtype: np.dtype) -> tuple[MultimodalVAE, torch.device, torch.dtype]:
        """Return the model in the precision of the data, if that is the higher one."""
        parameter = next(self.model_.parameters())
        if dtype == np.float64 and parameter.dtype is torch.float32:
            return copy.deepcopy(self.model_).double(), parameter.device, torch.float64
        return self.model_, parameter.device, parameter.dtype

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
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


@contextmanager
def _all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Leave the estimator as it was if what happens inside fails."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _draw_seed(random_state: Any) -> int:
    """One integer from a random_state; None is fresh entropy, so the global state never moves."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _find_device(device: Any) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device("cpu" if device is None else device)
