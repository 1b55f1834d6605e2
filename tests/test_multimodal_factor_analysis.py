"""The estimator MultimodalFactorAnalysis against scipy, scikit-learn and closed forms."""

import linecache

import numpy as np
import pytest
import torch
from joint_gaussian import KINDS, conditional, divergence, log_prob, punch
from linear_gaussian import LinearGaussian
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError

from skpoe import MultimodalFactorAnalysis, load
from skpoe.factor_analysis import FLOOR, SHRINKAGES

pytestmark = pytest.mark.filterwarnings("ignore:The log-likelihood of")
EXACT = {"rtol": 0, "atol": 1e-9}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def world():
    return LinearGaussian(n=60)


def fitted(X, **params):
    params = {"latent_dim": 3, "shrinkage": 0.0, "max_iter": 30, **params}
    return MultimodalFactorAnalysis(**params).fit(X)


@every_kind
def test_every_answer_is_that_of_the_joint_gaussian(world, kind):
    """In the data's units, from ``mean_`` and ``get_covariance()`` alone."""
    X = [x * 30.0**m + 7 for m, x in enumerate(world.x)]
    X[0][9, 2] = 200.0  # how far out it is counts
    est = fitted(X)
    holed = punch(X, kind)
    flat, mean, covariance = np.hstack(holed), est.mean_, est.get_covariance()
    exact = log_prob(flat, mean, covariance)
    np.testing.assert_allclose(est.score_samples(holed), exact, **EXACT)
    latent, spreads = est.transform(holed), est.conditional_covariance(holed)
    filled = np.hstack(est.predict_missing(holed))
    means = np.hstack(est.reconstruct(holed))
    for n, row in enumerate(flat):
        o = ~np.isnan(row)
        gain = est.components_[:, o] @ np.linalg.inv(covariance[np.ix_(o, o)])
        np.testing.assert_allclose(latent[n], gain @ (row[o] - mean[o]), **EXACT)
        there, spread = conditional(row, mean, covariance)
        np.testing.assert_allclose(filled[n, ~o], there, rtol=1e-9)
        np.testing.assert_array_equal(filled[n, o], row[o])
        np.testing.assert_allclose(means[n], mean + latent[n] @ est.components_, rtol=1e-9)
        np.testing.assert_allclose(spreads[n], spread, rtol=1e-9, atol=1e-9)


def test_latent_variables_are_independent_given_everything(world):
    """The best known first."""
    est = fitted(world.x)
    information = est.components_ / est.noise_variance_ @ est.components_.T
    np.testing.assert_allclose(information, np.diag(np.diag(information)), **EXACT)
    assert (np.diff(np.diag(information)) < 0).all()


def test_features_without_noise_of_their_own_are_answered_exactly_too(world):
    """Their noise is at its floor, in the model as in what is reported of it."""
    x = world.x[0]
    X = [x, np.hstack([2 * x[:, :2], world.x[1]])]
    est = fitted(X, latent_dim=5)
    exact = log_prob(np.hstack(X), est.mean_, est.get_covariance())
    np.testing.assert_allclose(est.score_samples(X), exact, **EXACT)
    np.testing.assert_allclose(
        est.noise_variance_[[0, 4]] / np.hstack(X)[:, [0, 4]].var(0), FLOOR, rtol=1e-6
    )


def test_complete_data_are_as_likely_as_under_scikit_learn():
    world = LinearGaussian(widths=(5, 6), latent_dim=2, n=300, seed=2)
    X = np.hstack(world.x)
    theirs = SklearnFactorAnalysis(2, tol=1e-12, max_iter=5000, svd_method="lapack").fit(X)
    ours = fitted(world.x, latent_dim=2, tol=1e-11, max_iter=5000)
    assert ours.n_iter_ < 5000
    np.testing.assert_allclose(ours.score(world.x), theirs.score(X), rtol=0, atol=1e-7)
    np.testing.assert_allclose(ours.get_covariance(), theirs.get_covariance(), atol=1e-3)


@every_kind
def test_weights_are_repetitions_and_order_is_none(world, kind):
    X = punch(world.x, kind)
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 4, 60)
    order = rng.permutation(weight.sum())
    repeated = [np.repeat(x, weight, axis=0)[order] for x in X]
    a = fitted(X, shrinkage=0.1)
    a.fit(X, sample_weight=weight)
    b = fitted(repeated, shrinkage=0.1)
    np.testing.assert_allclose(a.get_covariance(), b.get_covariance(), **EXACT)
    np.testing.assert_allclose(a.mean_, b.mean_, **EXACT)
    np.testing.assert_allclose(a.loglike_, b.loglike_, **EXACT)
    np.testing.assert_allclose(a.transform(X), b.transform(X), atol=1e-7)
    unweighted = fitted(X, shrinkage=0.1)
    assert np.abs(unweighted.get_covariance() - a.get_covariance()).max() > 1e-2


@pytest.mark.parametrize("seed", [0, 1])
def test_half_of_the_entries_say_nearly_what_all_say(seed):
    """About what the covariance of complete rows says, which knows of no factors; and far more
    than the covariances of the rows that show both of two features."""
    world = LinearGaussian(widths=(6, 6), latent_dim=2, n=2000, seed=seed)
    W, b, s2, X = world.stacked((0, 1))
    truth = W @ W.T + np.diag(s2)
    complete = divergence(truth, np.cov(X.T))
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.5] = np.nan
    est = fitted(X, latent_dim=2, tol=1e-5, max_iter=500)
    shown = ~np.isnan(X)
    gap = np.where(shown, X - np.nanmean(X, axis=0), 0.0)
    pairwise = gap.T @ gap / (1.0 * shown.T @ shown)
    ours = divergence(truth, est.get_covariance())
    assert ours < 1.5 * complete
    assert ours < 0.3 * divergence(truth, pairwise)
    assert np.linalg.norm(est.get_covariance() - truth) < 0.9 * np.linalg.norm(pairwise - truth)
    deviation = np.sqrt(np.diag(truth) / shown.sum(0))
    assert (np.abs(est.mean_ - b) < 4 * deviation).all()


def odd(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 4)) + rng.normal(size=(12, 1))
    if name == "wide":
        return [rng.normal(size=(10, 300)), rng.normal(size=(10, 2))]
    if name == "column never seen":
        x[:, 2] = np.nan
    if name == "constant column":
        x[:, 1] = 1e6
    if name == "one feature":
        x = x[:, :1]
    if name == "repeated column":
        x[:, 3] = x[:, 0]
    return [x, x[:, :1] ** 2]


@pytest.mark.filterwarnings("ignore:Some columns have no observed value")
@pytest.mark.parametrize("params", [{}, {"shrinkage": 0.0, "latent_dim": 9}], ids=str)
@pytest.mark.parametrize(
    "name",
    ["wide", "column never seen", "constant column", "one feature", "repeated column", "one row"],
)
def test_odd_tables_leave_everything_finite(name, params):
    X, weight = odd(name), np.ones(10 if name == "wide" else 12)
    if name == "one row":
        weight[1:] = 0
    est = MultimodalFactorAnalysis(**params).fit(X, sample_weight=weight)
    assert est.latent_dim_ == params.get("latent_dim", est.latent_dim_)
    holed = punch(X, "both")
    results = [est.transform(holed), est.score_samples(holed), est.get_covariance()]
    results += [*est.predict_missing(holed), *est.sample(3), est.mean_, est.loglike_]
    for result in results:
        assert np.isfinite(result).all()
    assert np.linalg.eigvalsh(est.get_covariance()).min() > 0
    # a column that no row shows, or that does not vary, is its mean whatever the others are
    still = {"column never seen": (2, 0.0), "constant column": (1, 1e6)}.get(name)
    if still is not None:
        hidden = np.full_like(X[0], np.nan)
        hidden[:, 0] = X[0][:, 0]
        filled = est.predict_missing([hidden, X[1]])[0]
        np.testing.assert_allclose(filled[:, still[0]], still[1], rtol=1e-9)
        assert filled[:, 3].std() > 0.1
        assert not est.components_[:, still[0]].any()
    if name == "column never seen":
        assert est.noise_variance_[2] == 1.0


def test_few_factors_are_chosen_for_a_world_of_few():
    """The choice nears the best of all dimensions on rows that are new."""
    world = LinearGaussian(widths=(5, 6), latent_dim=2, n=400, seed=5)
    learned, new = ([x[rows] for x in world.x] for rows in (slice(200), slice(200, None)))
    chosen = MultimodalFactorAnalysis().fit(learned)
    assert chosen.latent_dim_ in (2, 4)
    by_hand = fitted(learned, latent_dim=chosen.latent_dim_, shrinkage=chosen.shrinkage_)
    np.testing.assert_allclose(by_hand.get_covariance(), chosen.get_covariance(), rtol=1e-2)
    scores = {d: fitted(learned, latent_dim=d).score(new) for d in (1, 2, 3, 4, 8)}
    assert chosen.score(new) > max(scores.values()) - 0.1
    assert scores[1] < max(scores.values()) - 0.5


def test_independent_features_are_shrunken_and_correlated_ones_are_not():
    rng = np.random.default_rng(0)
    apart = MultimodalFactorAnalysis(latent_dim=4).fit(rng.normal(size=(30, 20)))
    assert apart.shrinkage_ == max(SHRINKAGES)
    together = MultimodalFactorAnalysis(latent_dim=3).fit(LinearGaussian(n=1000).x)
    assert together.shrinkage_ <= 0.01


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("max_iter", [1, 3])
@pytest.mark.parametrize("shrinkage", [0.0, 0.4])
def test_too_few_steps_are_said_to_be(world, shrinkage, max_iter, capsys):
    """With a shrinkage, the likelihood of the data themselves falls on the way."""
    est = MultimodalFactorAnalysis(latent_dim=3, shrinkage=shrinkage, max_iter=max_iter)
    message = "was still changing by more than tol=0.001 .* Increase max_iter"
    with pytest.warns(ConvergenceWarning, match=message) as caught:
        est.fit(world.x)
    assert len(caught) == 1
    assert "est.fit(world.x)" in linecache.getline(caught[0].filename, caught[0].lineno)
    if shrinkage and max_iter > 1:
        assert est.loglike_[-1] < est.loglike_[-2]
    enough = MultimodalFactorAnalysis(latent_dim=3, shrinkage=shrinkage, verbose=1)
    assert 3 < enough.fit(world.x).n_iter_ < 500
    assert len(enough.loglike_) == enough.n_iter_
    assert capsys.readouterr().out.startswith(f"{enough.n_iter_} steps, ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shrinkage", 1.0),
        ("shrinkage", -0.1),
        ("shrinkage", "some"),
        ("latent_dim", 0),
        ("max_iter", 0),
        ("tol", -1.0),
    ],
)
def test_parameters_out_of_range_are_refused(world, name, value):
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
        MultimodalFactorAnalysis(**{name: value}).fit(world.x)


def test_the_global_generator_stays_where_it_was(tmp_path):
    X, state = [np.random.default_rng(0).normal(size=(20, 3))] * 2, torch.get_rng_state()
    MultimodalFactorAnalysis(latent_dim=1, random_state=0).fit(X).save(tmp_path / "fa.skpoe")
    load(tmp_path / "fa.skpoe")
    assert torch.equal(state, torch.get_rng_state())


def test_the_log_likelihood_of_the_steps_is_in_the_units_of_the_data():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100, 1))
    X = [100 * (z + rng.normal(size=(100, 3))) + 7, 0.01 * (z - rng.normal(size=(100, 2)))]
    X[0][::4] = X[1][1::3, 0] = np.nan
    weight = rng.integers(1, 4, 100).astype(float)
    fa = MultimodalFactorAnalysis(latent_dim=1, shrinkage=0.0, tol=1e-10, max_iter=2000)
    fa.fit(X, sample_weight=weight)
    by_row = fa.score_samples(X)
    np.testing.assert_allclose(fa.loglike_[-1], np.average(by_row, weights=weight), rtol=1e-6)
