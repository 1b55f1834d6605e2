"""An imputer for pipelines, what to do with several imputations, and honest intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from ._compat import ADAPTERS_MANAGER, _clone_parametrized, _get_output_config
from .data.layout import Layout
from .estimators import MIWAE
from .pooling import Pooled, PooledEstimator, pool

_ROUNDING = 1e-9  # of .9 / (1 - .9), and of sums of shares

__all__ = ["ConformalIntervals", "MultimodalImputer", "Pooled", "PooledEstimator", "pool"]


class MultimodalImputer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Fill in missing entries inside a Pipeline, as ``SimpleImputer`` does.

    Parameters
    ----------
    estimator : estimator of this library, default=None
        Its clone is trained and asked; ``MIWAE()`` when None.
    sample : bool, default=False
        Whether to fill in one draw (``impute``) instead of the mean (``predict_missing``).
    add_indicator : bool, default=False
        Whether columns of 0 and 1 follow that say what was missing, for each column that lacked
        something in ``fit``. For one table.

    Attributes
    ----------
    estimator_ : estimator
        The trained clone.
    indicator_ : MissingIndicator or None
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a DataFrame.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.imputation import MultimodalImputer
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(80, 1)) + 0.3 * rng.normal(size=(80, 5))
    >>> y = X.sum(1)
    >>> X[rng.uniform(size=X.shape) < 0.3] = np.nan
    >>> imputer = MultimodalImputer(MultimodalFactorAnalysis(), add_indicator=True)
    >>> pipe = make_pipeline(imputer, Ridge()).fit(X, y)
    >>> pipe[0].transform(X).shape, pipe.score(X, y) > 0.9
    ((80, 10), True)
    """

    def __init__(
        self, estimator: Any = None, *, sample: bool = False, add_indicator: bool = False
    ) -> None:
        self.estimator = estimator
        self.sample = sample
        self.add_indicator = add_indicator

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> MultimodalImputer:
        """Train the estimator.

        Parameters
        ----------
        X : array or DataFrame; list, tuple or dict of tables; Modalities
            NaN where missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        estimator = MIWAE() if self.estimator is None else clone(self.estimator)
        # lists of modalities are refused where they would be split: by clones of this imputer
        estimator._is_clone = getattr(self, "_is_clone", False)
        estimator.fit(X, sample_weight=sample_weight)
        indicator = None
        if self.add_indicator:
            if not estimator._layout.is_table:
                raise ValueError(
                    "add_indicator=True is for one table; X has several. Set modalities= of the "
                    "estimator, or add_indicator=False."
                )
            indicator = MissingIndicator(error_on_new=False).fit(_holes(X))
        self.estimator_, self.indicator_ = estimator, indicator
        self.n_features_in_ = estimator.n_features_in_
        vars(self).pop("feature_names_in_", None)
        if hasattr(estimator, "feature_names_in_"):
            self.feature_names_in_ = estimator.feature_names_in_
        return self

    def transform(self, X: Any) -> Any:
        """Fill in what is missing.

        Parameters
        ----------
        X : as in ``fit``

        Returns
        -------
        X_filled : ndarray, or the type of X where it is several tables
            Without NaN. Of floats, unless some column holds words. After ``set_output``, one table
            is a DataFrame; of a DataFrame, its columns keep their dtypes.
        """
        check_is_fitted(self)
        filled = (
            self.estimator_.impute(X, 1)[0] if self.sample else self.estimator_.predict_missing(X)
        )
        layout = self.estimator_._layout
        if not layout.is_table:
            return filled
        container = _get_output_config("transform", self)["dense"]
        keeps = container == "pandas" and isinstance(filled, pd.DataFrame)
        if not keeps:
            filled = _array(filled, layout)
        if self.indicator_ is not None:
            missing = _dense(self.indicator_.transform(_holes(X)))
            if keeps:
                missing = pd.DataFrame(missing.astype(float), index=filled.index)
                filled = pd.concat([filled, missing], axis=1)
            else:
                filled = np.hstack([filled, missing.astype(filled.dtype)])
        if container == "default":
            return filled
        names, adapter = self.get_feature_names_out, ADAPTERS_MANAGER.adapters[container]
        return adapter.create_container(filled, X, columns=names)

    def set_output(self, *, transform: str | None = None) -> MultimodalImputer:
        """Choose what one table is given as; several are always given as they came.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            None changes nothing.

        Returns
        -------
        self : object
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of the result, those of the indicator last."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        if self.indicator_ is None:
            return names
        return np.concatenate([names, self.indicator_.get_feature_names_out(names)])

    def __sklearn_clone__(self) -> MultimodalImputer:
        twin = _clone_parametrized(self)
        twin._is_clone = True
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


def _dense(table: Any) -> np.ndarray:
    return table.toarray() if hasattr(table, "toarray") else np.asarray(table)


def _array(filled: Any, layout: Layout) -> np.ndarray:
    """Give a filled table as an array, of numbers if no column holds words."""
    codings = layout.codings[0] if layout.codings else None
    is_worded = any(coding.kind == "levels" for coding in codings or ())
    array = _dense(filled)
    if array.dtype != object or is_worded:
        return array
    return filled.to_numpy(dtype=float, na_value=np.nan)


def _holes(X: Any) -> Any:
    """Give what an indicator can read: it knows no dtype of pandas that is not of numpy."""
    if not isinstance(X, pd.DataFrame):
        return X
    return pd.DataFrame(np.where(X.isna(), np.nan, 0.0), index=X.index, columns=X.columns)


class ConformalIntervals(BaseEstimator):
    r"""Intervals of missing entries that cover as often as they say, whatever the model.

    Intervals of a fitted estimator are stretched about their middle by a factor for each modality,
    so that on calibration rows, whose missing entries are known, as many are covered as should
    be. If calibration rows and new rows are alike, in their holes too, a missing entry of a new
    row is then covered with at least the nominal probability. Entries of one row need not be
    independent: each row counts as one, however many of its entries are missing.

    Parameters
    ----------
    estimator : fitted estimator of this library
        Trained without the calibration rows.
    coverage : float, default=0.9
        Nominal probability, between 0 and 1.

    Attributes
    ----------
    stretch_ : dict of float
        By modality: the factor on the half widths of intervals.

    References
    ----------
    Conformalized quantile regression (Romano, Patterson & Candes, 2019),
    https://arxiv.org/abs/1905.03222, equations 6 to 8; here scores are relative to the width.

    Distribution-free inference with hierarchical data (Lee, Barber & Willett, 2023),
    https://arxiv.org/abs/2306.06342: rows as groups of entries.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.imputation import ConformalIntervals
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(300, 1))
    >>> rna, protein = z + rng.normal(size=(300, 4)), z + rng.standard_t(3, size=(300, 2))
    >>> est = MultimodalFactorAnalysis().fit([rna[:100], protein[:100]])
    >>> intervals = ConformalIntervals(est, coverage=0.8)
    >>> _ = intervals.fit([rna[100:200], None], [rna[100:200], protein[100:200]])
    >>> low, high = intervals.predict([rna[200:], None])
    >>> bool(abs(((low[1] <= protein[200:]) & (protein[200:] <= high[1])).mean() - 0.8) < 0.1)
    True
    """

    def __init__(self, estimator: Any, *, coverage: float = 0.9) -> None:
        self.estimator = estimator
        self.coverage = coverage

    def fit(self, X: Any, truth: Any) -> ConformalIntervals:
        """Find how far intervals must be stretched.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            Calibration rows with the holes that new rows will have.
        truth : same type as X
            The same rows with what is known of those holes; what is NaN here too does not count.

        Returns
        -------
        self : object
        """
        source, told = self.estimator._read_beside(X, truth)
        ends = self.estimator._intervals(source, self.coverage)
        stretch = {}
        for name, x, a, b, known in zip(
            self.estimator.modality_names_, source[:], *ends, told[:], strict=True
        ):
            counted = np.isnan(x) & ~np.isnan(known) & ~np.isnan(a)  # levels may have no order
            half, middle = 0.5 * (b - a)[counted], 0.5 * (a + b)[counted]
            gap = np.abs(known[counted] - middle)
            scores = np.where(gap == 0, 0.0, gap / np.where(half > 0, half, np.nan))
            scores = np.nan_to_num(scores, nan=np.inf)
            if not len(scores):
                continue
            n_entries = counted.sum(1)
            n_rows = np.count_nonzero(n_entries)
            needed = _least_whole(self.coverage / (1 - self.coverage))
            if n_rows < needed:
                raise ValueError(
                    f"Modality '{name}' has {n_rows} calibration rows with entries that are "
                    f"missing in X and known in truth; coverage={self.coverage} needs at least "
                    f"{needed}."
                )
            # a row to come has as much weight as each of these, and may score anything
            weight = 1 / ((n_rows + 1) * n_entries[np.nonzero(counted)[0]])
            order = np.argsort(scores)
            enough = weight[order].cumsum() >= self.coverage - _ROUNDING
            stretch[name] = float(scores[order][np.argmax(enough)])
        if not stretch:
            raise ValueError("No entry is missing in X and known in truth: nothing to learn from.")
        self.stretch_ = stretch
        return self

    def predict(self, X: Any) -> tuple[Any, Any]:
        """Give intervals of what is missing.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame

        Returns
        -------
        low, high : same type as X
            Observed entries are as they came. A modality of which calibration rows lacked nothing
            has the intervals of the estimator.
        """
        check_is_fitted(self)
        given = self.estimator._intervals(self.estimator._read(X), self.coverage)
        ends: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for name, likelihood, a, b in zip(
            self.estimator.modality_names_, self.estimator.model_.likelihoods, *given, strict=True
        ):
            stretch, half, middle = self.stretch_.get(name, 1.0), 0.5 * (b - a), 0.5 * (a + b)
            # without bound where no factor is enough, of intervals without width too
            half = half * stretch if np.isfinite(stretch) else half + np.inf
            stretched = [torch.from_numpy(end) for end in (middle - half, middle + half)]
            for end, told in zip(ends, likelihood.interval(*stretched), strict=True):
                end.append(told.numpy())
        renew = self.estimator._layout.renew
        new_low, new_high = (renew(X, end, missing_only=True) for end in ends)
        return new_low, new_high


def _least_whole(number: float) -> int:
    """Round up, but for what rounding has added: .9 / (1 - .9) is 9."""
    return math.ceil(number - _ROUNDING)
