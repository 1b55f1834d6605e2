"""What several imputations say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.linear_model import LinearRegression
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


class Pooled(NamedTuple):
    """What several imputations say together.

    Parameters
    ----------
    estimate : ndarray
        Mean of the estimates.
    variance : ndarray
        Of the estimate: what sampling and what missing values leave open.
    df : ndarray
        Degrees of freedom of its Student-t interval.
    missing_share : ndarray
        Share of the variance that is due to missing values.
    """

    estimate: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    missing_share: np.ndarray


def pool(estimates: Any, variances: Any) -> Pooled:
    r"""Pool estimates from several imputations by Rubin's rules.

    With U the mean of the variances and B the variance of the m estimates, the variance of their
    mean is :math:`T = U + (1 + 1/m) B`, with :math:`(m - 1) (T / (T - U))^2` degrees of freedom.

    Parameters
    ----------
    estimates : array-like of shape (m, ...)
        What was estimated on each imputation, a coefficient, say.
    variances : array-like of the same shape
        Squared standard errors of each, as if its imputation were complete data.

    Returns
    -------
    pooled : Pooled

    See Also
    --------
    PooledEstimator : Fits an estimator to each imputation.

    References
    ----------
    Multiple imputation for nonresponse in surveys (Rubin, 1987), equations 3.1.2 to 3.1.6.

    Examples
    --------
    >>> from skpoe.imputation import pool
    >>> pooled = pool([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    >>> float(pooled.estimate), round(float(pooled.variance), 3), round(float(pooled.df), 2)
    (2.0, 1.833, 3.78)
    """
    estimates, variances = (np.asarray(x, dtype=float) for x in (estimates, variances))
    if estimates.shape != variances.shape or len(np.atleast_1d(estimates)) < 2:
        raise ValueError(
            "pool needs the estimates and variances of at least two imputations, in arrays of the "
            f"same shape; got shapes {estimates.shape} and {variances.shape}."
        )
    m = len(estimates)
    within, between = variances.mean(0), (1 + 1 / m) * estimates.var(0, ddof=1)
    total = within + between
    ratio = np.divide(total, between, out=np.full_like(total, np.inf), where=between > 0)
    df = (m - 1) * np.square(ratio)
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return Pooled(estimates.mean(0), total, df, share)


def _says_probabilities(pooled: PooledEstimator) -> bool:
    return hasattr(pooled.estimator, "predict_proba")


class PooledEstimator(MetaEstimatorMixin, BaseEstimator):
    """One estimator for each of several imputations, and what they say together.

    Parameters
    ----------
    estimator : estimator
        Any of scikit-learn's; it is cloned for each imputation.

    Attributes
    ----------
    estimators_ : list of estimators
        One an imputation.
    classes_ : ndarray
        Of a classifier.

    See Also
    --------
    skpoe.imputation.MultimodalImputer : One imputation, inside a pipeline.

    References
    ----------
    Multiple imputation for nonresponse in surveys (Rubin, 1987), equations 3.1.2 to 3.1.6.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.imputation import PooledEstimator
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 4))
    >>> y = X[:, 0] + rng.normal(size=200)
    >>> X[::3, 0] = np.nan
    >>> draws = MultimodalFactorAnalysis(random_state=0).fit(X).impute(X, n_imputations=5)
    >>> pooled = PooledEstimator(LinearRegression()).fit(draws, y)
    >>> pooled.predict(draws).shape
    (200,)
    >>> coefficient = pooled.pool()
    >>> bool(abs(coefficient.estimate[0] - 1.0) < 2 * coefficient.variance[0] ** 0.5)
    True
    """

    estimators_: list[Any]

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, imputations: Sequence[Any], y: Any = None, **fit_params: Any) -> PooledEstimator:
        """Fit a clone to each imputation.

        Parameters
        ----------
        imputations : list of m tables
            What ``impute`` of an estimator of this library gives.
        y : array-like of shape (n_samples,), default=None
        **fit_params : object
            Passed on to each ``fit``.

        Returns
        -------
        self : object
        """
        several = _several(imputations)
        self.estimators_ = [clone(self.estimator).fit(X, y, **fit_params) for X in several]
        self._seen = [(X, y) for X in several]
        self._is_weighted = bool(fit_params)
        if is_classifier(self.estimator):
            self.classes_ = self.estimators_[0].classes_
        return self

    def predict(self, imputations: Sequence[Any]) -> np.ndarray:
        """Average what the estimators predict, each from its imputation.

        Parameters
        ----------
        imputations : list of m tables
            As many as in ``fit``. For complete rows, the same table m times.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Of classifiers, the class that is most probable on average; of those without
            probabilities, the one that most predict.
        """
        if not is_classifier(self.estimator):
            return np.mean(self._each("predict", imputations), axis=0)
        if _says_probabilities(self):
            return self.classes_[self.predict_proba(imputations).argmax(axis=1)]
        votes = [said[:, None] == self.classes_ for said in self._each("predict", imputations)]
        return self.classes_[np.sum(votes, axis=0).argmax(axis=1)]

    @available_if(_says_probabilities)
    def predict_proba(self, imputations: Sequence[Any]) -> np.ndarray:
        """Average probabilities of classes: (n_samples, n_classes)."""
        return np.mean(self._each("predict_proba", imputations), axis=0)

    def pool(
        self,
        estimate: Callable[[Any], Any] | None = None,
        variance: Callable[[Any, Any, Any], Any] | None = None,
    ) -> Pooled:
        """Pool what the estimators have learned by Rubin's rules.

        Parameters
        ----------
        estimate : callable, default=None
            From a fitted estimator to numbers; its ``coef_`` when None.
        variance : callable, default=None
            From a fitted estimator and the X and y that it was fitted to, to squared standard
            errors of these. When None, those of coefficients of linear least squares.

        Returns
        -------
        pooled : Pooled
        """
        check_is_fitted(self)
        # shrunken or weighted coefficients have other errors than those of least squares
        plain = type(self.estimator) is LinearRegression and not self.estimator.positive
        if variance is None and (estimate is not None or not plain or self._is_weighted):
            raise ValueError(
                "Standard errors are known here for the coef_ of LinearRegression alone; pass "
                "variance, a callable (estimator, X, y) -> squared standard errors."
            )
        read = (lambda made: made.coef_) if estimate is None else estimate
        judge = _of_least_squares if variance is None else variance
        estimates = [read(made) for made in self.estimators_]
        return pool(
            estimates,
            [judge(made, *seen) for made, seen in zip(self.estimators_, self._seen, strict=True)],
        )

    def _each(self, method: str, imputations: Sequence[Any]) -> list[np.ndarray]:
        check_is_fitted(self)
        several = _several(imputations)
        if len(several) != len(self.estimators_):
            raise ValueError(
                f"fit had {len(self.estimators_)} imputations; got {len(several)}. Impute new "
                "rows as often, or give complete rows once for each."
            )
        pairs = zip(self.estimators_, several, strict=True)
        return [getattr(made, method)(X) for made, X in pairs]


def _several(imputations: Any) -> list[Any]:
    if not isinstance(imputations, (list, tuple)) or not len(imputations):
        raise TypeError(
            "imputations must be a list of tables, as impute(X, n_imputations=m) gives; got "
            f"{type(imputations).__name__}."
        )
    return list(imputations)


def _of_least_squares(made: Any, X: Any, y: Any) -> np.ndarray:
    """Squared standard errors of the coefficients of a least-squares fit with normal noise."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    design = np.column_stack([X, np.ones(len(X))]) if made.fit_intercept else X
    left = len(design) - design.shape[1]
    if left <= 0:
        raise ValueError(
            f"{len(design)} rows leave nothing to judge {design.shape[1]} coefficients by."
        )
    noise = np.square(y - made.predict(X)).sum() / left
    return noise * np.diag(np.linalg.inv(design.T @ design))[: X.shape[1]]
