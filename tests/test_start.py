"""Models that start at a factor analysis are that factor analysis before training."""

import copy
import functools
import inspect
import itertools
import pickle

import numpy as np
import pytest
import torch
from joint_gaussian import (
    KINDS,
    conditional,
    covariance_of,
    gaussian_of,
    log_prob,
    posterior_mean,
    punch,
)
from linear_gaussian import LinearGaussian

from skpoe import (
    CRMVAE,
    MIWAE,
    MVAE,
    MVTCAE,
    ModularVAE,
    MoPoE,
    MultimodalFactorAnalysis,
    PoEVAE,
)
from skpoe import factor_analysis as em
from skpoe.data.batch import Batch
from skpoe.posteriors import FullGaussian

EXACT = {"rtol": 0, "atol": 1e-8}
FULL = {"covariance": "full"}
JOINT = {"variational_strategy": "joint_encoder", "variational_posterior": FullGaussian()}
# posteriors that have the prior as one expert, or one encoder for all
WHOLE = {
    "PoEVAE": (PoEVAE, {}),
    "MIWAE": (MIWAE, {}),
    "MVAE": (MVAE, FULL),
    "joint encoder": (ModularVAE, JOINT),
}
# products of experts of which each holds the prior, and mixtures: exact given one modality
PARTS = {"MoPoE": (MoPoE, FULL), "CRMVAE": (CRMVAE, FULL), "MVTCAE": (MVTCAE, FULL)}
KIND = {**WHOLE, **PARTS}
every_whole = pytest.mark.parametrize("name", WHOLE)


def at_start(X, cls=PoEVAE, **params):
    params = {
        "init": "factor_analysis",
        "likelihood": "gaussian",
        "latent_dim": 3,
        "shrinkage": 0.1,
        "trust": 1.0,
        "start_weight": 0.0,
        "dtype": "float64",
        "max_iter": 0,
        "hidden_layer_sizes": (8,),
        "n_importance_samples": 16,
        "n_threads": 1,
        "random_state": 0,
        **params,
    }
    known = inspect.signature(cls).parameters
    est = cls(**{name: value for name, value in params.items() if name in known})
    est.fit(X)
    if "trust" not in known and hasattr(est.model_.strategy, "trust"):
        est.model_.strategy.set_trust(params["trust"])  # it was chosen
    return est


def test_doubles_follow_what_is_changed_in_a_model():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 1))
    X = [z + rng.normal(size=(40, 3)), z + rng.normal(size=(40, 2))]
    est = PoEVAE(max_iter=0, random_state=0, dtype="float32").fit(X)
    before = est.transform([X[0], None])
    est.model_.strategy.set_trust(0.25)
    after = est.transform([X[0], None])
    assert np.abs(after - before).max() > 0.01
    single = est.transform([X[0].astype(np.float32), None])
    np.testing.assert_allclose(after, single, atol=1e-5)


@pytest.fixture(scope="module")
def world():
    made = LinearGaussian(n=64)
    made.x = [10.0**m * x - 5 for m, x in enumerate(made.x)]
    return made


@pytest.fixture(scope="module")
def started(world):
    """Each of the estimators above at the start for complete data, made once."""
    return functools.cache(lambda name: at_start(world.x, KIND[name][0], **KIND[name][1]))


def by_subsets(X):
    """Each pattern of shown modalities in turn, none and all among them."""
    patterns = list(itertools.product([False, True], repeat=len(X)))
    shown = np.array([patterns[n % len(patterns)] for n in range(len(X[0]))])
    return [np.where(shown[:, [m]], x, np.nan) for m, x in enumerate(X)]


@pytest.mark.parametrize("kind", ["subsets", *KINDS])
@every_whole
def test_every_answer_is_that_of_the_factor_analysis(world, started, name, kind):
    est = started(name)
    holed = by_subsets(world.x) if kind == "subsets" else punch(world.x, kind)
    mean, loadings, noise = gaussian_of(est)
    covariance, flat = covariance_of(loadings, noise), np.hstack(holed)
    scores, latent = est.score_samples(holed), est.transform(holed)
    np.testing.assert_allclose(scores, log_prob(flat, mean, covariance), **EXACT)
    filled, means = (np.hstack(f(holed)) for f in (est.predict_missing, est.reconstruct))
    for n, row in enumerate(flat):
        o = ~np.isnan(row)
        z = posterior_mean(row, mean, loadings, noise)
        np.testing.assert_allclose(latent[n], z, **EXACT)
        np.testing.assert_allclose(filled[n, ~o], conditional(row, mean, covariance)[0], rtol=1e-8)
        np.testing.assert_array_equal(filled[n, o], row[o])
        np.testing.assert_allclose(means[n], mean + loadings @ z, rtol=1e-8)


@pytest.mark.parametrize("kind", ["both", "mixed"])
@every_whole
def test_tables_with_holes_are_started_at_too(world, name, kind):
    cls, params = WHOLE[name]
    holed = punch(world.x, kind)
    est = at_start(holed, cls, **params)
    mean, loadings, noise = gaussian_of(est)
    exact = log_prob(np.hstack(holed), mean, covariance_of(loadings, noise))
    np.testing.assert_allclose(est.score_samples(holed), exact, **EXACT)


@pytest.mark.parametrize("name", PARTS)
def test_experts_that_hold_the_prior_are_exact_alone(world, started, name):
    est = started(name)
    mean, loadings, noise = gaussian_of(est)
    covariance = covariance_of(loadings, noise)
    for m in range(3):
        X = [x if k == m else np.full_like(x, np.nan) for k, x in enumerate(world.x)]
        flat = np.hstack(X)
        np.testing.assert_allclose(est.score_samples(X), log_prob(flat, mean, covariance), **EXACT)
        exact = [posterior_mean(row, mean, loadings, noise) for row in flat]
        np.testing.assert_allclose(est.transform(X), exact, **EXACT)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_it_is_what_expectation_maximisation_came_to(world, kind):
    """By hand from the standardised table, and the same as the estimator that is that."""
    X = world.x if kind is None else punch(world.x, kind)
    est = at_start(X)
    standard = [(x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0) for x in X]
    exact, _ = em.fit(em.Table.of(Batch.from_arrays(standard)), 3, 0.1, 60)
    spread = np.concatenate([np.nanstd(x, axis=0) for x in X])
    mean, loadings, noise = gaussian_of(est)
    turned = exact.canonical()
    np.testing.assert_allclose(loadings, turned.loadings.numpy() * spread[:, None], rtol=1e-6)
    np.testing.assert_allclose(noise, exact.noise.numpy() * spread**2, rtol=1e-9)
    there = np.concatenate([np.nanmean(x, axis=0) for x in X]) + spread * exact.mean.numpy()
    np.testing.assert_allclose(mean, there, rtol=1e-9)
    params = {"latent_dim": 3, "shrinkage": 0.1, "max_iter": 60, "tol": 0.0}
    with pytest.warns(UserWarning, match="still changing"):
        same = MultimodalFactorAnalysis(**params).fit(X)
    np.testing.assert_allclose(covariance_of(loadings, noise), same.get_covariance(), rtol=1e-7)


@pytest.mark.parametrize("cls", [MVAE, MIWAE])
def test_a_diagonal_posterior_is_exact_given_everything(world, cls):
    """Loadings are turned so that it can be."""
    est = at_start(world.x, cls, covariance="diag")
    mean, loadings, noise = gaussian_of(est)
    exact = [posterior_mean(row, mean, loadings, noise) for row in np.hstack(world.x)]
    np.testing.assert_allclose(est.transform(world.x), exact, **EXACT)
    scores = log_prob(np.hstack(world.x), mean, covariance_of(loadings, noise))
    np.testing.assert_allclose(est.score_samples(world.x), scores, **EXACT)
    part = [world.x[0], *(np.full_like(x, np.nan) for x in world.x[1:])]
    exact = [posterior_mean(row, mean, loadings, noise) for row in np.hstack(part)]
    assert np.abs(est.transform(part) - exact).max() > 1e-3  # of parts it cannot be


@pytest.mark.parametrize("cls", [MVAE, MoPoE])
def test_a_diagonal_posterior_of_a_part_takes_each_variable_for_itself(world, cls):
    """Whether the prior is an expert of its own or a part of each."""
    est = at_start(world.x, cls, covariance="diag")
    mean, loadings, noise = gaussian_of(est)
    first = slice(0, world.widths[0])
    evidence = loadings[first].T / noise[first]
    exact = (world.x[0] - mean[first]) @ evidence.T / (1 + (evidence * loadings[first].T).sum(1))
    part = [world.x[0], *(np.full_like(x, np.nan) for x in world.x[1:])]
    np.testing.assert_allclose(est.transform(part), exact, **EXACT)


@every_whole
def test_student_t_noise_starts_at_the_same_variance(world, started, name):
    cls, params = WHOLE[name]
    gaussian = started(name)
    est = at_start(world.x, cls, likelihood="student_t", imputation="mean", **params)
    for a, b in zip(gaussian_of(est), gaussian_of(gaussian), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    for likelihood in est.model_.likelihoods:
        df, variance = likelihood.df().detach(), likelihood.noise_variance()
        scale = likelihood.scale() / likelihood.spread
        assert 5 < df < 31  # the data are Gaussian, as far as a dozen rows can tell
        torch.testing.assert_close(scale**2 * df / (df - 2), variance, check_dtype=False)
    holed = punch(world.x, "both")
    mine, theirs = (np.hstack(e.predict_missing(holed)) for e in (est, gaussian))
    np.testing.assert_allclose(mine, theirs, rtol=1e-8)


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
def test_posteriors_are_those_of_the_noise_that_likelihoods_have(world, likelihood):
    """Whose floor may be above the noise that a factor analysis found."""
    X = [np.hstack([x, x[:, :1]]) for x in world.x]
    est = at_start(X, likelihood=likelihood, latent_dim=6, shrinkage=0.0)
    mean, loadings, noise = gaussian_of(est)
    smallest = (noise / np.hstack(X).var(0)).min()
    least = (1.05 * 0.05) ** 2  # of the square of a scale
    if likelihood == "student_t":
        df = max(part.df().item() for part in est.model_.likelihoods)
        least *= df / (df - 2)
    np.testing.assert_allclose(smallest, max(em.FLOOR, least), rtol=1e-6)
    holed = punch(X, "modalities")
    exact = [posterior_mean(row, mean, loadings, noise) for row in np.hstack(holed)]
    np.testing.assert_allclose(est.transform(holed), exact, **EXACT)


@pytest.mark.parametrize("cls", [PoEVAE, MVAE])
@pytest.mark.parametrize("trust", [0.5, 0.03])
def test_trust_is_a_power_of_experts_where_modalities_lack(world, trust, cls):
    """As if noise were so many times as large; entries that lack do not count."""
    est = at_start(world.x, cls, **FULL)
    est.model_.strategy.set_trust(trust)
    mean, loadings, noise = gaussian_of(est)
    for kind in ("subsets", "both"):
        holed = by_subsets(world.x) if kind == "subsets" else punch(world.x, kind)
        shown = np.column_stack([(~np.isnan(x)).any(1) for x in holed]).all(1)
        assert 0 < shown.sum() < len(shown)
        exact = [
            posterior_mean(row, mean, loadings, noise, 1.0 if whole else trust)
            for row, whole in zip(np.hstack(holed), shown, strict=True)
        ]
        np.testing.assert_allclose(est.transform(holed), exact, **EXACT)


@pytest.mark.parametrize("imputation", ["posterior", "importance"])
def test_predictions_have_the_trust_that_posteriors_have(world, imputation):
    """Importance weights leave a posterior that is a power of the evidence as it is."""
    make = {"covariance": "full", "imputation": imputation, "n_importance_samples": 4}
    est = at_start(world.x, trust=0.2, **make)
    mean, loadings, noise = gaussian_of(est)
    holed = [world.x[0], None, world.x[2]]
    flat = np.hstack([world.x[0], np.full_like(world.x[1], np.nan), world.x[2]])
    z = np.array([posterior_mean(row, mean, loadings, noise, 0.2) for row in flat])
    missing = np.isnan(flat[0])
    exact = z @ loadings[missing].T + mean[missing]
    np.testing.assert_allclose(est.predict_missing(holed)[1], exact, rtol=1e-7)


def test_trust_is_part_of_what_is_stored(world, started):
    tempered = at_start(world.x, trust=0.25, **FULL)
    other = copy.deepcopy(started("PoEVAE"))
    other.model_.load_state_dict(tempered.model_.state_dict())
    holed = [world.x[0], None, world.x[2]]
    assert np.abs(other.transform(holed) - started("PoEVAE").transform(holed)).max() > 0.01
    np.testing.assert_array_equal(other.transform(holed), tempered.transform(holed))
    again = pickle.loads(pickle.dumps(other))
    np.testing.assert_array_equal(again.transform(holed), tempered.transform(holed))


def test_trust_is_a_parameter(world, started):
    """It is no part of the factor analysis."""
    tempered = at_start(world.x, trust=0.25)
    assert float(tempered.model_.strategy.trust) == tempered.auto_["trust"] == 0.25
    for a, b in zip(gaussian_of(tempered), gaussian_of(started("PoEVAE")), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_and_units_do_not_matter(world, started, dtype):
    """Answers are those of double precision up to rounding, and follow the data's units."""
    exact = started("PoEVAE")
    holed = punch(world.x, "both")
    other = at_start([1e3 * x + 1e5 for x in world.x], dtype=dtype)
    shifted = [1e3 * x + 1e5 for x in holed]
    tolerance = {"float32": 2e-4, "float64": 1e-7}[dtype]
    np.testing.assert_allclose(other.transform(shifted), exact.transform(holed), atol=tolerance)
    n_shown = sum((~np.isnan(x)).sum(1) for x in holed)
    jacobian = n_shown * np.log(1e3)
    np.testing.assert_allclose(
        other.score_samples(shifted) + jacobian, exact.score_samples(holed), atol=20 * tolerance
    )
