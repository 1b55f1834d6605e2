"""Factor analysis of tables with holes against scipy, scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from scipy.stats import multivariate_normal
from sklearn.decomposition import FactorAnalysis as SklearnFactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError

from skpoe import MultimodalFactorAnalysis
from skpoe import factor_analysis as em
from skpoe.data.batch import Batch
from skpoe.factor_analysis import FactorAnalysis, Table

pytestmark = pytest.mark.filterwarnings("ignore:The log-likelihood of")
EXACT = {"rtol": 0, "atol": 1e-9}
KINDS = ["entries", "modalities", "both"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def punch(X, kind, seed=0, share=0.4):
    """Hide entries, whole modalities or both; the first row shows nothing, the second all."""
    rng = np.random.default_rng(seed)
    holed = [x.copy() for x in X]
    for x in holed:
        if kind != "modalities":
            x[rng.uniform(size=x.shape) < share] = np.nan
        if kind != "entries":
            x[rng.uniform(size=len(x)) < share] = np.nan
    for m, x in enumerate(X):
        holed[m][0], holed[m][1] = np.nan, x[1]
    return holed


def table_of(X, weights=None):
    return Table.of(Batch.from_arrays(X), weights)


def random_model(n_features, latent_dim=3, seed=0):
    rng = np.random.default_rng(seed)
    return FactorAnalysis(
        torch.from_numpy(rng.normal(size=n_features)),
        torch.from_numpy(rng.normal(size=(n_features, latent_dim))),
        torch.from_numpy(0.2 + rng.uniform(size=n_features)),
    )


def covariance_of(model):
    return (model.loadings @ model.loadings.mT + model.noise.diag()).numpy()


def exact_log_prob(x, mean, covariance):
    """Log-density of what each row shows, by scipy."""
    scores = np.zeros(len(x))
    for n, row in enumerate(x):
        o = ~np.isnan(row)
        if o.any():
            scores[n] = multivariate_normal(mean[o], covariance[np.ix_(o, o)]).logpdf(row[o])
    return scores


def conditional(row, mean, covariance):
    """Mean and covariance of what a row lacks given what it shows, by the block formula."""
    o = ~np.isnan(row)
    gain = covariance[np.ix_(~o, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
    spread = covariance[np.ix_(~o, ~o)] - gain @ covariance[np.ix_(o, ~o)]
    return mean[~o] + gain @ (row[o] - mean[o]), spread


def assert_same(a, b, **tolerance):
    for leaf in ("mean", "loadings", "noise"):
        torch.testing.assert_close(getattr(a, leaf), getattr(b, leaf), **(tolerance or {**EXACT}))


@pytest.fixture(scope="module")
def world():
    return LinearGaussian(n=60)


@every_kind
def test_log_likelihood_of_any_pattern_is_that_of_scipy(world, kind):
    X = punch(world.x, kind)
    model = random_model(sum(world.widths))
    scores = model.log_prob(table_of(X))
    exact = exact_log_prob(np.hstack(X), model.mean.numpy(), covariance_of(model))
    np.testing.assert_allclose(scores, exact, **EXACT)
    assert scores[0] == 0
    weights = torch.arange(60.0, dtype=torch.float64)
    average = model.score(table_of(X, weights))
    np.testing.assert_allclose(average, np.average(exact, weights=weights.numpy()), **EXACT)


@every_kind
def test_rows_are_chunked_without_a_trace(world, kind, monkeypatch):
    X = punch(world.x, kind)
    model = random_model(sum(world.widths))
    whole, score = em.step(model, table_of(X), 0.1)
    monkeypatch.setattr(em, "_ROWS", 7)
    parts, same = em.step(model, table_of(X), 0.1)
    assert_same(parts, whole)
    np.testing.assert_allclose(same, score, **EXACT)


def fitted(X, **params):
    params = {"latent_dim": 3, "shrinkage": 0.0, "max_iter": 30, **params}
    return MultimodalFactorAnalysis(**params).fit(X)


@every_kind
def test_every_answer_is_that_of_the_joint_gaussian(world, kind):
    """In the data's units, from ``mean_`` and ``get_covariance()`` alone."""
    X = [x * 30.0**m + 7 for m, x in enumerate(world.x)]
    est = fitted(X)
    holed = punch(X, kind)
    flat, mean, covariance = np.hstack(holed), est.mean_, est.get_covariance()
    exact = exact_log_prob(flat, mean, covariance)
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


def test_features_without_noise_of_their_own_are_answered_exactly_too(world):
    """Their noise is at its floor, in the model as in what is reported of it."""
    x = world.x[0]
    X = [x, np.hstack([2 * x[:, :2], world.x[1]])]
    est = fitted(X, latent_dim=5)
    exact = exact_log_prob(np.hstack(X), est.mean_, est.get_covariance())
    np.testing.assert_allclose(est.score_samples(X), exact, **EXACT)
    np.testing.assert_allclose(
        est.noise_variance_[[0, 4]] / np.hstack(X)[:, [0, 4]].var(0), em.FLOOR, rtol=1e-6
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
def test_the_gradient_vanishes_at_the_end(kind):
    """Of the log-likelihood of what rows show, written with torch's dense Gaussian."""
    X = punch(LinearGaussian(widths=(5, 5), latent_dim=1, n=80).x, kind, share=0.2)
    table, flat = table_of(X), torch.from_numpy(np.hstack(X))
    model, _ = em.fit(table, 1, max_iter=1000, tol=1e-13)
    leaves = [leaf.clone().requires_grad_() for leaf in (model.mean, model.loadings, model.noise)]
    assert float(model.noise.min()) > 2 * em.FLOOR
    total = torch.zeros(())
    for row in flat:
        o = ~row.isnan()
        mean, loadings, noise = (leaf[o] for leaf in leaves)
        if o.any():
            dense = torch.distributions.MultivariateNormal(
                mean, loadings @ loadings.mT + noise.diag()
            )
            total = total + dense.log_prob(row[o])
    assert total > em.start(table, 1).log_prob(table).sum() + 1
    for gradient in torch.autograd.grad(total / len(flat), leaves):
        assert gradient.abs().max() < 1e-5


@every_kind
def test_no_step_lowers_the_likelihood(world, kind):
    table = table_of(punch(world.x, kind))
    model, scores = em.fit(table, 3, max_iter=60)
    scores = [*scores, model.score(table)]
    assert len(scores) == 61
    assert np.diff(scores).min() > -1e-10
    assert scores[-1] - scores[0] > 0.1
    np.testing.assert_allclose(scores[0], em.start(table, 3).score(table), **EXACT)


@pytest.mark.parametrize("shrinkage", [0.03, 0.6])
def test_shrinkage_stands_for_data_with_independent_features(shrinkage):
    """A step sees the data through their covariance, so data that have the shrunken one do."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    x -= x.mean(0)
    S = x.T @ x / len(x)
    shrunken = (1 - shrinkage) * S + shrinkage * np.diag(np.diag(S))
    white = x @ np.linalg.inv(np.linalg.cholesky(S)).T
    other = white @ np.linalg.cholesky(shrunken).T
    np.testing.assert_allclose(other.T @ other / len(x), shrunken, **EXACT)
    model = random_model(6)
    model = FactorAnalysis(torch.zeros(6).double(), model.loadings, model.noise)
    for _ in range(3):
        stood_for, _ = em.step(model, table_of([x]), shrinkage)
        exact, _ = em.step(model, table_of([other]), 0.0)
        assert_same(stood_for, exact)
        unshrunken, _ = em.step(model, table_of([x]), 0.0)
        assert (unshrunken.loadings - exact.loadings).abs().max() > 1e-2
        model = exact


def test_masks_of_modalities_are_masks_of_their_entries(world):
    X = punch(world.x, "modalities")
    batch = Batch.from_arrays(X)
    assert [mask.shape[1] for mask in batch.masks] == [1, 1, 1]
    by_modality = Table.of(batch)
    wide = [mask.expand_as(x) for mask, x in zip(batch.masks, batch.values, strict=True)]
    written_out = Table.of(Batch(batch.values, wide))
    assert by_modality.shown.shape[1] == written_out.shown.shape[1] == 3
    n_features = sum(world.widths)
    by_entry = Table(
        by_modality.x, torch.cat(wide, dim=1), torch.arange(n_features), by_modality.weights
    )
    model = random_model(n_features)
    for shrinkage in (0.0, 0.2):
        expected, score = em.step(model, by_modality, shrinkage)
        for table in (written_out, by_entry):
            new, same = em.step(model, table, shrinkage)
            assert_same(new, expected)
            np.testing.assert_allclose(same, score, **EXACT)
    torch.testing.assert_close(by_entry.take(torch.arange(5)).x, by_modality.x[:5])
    scores = model.log_prob(by_entry)
    np.testing.assert_allclose(scores, model.log_prob(by_modality), **EXACT)


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


def divergence(truth, estimate):
    """KL between centred Gaussians of these covariances, nats."""
    trace = np.trace(np.linalg.solve(estimate, truth))
    logs = np.linalg.slogdet(estimate)[1] - np.linalg.slogdet(truth)[1]
    return 0.5 * (trace - len(truth) + logs)


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


def test_latent_variables_are_turned_but_not_the_model():
    model = random_model(8, 4)
    turned = model.canonical()
    np.testing.assert_allclose(covariance_of(turned), covariance_of(model), **EXACT)
    scaled = turned.loadings / turned.noise.sqrt()[:, None]
    information = (scaled.mT @ scaled).numpy()
    np.testing.assert_allclose(information, np.diag(np.diag(information)), **EXACT)
    assert (np.diff(np.diag(information)) < 0).all()
    assert (turned.loadings.sum(0) >= 0).all()
    again = turned.canonical()
    assert_same(again, turned)
    parts = model.split([5, 3])
    torch.testing.assert_close(torch.cat([part.loadings for part in parts]), model.loadings)


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
    assert apart.shrinkage_ == max(em.SHRINKAGES)
    together = MultimodalFactorAnalysis(latent_dim=3).fit(LinearGaussian(n=1000).x)
    assert together.shrinkage_ <= 0.01


def test_freak_values_do_not_choose():
    """Held-out values count as if they were five deviations out."""
    X = LinearGaussian(widths=(5, 6), latent_dim=2, n=200).x
    clean = MultimodalFactorAnalysis().fit(X)
    X[0][3, 0] = 1e12
    assert clean.latent_dim_ in (2, 4)
    assert MultimodalFactorAnalysis().fit(X).latent_dim_ in (2, 4)


def test_too_few_steps_are_said_to_be(world):
    with pytest.warns(ConvergenceWarning, match="was still rising.* Increase max_iter") as caught:
        fitted(world.x, max_iter=3)
    assert len(caught) == 1
    assert caught[0].filename == __file__


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
