"""Data at the ends of what numbers can be: finite answers of the right shape."""

import itertools
import warnings

import numpy as np
import pytest
from small import FAST, KINDS, small

from skpoe import MIWAE, MultimodalFactorAnalysis, PoEVAE

MAKE = {
    cls.__name__: lambda cls=cls, **p: small(cls, **FAST | {"max_iter": 1} | p) for cls in KINDS
}
BRIEF = {name: value for name, value in FAST.items() if name != "latent_dim"} | {"max_iter": 1}
GIVEN = {"latent_dim": 2, "shrinkage": 0.1, "start_weight": 0.0}
MAKE |= {
    "PoEVAE, started": lambda **p: PoEVAE(**BRIEF | GIVEN | {"trust": 1.0} | p),
    "MIWAE, started": lambda **p: MIWAE(**BRIEF | GIVEN | p),
    "factor analysis": lambda **p: MultimodalFactorAnalysis(**{"tol": 0.1, "n_threads": 1} | p),
}
# and with a start that held-out rows choose, which takes longer: of what is hard for it alone
CHOSEN = {"PoEVAE, as it comes": lambda: PoEVAE(**BRIEF)}
every_kind = pytest.mark.parametrize("kind", MAKE)
N = 12


def usual(n=N):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, 1))
    return {"rna": z + rng.normal(size=(n, 3)), "adt": z + rng.normal(size=(n, 2))}


def with_holes(X):
    X = {name: x.copy() for name, x in X.items()}
    X["rna"][0] = X["adt"][1, 0] = np.nan
    return X


def changed(change):
    return with_holes({name: change(x) for name, x in usual().items()})


def outlier():
    X = with_holes(usual())
    X["rna"][3, 1] = 1e6
    return X


def nearly_all_missing():
    """Of 2,000 columns only one is observed."""
    X = usual()
    X["rna"] = np.where(np.arange(2000) == 7, X["rna"][:, :1], np.nan)
    return X


EXTREMES = {
    "scale 1e-12": lambda: changed(lambda x: x * 1e-12),
    "scale 1e12": lambda: changed(lambda x: x * 1e12),
    "scales side by side": lambda: changed(lambda x: x * np.array([1e-12, 1e12, 1])[: x.shape[1]]),
    "far from zero": lambda: changed(lambda x: x + 1e12),
    "outlier": outlier,
    "one row, repeated": lambda: changed(lambda x: np.repeat(x[:1], N, axis=0)),
    "two rows": lambda: changed(lambda x: x[:2]),
    "one column": lambda: changed(lambda x: x[:, :1]),
    "all equal": lambda: changed(lambda x: np.full_like(x, 3.0)),
    "all zero": lambda: changed(np.zeros_like),
    "float32": lambda: changed(lambda x: (x * 1e12).astype(np.float32)),
}
# units come off before anything is chosen
HARD_TO_CHOOSE = ["outlier", "one row, repeated", "two rows", "one column", "all equal"]


def assert_finite_answers(est, X):
    n_rows = len(X["adt"])
    Z, scores, filled = est.transform(X), est.score_samples(X), est.predict_missing(X)
    assert Z.shape == (n_rows, est.latent_dim_)
    assert scores.shape == (n_rows,)
    assert np.isfinite(Z).all()
    assert np.isfinite(scores).all()
    for name, x in X.items():
        assert filled[name].shape == x.shape
        assert np.isfinite(filled[name]).all()
        shown = ~np.isnan(x)
        np.testing.assert_array_equal(filled[name][shown], x[shown])
    return filled


@pytest.mark.parametrize(
    ("kind", "extreme"),
    [*itertools.product(MAKE, EXTREMES), *itertools.product(CHOSEN, HARD_TO_CHOOSE)],
)
def test_answers_are_finite(kind, extreme):
    X = EXTREMES[extreme]()
    filled = assert_finite_answers((MAKE | CHOSEN)[kind]().fit(X), X)
    for name, x in X.items():  # and no larger than what was seen calls for
        largest = np.nanmax(np.abs(x), axis=0)
        largest[largest == 0] = 1.0  # the unit of a column of zeros
        assert (np.abs(filled[name]) <= 10 * largest).all()


@every_kind
def test_more_latent_variables_than_features(kind):
    X = with_holes(usual())
    assert_finite_answers(MAKE[kind](latent_dim=20).fit(X), X)


@pytest.mark.parametrize("kind", [cls.__name__ for cls in KINDS])  # others take longer to start
def test_one_column_of_many_is_observed(kind):
    X = nearly_all_missing()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some columns have no observed value")
        est = MAKE[kind]().fit(X)
    assert_finite_answers(est, X)


@every_kind
def test_odd_rows_after_fit(kind):
    est = MAKE[kind]().fit(usual())
    for value in (1e6, -1e20, 1e100):
        X = with_holes(usual(4))
        X["rna"][3, 1] = value
        assert_finite_answers(est, X)
    for row in (0, 1):
        assert_finite_answers(est, {name: x[[row]] for name, x in with_holes(usual()).items()})


@every_kind
def test_units_do_not_matter(kind):
    """Times a power of two, so that nothing is rounded."""
    X = with_holes(usual())
    est = MAKE[kind]().fit(X)
    n_shown = sum((~np.isnan(x)).sum(axis=1) for x in X.values())
    for power in (-40, 40):
        scaled = {name: x * 2.0**power for name, x in X.items()}
        other = MAKE[kind]().fit(scaled)
        np.testing.assert_allclose(other.transform(scaled), est.transform(X), rtol=1e-6, atol=1e-9)
        expected = est.score_samples(X) - n_shown * power * np.log(2.0)
        np.testing.assert_allclose(other.score_samples(scaled), expected, rtol=1e-6)


@every_kind
@pytest.mark.parametrize("value", [1e6, 1e20, -1e30])
def test_far_rows_in_single_precision_score_as_in_double(kind, value):
    single = {} if kind == "factor analysis" else {"dtype": "float32"}
    est = MAKE[kind](**single).fit(usual())
    X = {name: x.astype(np.float32) for name, x in with_holes(usual(4)).items()}
    X["rna"][3, 1] = value
    assert_finite_answers(est, X)
    double = est.score_samples({name: x.astype(np.float64) for name, x in X.items()})
    np.testing.assert_allclose(est.score_samples(X), double, rtol=1e-4, atol=1e-4)
