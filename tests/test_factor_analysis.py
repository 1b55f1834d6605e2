"""Factor analysis of tables with holes against scipy, torch's dense Gaussian and closed forms."""

import numpy as np
import pytest
import torch
from joint_gaussian import KINDS, log_prob, punch
from linear_gaussian import LinearGaussian

from skpoe import factor_analysis as em
from skpoe.data.batch import Batch
from skpoe.factor_analysis import FactorAnalysis, Table

EXACT = {"rtol": 0, "atol": 1e-9}
every_kind = pytest.mark.parametrize("kind", KINDS)


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


def assert_same(a, b):
    for leaf in ("mean", "loadings", "noise"):
        torch.testing.assert_close(getattr(a, leaf), getattr(b, leaf), **EXACT)


@pytest.fixture(scope="module")
def world():
    return LinearGaussian(n=60)


@every_kind
def test_log_likelihood_of_any_pattern_is_that_of_scipy(world, kind):
    X = punch(world.x, kind)
    model = random_model(sum(world.widths))
    scores = model.log_prob(table_of(X))
    exact = log_prob(np.hstack(X), model.mean.numpy(), covariance_of(model))
    np.testing.assert_allclose(scores, exact, **EXACT)
    assert scores[0] == 0
    weights = torch.arange(60.0, dtype=torch.float64)
    average = model.score(table_of(X, weights))
    np.testing.assert_allclose(average, np.average(exact, weights=weights.numpy()), **EXACT)


@every_kind
def test_surprises_are_those_of_each_entry_given_the_others(world, kind):
    X = punch(world.x, kind)
    model, flat = random_model(sum(world.widths)), np.hstack(X)
    mean, covariance = model.mean.numpy(), covariance_of(model)
    found = model.surprises(table_of(X))
    for row, surprise in zip(flat, found.numpy(), strict=True):
        np.testing.assert_array_equal(surprise[np.isnan(row)], 0)
        for f in np.flatnonzero(~np.isnan(row)):
            others = np.flatnonzero(~np.isnan(row) & (np.arange(len(row)) != f))
            gain = np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, f])
            expected = mean[f] + gain @ (row - mean)[others]
            variance = covariance[f, f] - gain @ covariance[others, f]
            np.testing.assert_allclose(surprise[f] * variance**0.5, row[f] - expected, atol=1e-9)


@every_kind
def test_rows_are_chunked_without_a_trace(world, kind, monkeypatch):
    X = punch(world.x, kind)
    model = random_model(sum(world.widths))
    whole, score = em.step(model, table_of(X), 0.1)
    monkeypatch.setattr(em, "_ROWS", 7)
    parts, same = em.step(model, table_of(X), 0.1)
    assert_same(parts, whole)
    np.testing.assert_allclose(same, score, **EXACT)


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


@pytest.mark.parametrize("shrinkage", [0.1, 0.5])
def test_shrinkage_stands_for_more_rows_with_independent_features(shrinkage):
    """With holes, of which every feature has as many, those rows can be written out."""
    rng = np.random.default_rng(1)
    model = random_model(6)
    x = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)) + 1
    hidden = np.arange(60)[:, None] % 6 == np.arange(6)
    x[hidden] = np.nan
    white = rng.normal(size=(40, 6))
    white -= white.mean(0)
    white = np.linalg.qr(white)[0] * np.sqrt(40)
    independent = model.mean.numpy() + white * np.nanstd(x, axis=0)
    both = np.concatenate([x, independent])
    # each feature is seen in 50 rows, and a share of the whole is independent
    weights = np.repeat([(1 - shrinkage) / 50, shrinkage / 40], [60, 40])
    written_out, _ = em.step(model, table_of([both], torch.from_numpy(weights)), 0.0)
    stood_for, _ = em.step(model, table_of([x]), shrinkage)
    assert_same(stood_for, written_out)


@every_kind
def test_the_start_has_the_observed_variances(world, kind):
    X = punch([(x - x.mean(0)) / x.std(0) for x in world.x], kind)
    observed = np.nanmean(np.hstack(X) ** 2, axis=0)
    for latent_dim in (1, 4, 20):
        start = em.start(table_of(X), latent_dim)
        variances = np.diag(covariance_of(start))
        np.testing.assert_allclose(variances, observed, **EXACT)
        assert start.loadings.shape == (12, latent_dim)
        assert (start.noise > em.FLOOR).all()


@pytest.mark.parametrize("choose", ["shrinkage", "latent_dim"])
def test_freak_values_do_not_choose(choose):
    """Held-out values count as if they were five deviations out."""
    x = LinearGaussian(widths=(5, 6), latent_dim=2, n=600, seed=3).stacked((0, 1))[3]
    x = (x - x.mean(0)) / x.std(0)

    def chosen(held):
        kept, held = table_of([x[:300]]), table_of([held])
        if choose == "shrinkage":
            return em.choose(kept, held, [2], em.SHRINKAGES)[1]
        return em.choose(kept, held, [1, 2, 3, 5], [0.0])[0]

    clean = x[300:]
    freak = clean.copy()
    freak[4, 3] = 1e9
    expected = {"shrinkage": 0.0, "latent_dim": 2}[choose]
    assert chosen(clean) == chosen(freak) == expected
    assert chosen(freak[4:5] / 1e9 * 5) != expected  # alone it would have chosen


def test_dimension_and_shrinkage_are_chosen_together():
    """The best dimension without much shrinkage is none that a much shrunken fit would choose."""
    x = LinearGaussian(widths=(30, 30), latent_dim=2, n=140, seed=1).stacked((0, 1))[3]
    kept, held = table_of([x[:40]]), table_of([x[40:]])
    latent_dim, shrinkage, model = em.choose(kept, held, [1, 2, 4, 20], em.SHRINKAGES)
    assert latent_dim == 2
    assert model.loadings.shape == (60, 2)
    scores = {rho: em.fit(kept, 2, rho, 40, 1e-2)[0].score(held) for rho in em.SHRINKAGES}
    assert scores[shrinkage] > max(scores.values()) - 0.05
    # which is less than what that of twenty factors asks for
    assert shrinkage < em.choose(kept, held, [20], em.SHRINKAGES)[1]


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
    assert [len(part.noise) for part in parts] == [5, 3]
    for leaf in ("mean", "loadings", "noise"):
        pieces = torch.cat([getattr(part, leaf) for part in parts])
        assert torch.equal(pieces, getattr(model, leaf))
