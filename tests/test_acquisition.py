"""Information of measurements against closed forms, and laws for every estimator."""

import functools
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from joint_gaussian import covariance_of, gaussian_of, log_prob, punch
from linear_gaussian import LinearGaussian
from small import KINDS, small

from skpoe import MMVAE, MultimodalFactorAnalysis, PoEVAE
from skpoe.estimators import acquiring, predicting
from skpoe.posteriors import SubsetPosterior
from skpoe.priors import StandardGaussian
from skpoe.random import RowNoise
from skpoe.scorers import ConditionalLogLikelihood, CrossModal

every_kind = pytest.mark.parametrize("cls", [*KINDS, MultimodalFactorAnalysis])
NAMES = ["rna", "adt", "atac"]
# what may be measured, as users say it, and its columns among 4 + 5 + 3
CANDIDATES = {"rna": range(4), 1: range(4, 9), ("adt", 2): [6], (2, "c1"): [10], ("rna", 0): [0]}
TARGETS = {"none": None, "atac": [9, 10, 11], "one column": [11], "several": [3, 9, 10, 11]}
WORDS = {
    "none": None,
    "atac": "atac",
    "one column": ("atac", "c2"),
    "several": [("rna", 3), "atac"],
}


@pytest.fixture(scope="module")
def world():
    made = LinearGaussian(n=40)
    made.x = [10.0**m * x - 5 for m, x in enumerate(made.x)]
    return made


def named(arrays):
    """Three modalities, the last with labels and an index."""
    X = dict(zip(NAMES, arrays, strict=True))
    index = [f"p{n}" for n in range(len(arrays[2]))]
    return X | {"atac": pd.DataFrame(X["atac"], index=index, columns=["c0", "c1", "c2"])}


@pytest.fixture(scope="module")
def exact(world):
    """A factor analysis, and PoEVAE that starts at it with posteriors of its own."""
    X = named(world.x)
    fa = MultimodalFactorAnalysis(latent_dim=3, shrinkage=0.1, random_state=0).fit(X)
    start = {"likelihood": "gaussian", "latent_dim": 3, "shrinkage": 0.1, "trust": 1.0}
    how = {"max_iter": 0, "dtype": "float64", "hidden_layer_sizes": (8,), "random_state": 0}
    vae = PoEVAE(**start, **how).fit(X)
    for likelihood in vae.model_.likelihoods:
        likelihood.reach = np.inf  # draws leave the range of the training data
    return {"factor analysis": fa, "PoEVAE": vae}


@functools.cache
def fitted_on_holes(cls):
    """One estimator of each kind on rows that lack things: it must not be changed."""
    made = small(cls, max_iter=20, hidden_layer_sizes=(16,), random_state=0, n_threads=1)
    return made.fit(named(punch(LinearGaussian(n=24).x, "both")))


def quiet(method, *args, **kwargs):
    """Call a method of a model that has hardly learned, whose importance weights are uneven."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return method(*args, **kwargs)


def half_log_det(covariance, which):
    return 0.5 * np.linalg.slogdet(covariance[np.ix_(which, which)])[1]


def information(row, candidate, target, loadings, noise):
    """I(x_c; x_t | x_o), or I(x_c; z | x_o) without a target, of what the row lacks; nats."""
    o = np.flatnonzero(~np.isnan(row))
    c, t = (np.setdiff1d(list(part or []), o) for part in (candidate, target))
    covariance = covariance_of(loadings, noise)
    gain = covariance[:, o] @ np.linalg.pinv(covariance[np.ix_(o, o)])
    left = covariance - gain @ covariance[o]
    if target is None:
        return half_log_det(left, c) - 0.5 * np.log(noise[c]).sum()
    both = half_log_det(left, np.concatenate([c, t]))
    return half_log_det(left, c) + half_log_det(left, t) - both


@pytest.mark.parametrize(
    ("which", "target"),
    # a target is the same code for both, but that there is one
    [
        *(("factor analysis", target) for target in TARGETS),
        ("PoEVAE", "none"),
        ("PoEVAE", "several"),
    ],
)
def test_gains_are_mutual_information(world, exact, monkeypatch, which, target):
    monkeypatch.setattr(acquiring, "_N_DRAWS", 4000)
    est, holed = exact[which], punch(world.x, "both")
    _, loadings, noise = gaussian_of(est)
    columns = TARGETS[target]
    apart = {k: v for k, v in CANDIDATES.items() if not set(v) & set(columns or [])}
    gains = est.acquire(named(holed), list(apart), WORDS[target])
    expected = np.array(
        [
            [information(row, c, columns, loadings, noise) for c in apart.values()]
            for row in np.hstack(holed)
        ]
    )
    assert gains.shape == expected.shape
    assert expected.max() > 0.1
    error = gains - expected
    assert np.abs(error).max() < 0.05  # of 4,000 draws: five standard errors
    assert np.abs(error.mean(0)).max() < 0.01


def test_hundred_draws_rank_candidates(world, exact):
    """The usual number of draws finds the best of twelve columns, or one nearly as good."""
    est, holed = exact["factor analysis"], punch(world.x, "both", seed=1)
    _, loadings, noise = gaussian_of(est)
    columns = [(m, d) for m, width in enumerate(world.widths) for d in range(width)]
    gains = est.acquire(named(holed), columns)
    rows = np.hstack(holed)
    exactly = np.array(
        [[information(row, [c], None, loadings, noise) for c in range(12)] for row in rows]
    )
    chosen = exactly[np.arange(40), gains.argmax(1)]
    assert (chosen >= 0.8 * exactly.max(1)).all()


@every_kind
def test_laws_of_gains(cls, monkeypatch):
    holed, est = punch(LinearGaussian(n=24).x, "both"), fitted_on_holes(cls)
    holed = [x[:12] for x in holed]
    X = named(holed)
    everything = [*NAMES, ("adt", 1), ("atac", "c0")]
    for target in (None, ("rna", 0)):
        candidates = everything if target is None else everything[1:]
        gains = quiet(est.acquire, X, candidates, target)
        assert gains.shape == (12, len(candidates))
        assert np.isfinite(gains).all()
        assert (gains >= 0).all()
        assert (gains > 0).any()
        lacks = np.stack([*(np.isnan(x).any(1) for x in holed), np.isnan(holed[1][:, 1])], axis=1)
        lacks = np.column_stack([lacks, np.isnan(holed[2][:, 0])])[:, -len(candidates) :]
        if target is not None:
            lacks &= np.isnan(holed[0][:, :1])
        np.testing.assert_array_equal(gains[~lacks], 0)
        order = np.random.default_rng(0).permutation(12)
        permuted = quiet(est.acquire, named([x[order] for x in holed]), candidates, target)
        close = {"rtol": 1e-6, "atol": 1e-9}
        np.testing.assert_allclose(permuted, gains[order], **close)
        some = quiet(est.acquire, named([x[5:9] for x in holed]), candidates, target)
        np.testing.assert_allclose(some, gains[5:9], **close)
        fewer = quiet(est.acquire, X, candidates[::2], target)
        np.testing.assert_allclose(fewer, gains[:, ::2], **close)
        price = np.arange(1.0, 1 + len(candidates))
        for costs in (price, dict(zip(candidates, price, strict=True))):
            cheaper = quiet(est.acquire, X, candidates, target, costs)
            np.testing.assert_allclose(cheaper, gains / price, **close)
        with monkeypatch.context() as patch:
            patch.setattr(predicting, "_CHUNK", 5000)
            np.testing.assert_allclose(quiet(est.acquire, X, candidates, target), gains, **close)
    for m, x in enumerate(holed):  # X is as it was
        np.testing.assert_array_equal(np.asarray(X[NAMES[m]]), x)


def test_candidates_are_the_other_modalities_unless_named(exact, world):
    est, X = exact["factor analysis"], named(punch(world.x, "both"))
    for target, rest in ((None, NAMES), ("adt", ["rna", "atac"]), (("atac", 0), ["rna", "adt"])):
        gains = est.acquire(X, target=target)
        np.testing.assert_array_equal(gains, est.acquire(X, rest, target))
        one = est.acquire(X, rest[-1], target)
        np.testing.assert_array_equal(one, gains[:, -1:])


def test_data_frames_come_back_with_names(exact, world):
    est, X = exact["factor analysis"], named(punch(world.x, "both"))
    candidates = ["rna", ("adt", 2)]
    gains = est.acquire(X, candidates, "atac")
    est.set_output(transform="pandas")
    frame = est.acquire(X, candidates, "atac")
    est.set_output(transform="default")
    assert isinstance(gains, np.ndarray)
    assert list(frame.columns) == candidates
    pd.testing.assert_index_equal(frame.index, X["atac"].index)
    np.testing.assert_array_equal(frame.to_numpy(), gains)


def test_columns_of_one_table_by_label_and_position(world):
    """A table that ``modalities`` cuts; columns are numbered within their modality."""
    table = pd.DataFrame(np.hstack(world.x[:2])).add_prefix("x")
    cut = {"odd": ["x1", "x3", "x5"], "even": ["x0", "x2", "x4", "x6", "x7", "x8"]}
    est = MultimodalFactorAnalysis(latent_dim=2, modalities=cut).fit(table)
    holed = table.mask(np.random.default_rng(0).uniform(size=table.shape) < 0.5)
    by_label = est.acquire(holed, [("odd", "x3"), ("even", "x7")], ("even", "x0"))
    by_position = est.acquire(holed, [("odd", 1), (1, 4)], ("even", 0))
    np.testing.assert_array_equal(by_label, by_position)
    shown = table.notna() & holed.notna()
    np.testing.assert_array_equal(by_label[shown["x3"], 0], 0)
    np.testing.assert_array_equal(by_label[shown["x7"], 1], 0)
    assert (by_label[~shown["x3"] & ~shown["x0"], 0] > 0).any()


def test_columns_that_training_never_saw_tell_nothing(world):
    x = world.x[0].copy()
    x[:, 2] = np.nan
    est = quiet(MultimodalFactorAnalysis(latent_dim=2).fit, [x, world.x[1]])
    gains = est.acquire([None, world.x[1]], [(0, d) for d in range(4)])
    assert (gains[:, [0, 1, 3]] > 0).all()
    np.testing.assert_array_equal(gains[:, 2], 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"candidates": ["x"]}, "There is no modality 'x'; MultimodalFactorAnalysis was fitted"),
        ({"target": 3}, "There is no modality 3; MultimodalFactorAnalysis was fitted on ['rna'"),
        ({"candidates": [("adt", 5)]}, "There is no column 5 in modality 'adt'; it has positions"),
        (
            {"candidates": [("atac", "c9")]},
            "There is no column 'c9' in modality 'atac'; it has positions 0 to 2, or labels 'c0', "
            "'c1', 'c2'.",
        ),
        ({"candidates": ("rna", "adt")}, "give several modalities as a list"),
        (
            {"candidates": ["rna", ("atac", 1)], "target": "atac"},
            "A candidate cannot hold some of the target, but [('atac', 1)] do.",
        ),
        ({"candidates": []}, "There is no candidate: candidates is an empty list"),
        ({"target": NAMES}, "There is no candidate: candidates is an empty list, or None where"),
        ({"target": []}, "target is an empty list. Name what you want to know, or pass None."),
        ({"costs": [1, 2]}, "costs must have one number for each of 3 candidates; got 2."),
        ({"costs": {"rna": 1}}, "costs must have a number for every candidate; ['adt', 'atac']"),
        ({"costs": [1, 0, 1]}, "costs must be positive numbers; that of 'adt' is 0."),
        ({"costs": [1, 1, np.nan]}, "costs must be positive numbers; that of 'atac' is nan."),
        ({"costs": ["a", 1, 1]}, "costs must be positive numbers; that of 'rna' is 'a'."),
    ],
)
def test_mistakes_are_told(exact, world, words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        exact["factor analysis"].acquire(named(world.x), **words)


def test_divergence_of_mixtures_is_unbiased():
    """Against numerical integration of mixtures of two Gaussians."""
    from skpoe.posteriors import DiagonalGaussian

    def mixture(means, weights, n=1):
        mean = torch.tensor(means, dtype=torch.float64)[:, None, None].expand(-1, n, 1)
        params = {"mean": mean, "precision": torch.full_like(mean, 2.0)}
        logs = torch.tensor(weights, dtype=torch.float64).log()[:, None].expand(-1, n)
        return SubsetPosterior(DiagonalGaussian(), params, logs, StandardGaussian(1))

    sides = [([-1.0, 1.5], [0.3, 0.7]), ([-0.5, 0.5], [0.6, 0.4])]
    noise = RowNoise(0, torch.arange(20000))
    draws = mixture(*sides[0], 20000).divergence_from(mixture(*sides[1], 20000), noise)
    at = np.linspace(-8, 8, 20001)
    p, q = (
        sum(w * np.exp(-((at - m) ** 2)) / np.pi**0.5 for m, w in zip(*side, strict=True))
        for side in sides
    )
    exactly = np.trapezoid(p * np.log(p / q), at)
    assert abs(draws.mean().item() - exactly) < 5 * draws.std().item() / 20000**0.5


def test_mixtures_tell_what_they_learn(world):
    """A mixture of experts whose modalities share one variable: what is shown tells more."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 1))
    X = [z + s * rng.normal(size=(200, 2)) for s in (0.2, 3.0, 0.2)]
    est = MMVAE(latent_dim=1, hidden_layer_sizes=(32,), max_iter=60, random_state=0).fit(X)
    gains = quiet(est.acquire, [x[:1] * np.nan for x in X], target=2)
    assert gains[0, 0] > 3 * gains[0, 1]


# posterior means, densities and draws given some modalities


@every_kind
def test_laws_of_what_is_given(cls):
    world = LinearGaussian(n=24)
    holed = punch(world.x, "both")
    X, est = named(holed), fitted_on_holes(cls)
    only = {"rna": X["rna"], "adt": None, "atac": X["atac"]}
    for given in (["rna", 2], ("atac", 0)):
        np.testing.assert_array_equal(est.transform(X, given=given), est.transform(only))
    np.testing.assert_array_equal(est.transform(X, given=None), est.transform(X))
    np.testing.assert_allclose(est.transform(X, given=[]), est.transform(X)[:1].repeat(24, 0))
    # densities: those that the scorer averages
    values = est.log_likelihood(X, "adt", given="rna")
    shows = ~np.isnan(holed[1]).all(1)
    assert values.shape == (24,)
    np.testing.assert_array_equal(values[~shows], 0)
    score = ConditionalLogLikelihood("adt", given="rna")(est, X)
    np.testing.assert_allclose(values[shows].mean(), score)
    np.testing.assert_array_equal(est.log_likelihood(X, 1), est.log_likelihood(X, 1, [0, 2]))
    assert np.isfinite(CrossModal("adt")(est, X))
    # draws
    first, second = quiet(est.sample_conditional, X, 2, given="rna")
    again = quiet(est.sample_conditional, {**X, "adt": None, "atac": None}, 2)
    for m, key in enumerate(NAMES):
        a, b = np.asarray(first[key]), np.asarray(second[key])
        assert type(first[key]) is type(X[key])
        assert np.isfinite(a).all()
        assert ((a != b) & (a != holed[m])).mean() > 0.99
        np.testing.assert_array_equal(a, np.asarray(again[0][key]))
    pd.testing.assert_index_equal(first["atac"].index, X["atac"].index)


def test_draws_given_a_modality_have_the_exact_mean_and_covariance(exact, world):
    n_draws = 4000
    for est in exact.values():
        mean, loadings, noise = gaussian_of(est)
        X = {key: x[:3] for key, x in named(world.x).items()}
        made = est.sample_conditional(X, n_draws, given="adt")
        draws = np.stack([np.hstack([np.asarray(x[key]) for key in NAMES]) for x in made])
        W, s2, shown = loadings[4:9], noise[4:9], np.asarray(X["adt"])
        spread = np.linalg.inv(np.eye(3) + W.T @ (W / s2[:, None]))
        centre = (shown - mean[4:9]) / s2 @ W @ spread
        factor = np.linalg.cholesky(loadings @ spread @ loadings.T + np.diag(noise))
        for n in range(3):
            gap = draws[:, n] - (mean + loadings @ centre[n])
            white = np.linalg.solve(factor, gap.T).T
            assert np.abs(white.mean(0)).max() < 4.5 / n_draws**0.5
            assert np.abs(white.T @ white / n_draws - np.eye(12)).max() < 6.75 / n_draws**0.5


def test_density_of_some_given_others_is_exact(exact, world):
    """A ratio of two Gaussians; by draws from the exact posterior, or without any."""
    holed = punch(world.x, "both")
    for name, est in exact.items():
        mean, loadings, noise = gaussian_of(est)
        covariance = covariance_of(loadings, noise)

        def log_density(*shown, holed=holed, mean=mean, covariance=covariance):
            parts = [x if m in shown else x * np.nan for m, x in enumerate(holed)]
            return log_prob(np.hstack(parts), mean, covariance)

        expected = log_density(0, 1, 2) - log_density(1, 2)
        if name == "PoEVAE":
            est.set_params(n_importance_samples=4000)
        values = est.log_likelihood(named(holed), "rna")
        tolerance = 1e-8 if name == "factor analysis" else 0.3
        np.testing.assert_allclose(values, expected, atol=tolerance)
        if name == "PoEVAE":
            est.set_params(n_importance_samples=100)


def test_words_of_conditional_methods(exact, world):
    est, X = exact["factor analysis"], named(world.x)
    with pytest.raises(ValueError, match=re.escape("['rna'] are in of and in given.")):
        est.log_likelihood(X, "rna", given=["rna", "adt"])
    with pytest.raises(
        ValueError, match=re.escape("got of=['rna', 'adt', 'atac'] and given=None")
    ):
        est.log_likelihood(X, NAMES)
    for method in (est.transform, est.sample_conditional):
        with pytest.raises(ValueError, match="There is no modality 'x'; MultimodalFactorAnalysis"):
            method(X, given="x")
    for bad in (0, 1.5, "two"):
        with pytest.raises(ValueError, match="n_samples must be a positive integer; got"):
            est.sample_conditional(X, bad)
    est.set_output(transform="pandas")
    frame = est.transform(X, given="adt")
    est.set_output(transform="default")
    pd.testing.assert_index_equal(frame.index, X["atac"].index)
    np.testing.assert_array_equal(frame.to_numpy(), est.transform(X, given="adt"))
