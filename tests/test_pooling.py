"""Estimators that are fitted to several imputations."""

import numpy as np
import pytest
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from skpoe.imputation import PooledEstimator, pool


def imputations(m=4, n_rows=40):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(n_rows, 3))
    y = whole @ [1.0, -2.0, 0.0] + 0.3 * rng.normal(size=n_rows)
    several = [whole.copy() for _ in range(m)]
    for X in several:
        X[::4, 0] += 0.5 * rng.normal(size=len(X[::4]))
    return several, y


def test_coefficients_are_pooled_by_the_formulas_of_least_squares_and_rubin():
    several, y = imputations()
    estimates, variances = [], []
    for X in several:
        design = np.column_stack([X, np.ones(len(X))])
        beta, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
        estimates.append(beta[:3])
        variances.append((rest / (len(X) - 4) * np.linalg.inv(design.T @ design).diagonal())[:3])
    pooled = PooledEstimator(LinearRegression()).fit(several, y).pool()
    for ours, theirs in zip(pooled, pool(estimates, variances), strict=True):
        np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_standard_errors_are_those_of_scipy_where_nothing_is_missing(fit_intercept):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 1))
    y = 2 * X[:, 0] + rng.normal(size=30)
    pooled = (
        PooledEstimator(LinearRegression(fit_intercept=fit_intercept)).fit([X, X, X], y).pool()
    )
    assert pooled.missing_share == 0
    if fit_intercept:
        line = stats.linregress(X[:, 0], y)
        np.testing.assert_allclose(pooled.estimate[0], line.slope)
        np.testing.assert_allclose(pooled.variance[0], line.stderr**2)
    else:
        slope = X[:, 0] @ y / (X[:, 0] @ X[:, 0])
        noise = np.square(y - slope * X[:, 0]).sum() / 29
        np.testing.assert_allclose(pooled.variance[0], noise / (X[:, 0] @ X[:, 0]))


def test_estimates_and_variances_of_ones_own():
    several, y = imputations()
    pooled = PooledEstimator(Ridge()).fit(several, y)
    said = pooled.pool(lambda made: made.intercept_, lambda made, X, y: 0.25)
    np.testing.assert_allclose(said.estimate, np.mean([e.intercept_ for e in pooled.estimators_]))
    assert said.variance > 0.25


def test_predictions_are_averaged():
    several, y = imputations()
    pooled = PooledEstimator(LinearRegression()).fit(several, y)
    each = [LinearRegression().fit(X, y).predict(X) for X in several]
    np.testing.assert_allclose(pooled.predict(several), np.mean(each, axis=0))


def test_classes_are_the_most_probable_ones_or_those_with_most_votes():
    several, y = imputations(5)
    names = np.where(y > 0, "up", "down")
    pooled = PooledEstimator(LogisticRegression()).fit(several, names)
    chances = np.mean(
        [e.predict_proba(X) for e, X in zip(pooled.estimators_, several, strict=True)], 0
    )
    np.testing.assert_allclose(pooled.predict_proba(several), chances)
    np.testing.assert_array_equal(pooled.predict(several), pooled.classes_[chances.argmax(1)])
    votes = PooledEstimator(LinearSVC(random_state=0)).fit(several, names)
    assert not hasattr(votes, "predict_proba")
    ups = sum(e.predict(X) == "up" for e, X in zip(votes.estimators_, several, strict=True))
    np.testing.assert_array_equal(votes.predict(several) == "up", ups >= 3)


def test_what_is_asked_for_wrongly_is_told():
    several, y = imputations()
    pooled = PooledEstimator(LinearRegression()).fit(several, y)
    with pytest.raises(ValueError, match="fit had 4 imputations; got 2"):
        pooled.predict(several[:2])
    with pytest.raises(TypeError, match="must be a list of tables"):
        pooled.fit(several[0], y)
    with pytest.raises(ValueError, match="pass variance"):
        PooledEstimator(LogisticRegression()).fit(several, y > 0).pool()
    with pytest.raises(ValueError, match="pass variance"):
        PooledEstimator(KMeans(2, random_state=0)).fit(several).pool()
    with pytest.raises(ValueError, match="coef_ of LinearRegression alone"):
        PooledEstimator(Ridge()).fit(several, y).pool()
    with pytest.raises(ValueError, match="coef_ of LinearRegression alone"):
        PooledEstimator(LinearRegression()).fit(several, y, sample_weight=np.abs(y)).pool()
    with pytest.raises(ValueError, match="2 rows leave nothing"):
        PooledEstimator(LinearRegression()).fit([X[:2] for X in several], y[:2]).pool()
