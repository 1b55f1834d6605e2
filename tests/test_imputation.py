"""Draws and intervals of what is missing: closed forms, and laws for every estimator."""

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from joint_gaussian import conditional, covariance_of, gaussian_of, punch
from linear_gaussian import LinearGaussian
from scipy import stats
from sklearn import config_context
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from small import KINDS, small

from skpoe import MIWAE, MVAE, Modalities, MultimodalFactorAnalysis, PoEVAE
from skpoe.drawing import quantiles
from skpoe.estimators import predicting
from skpoe.imputation import ConformalIntervals, MultimodalImputer, pool
from skpoe.random import RowNoise, tell_apart

BRIEF = {"max_iter": 2, "hidden_layer_sizes": (8,), "n_importance_samples": 8}
every_kind = pytest.mark.parametrize("cls", [*KINDS, MultimodalFactorAnalysis])


@pytest.fixture(scope="module")
def world():
    made = LinearGaussian(n=40)
    made.x = [10.0**m * x - 5 for m, x in enumerate(made.x)]
    return made


def exact(world):
    """A factor analysis, and PoEVAE that starts at it with posteriors of its own."""
    fa = MultimodalFactorAnalysis(latent_dim=3, shrinkage=0.1).fit(world.x)
    start = {"likelihood": "gaussian", "latent_dim": 3, "shrinkage": 0.1, "trust": 1.0}
    vae = PoEVAE(**start, max_iter=0, dtype="float64", hidden_layer_sizes=(8,)).fit(world.x)
    return {"factor analysis": fa, "PoEVAE": vae}


@pytest.mark.parametrize("which", ["factor analysis", "PoEVAE"])
@pytest.mark.parametrize("kind", ["modalities", "both"])
def test_draws_have_the_exact_conditional_mean_and_covariance(world, which, kind):
    est = exact(world)[which]
    mean, loadings, noise = gaussian_of(est)
    holed = punch(world.x, kind)
    n_draws = 4000
    draws = np.stack([np.hstack(x) for x in est.impute(holed, n_draws)])
    flat, covariance = np.hstack(holed), covariance_of(loadings, noise)
    n_sure = 0
    for n, row in enumerate(flat):
        missing = np.isnan(row)
        np.testing.assert_array_equal(draws[:, n, ~missing], np.tile(row[~missing], (n_draws, 1)))
        if not missing.any():
            continue
        expected, spread = conditional(row, mean, covariance)
        factor = np.linalg.cholesky(spread)
        white = np.linalg.solve(factor, (draws[:, n, missing] - expected).T).T
        bound = 4.5 / n_draws**0.5
        assert np.abs(white.mean(0)).max() < bound
        gap = white.T @ white / n_draws - np.eye(missing.sum())
        assert np.abs(gap).max() < 1.5 * bound
        n_sure += missing.sum()
    assert n_sure > 50


def test_intervals_are_those_of_the_exact_conditional(world):
    est = exact(world)["factor analysis"]
    mean, loadings, noise = gaussian_of(est)
    holed = punch(world.x, "both")
    for coverage, n_draws in ((0.5, 500), (0.9, 500), (0.999, 10_000)):
        low, high = (np.hstack(x) for x in est.predict_interval(holed, coverage))
        reach = stats.norm.ppf(0.5 + coverage / 2)
        beyond = 0.5 - coverage / 2
        error = np.sqrt(beyond * (1 - beyond) / n_draws) / stats.norm.pdf(reach)
        for n, row in enumerate(np.hstack(holed)):
            missing = np.isnan(row)
            expected, spread = conditional(row, mean, covariance_of(loadings, noise))
            deviation = np.sqrt(np.diag(spread))
            for end, sign in ((low, -1), (high, 1)):
                np.testing.assert_array_equal(end[n, ~missing], row[~missing])
                gap = (end[n, missing] - expected) / deviation - sign * reach
                assert np.abs(gap).max(initial=0) < 5 * error


def test_importance_weights_correct_a_posterior_that_is_wrong(world):
    """Twice the trust makes posteriors too sure; resampling makes up for it."""
    est = exact(world)["PoEVAE"].set_params(n_importance_samples=20000)
    mean, loadings, noise = gaussian_of(est)
    covariance = covariance_of(loadings, noise)
    for vectors in est.model_.strategy.shared:
        vectors.data *= 0.8  # wider than it should be, so that weights are bounded
    rows = [x[:3] for x in world.x]
    holed = [rows[0], None, rows[2]]
    size = est.effective_sample_size(holed)
    assert (size < 0.97 * 20000).all()
    draws = np.stack([x[1] for x in est.impute(holed, 4000)])
    for n in range(3):
        row = np.hstack([rows[0][n], np.full(rows[1].shape[1], np.nan), rows[2][n]])
        expected, spread = conditional(row, mean, covariance)
        z = (draws[:, n].mean(0) - expected) / np.sqrt(np.diag(spread))
        assert np.abs(z).max() < 0.1
        np.testing.assert_allclose(draws[:, n].var(0) / np.diag(spread), 1, atol=0.12)


@every_kind
def test_laws_of_imputations(cls):
    world = LinearGaussian(n=24)
    X = dict(zip(["rna", "adt", "atac"], punch(world.x, "both"), strict=True))
    X["rna"] = pd.DataFrame(X["rna"], index=[f"p{n}" for n in range(24)]).add_prefix("g")
    est = small(cls, max_iter=20, hidden_layer_sizes=(16,), random_state=0).fit(X)
    before = {key: np.array(x) for key, x in X.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        first, second = est.impute(X, 2)
        again = est.impute(X, 2)
        some = est.impute({key: x[5:9] for key, x in X.items()}, 2)
    low, high = est.predict_interval(X)
    for result in (first, second, low, high):
        assert list(result) == list(X)
        for key, x in X.items():
            assert type(result[key]) is type(x)
            known = ~np.isnan(before[key])
            np.testing.assert_array_equal(np.array(result[key])[known], before[key][known])
            assert not np.isnan(np.array(result[key])).any()
            np.testing.assert_array_equal(np.array(x), before[key])
    pd.testing.assert_index_equal(first["rna"].index, X["rna"].index)
    for key in X:
        a, b = np.array(first[key]), np.array(second[key])
        missing = np.isnan(before[key])
        assert (a != b)[missing].mean() > 0.99
        np.testing.assert_array_equal(a, np.array(again[0][key]))
        np.testing.assert_allclose(a[5:9], np.array(some[0][key]), rtol=1e-5, atol=1e-6)
        assert (np.array(low[key]) < np.array(high[key]))[missing].all()
    sizes = est.effective_sample_size(X)
    most = est.get_params().get("n_importance_samples", 1)
    assert sizes.shape == (24,)
    assert (sizes > 0.99).all()
    assert (sizes <= most * 1.5).all()  # a mixture deals its draws out evenly


def test_rows_that_are_alike_are_other_draws(monkeypatch):
    """Rows that show nothing are drawn from the model, each for itself; chunks do not matter."""
    world = LinearGaussian(n=50)
    est = MultimodalFactorAnalysis(latent_dim=2).fit(world.x)
    nothing = [np.full((400, x.shape[1]), np.nan) for x in world.x]
    draw = np.hstack(est.impute(nothing, 1)[0])
    mean, loadings, noise = gaussian_of(est)
    spread = np.sqrt(np.diag(covariance_of(loadings, noise)))
    assert len(np.unique(draw[:, 0])) == 400
    np.testing.assert_allclose(draw.std(0) / spread, 1, atol=0.2)
    assert (np.abs(draw.mean(0) - mean) < 5 * spread / 20).all()
    monkeypatch.setattr(predicting, "_CHUNK", 200)
    np.testing.assert_array_equal(np.hstack(est.impute(nothing, 1)[0]), draw)


def test_numbers_of_rows_that_are_alike():
    keys = torch.tensor([5, 7, 5, 5, 7, 9])
    whole = tell_apart(keys, Counter())
    assert torch.equal(whole[[0, 1, 5]], keys[[0, 1, 5]])
    assert len(whole.unique()) == 6
    before: Counter[int] = Counter()
    parts = torch.cat([tell_apart(part, before) for part in keys.split([2, 3, 1])])
    assert torch.equal(parts, whole)


def test_streams_apart_are_independent():
    noise = RowNoise(0, torch.arange(3))
    numbers = noise.apart(400).normal(event=5, dtype=torch.float64)
    assert numbers.shape == (1200, 5)
    assert len(numbers.flatten().unique()) == 6000
    assert stats.kstest(numbers.flatten().numpy(), "norm").pvalue > 0.001
    correlation = np.corrcoef(numbers.reshape(400, 15).numpy().T) - np.eye(15)
    assert np.abs(correlation).max() < 5 / 20


def test_quantiles_are_those_of_numpy():
    x = torch.randn(37, 2, 3, dtype=torch.float64)
    levels = torch.tensor([0.0, 0.05, 0.5, 0.95, 1.0], dtype=torch.float64)
    truth = np.quantile(x, levels, axis=0, method="weibull")
    np.testing.assert_allclose(quantiles(x, levels), truth, rtol=1e-12)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
def test_intervals_of_few_draws_hold_what_they_promise(coverage):
    """On average over draws; type 7 quantiles would hold (K - 1) / (K + 1) of it."""
    draws = torch.rand(199, 20_000, dtype=torch.float64)
    low, high = quantiles(draws, torch.tensor([0.5 - coverage / 2, 0.5 + coverage / 2]).double())
    held = high - low
    assert abs(held.mean() - coverage) < 4 * held.std() / 20_000**0.5


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_conformal_intervals_cover_what_a_wrong_model_does_not(coverage):
    """Noise grows after training."""
    rng = np.random.default_rng(0)
    z, scale = rng.normal(size=(2060, 1)), np.where(np.arange(2060) < 60, 0.3, 1.0)[:, None]
    X = [z + rng.normal(size=(2060, 4)), z + scale * rng.standard_t(3, size=(2060, 2))]
    parts = np.split(np.arange(2060), [60, 1060])
    train, calibration, test = ([x[rows] for x in X] for rows in parts)
    est = MultimodalFactorAnalysis().fit(train)

    def covered(low, high):
        return ((low[1] <= test[1]) & (test[1] <= high[1])).mean()

    asked = [test[0], None]
    before = covered(*est.predict_interval(asked, coverage))
    intervals = ConformalIntervals(est, coverage=coverage).fit([calibration[0], None], calibration)
    after = covered(*intervals.predict(asked))
    error = (2 * coverage * (1 - coverage) / 2000) ** 0.5  # of both halves
    assert abs(after - coverage) < 3 * error < abs(before - coverage)
    # from the first equation: the order statistic of the scores
    low, high = est.predict_interval([calibration[0], None], coverage)
    scores = np.abs(2 * calibration[1] - low[1] - high[1]) / (high[1] - low[1])
    rank = int(np.ceil(coverage * 2 * 1001))  # 1,000 rows of two entries, and one to come
    np.testing.assert_allclose(
        list(intervals.stretch_.values()), np.sort(scores.ravel())[rank - 1]
    )


def test_conformal_intervals_cover_entries_that_go_together():
    """Each row is noisy or quiet as a whole: few rows are few, however many entries they have."""
    rng = np.random.default_rng(0)

    def draw(n):
        z, scale = rng.normal(size=(n, 1)), rng.chisquare(1, size=(n, 1))
        return [z + rng.normal(size=(n, 2)), z + 3 * scale * rng.choice([-1, 1], size=(n, 20))]

    est = MultimodalFactorAnalysis(latent_dim=1).fit(draw(200))
    shares = []
    for _ in range(60):
        rows, new = draw(5), draw(20)
        # more than 4 / 6: it takes all five rows
        intervals = ConformalIntervals(est, coverage=0.75).fit([rows[0], None], rows)
        low, high = intervals.predict([new[0], None])
        shares.append(((low[1] <= new[1]) & (new[1] <= high[1])).mean())
    assert np.mean(shares) == pytest.approx(5 / 6, abs=3 * np.std(shares) / len(shares) ** 0.5)


def test_conformal_intervals_without_bound_hold_everything():
    """A model that is sure of a count that then varies: no factor on a width of zero is enough."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    est = MVAE(likelihood=["gaussian", "poisson"], latent_dim=1, max_iter=1, random_state=0)
    est.fit([x, np.zeros((60, 2))])
    rows = [x, rng.poisson(0.5, size=(60, 2)).astype(float)]
    intervals = ConformalIntervals(est, coverage=0.8).fit([x, None], rows)
    low, high = intervals.predict([x, None])
    assert intervals.stretch_ == {"modality_1": np.inf}
    assert (low[1] <= rows[1]).all()
    assert (rows[1] <= high[1]).all()


def test_pooled_intervals_cover_a_mean_that_has_missing_values():
    """Half of a variable is missing at random given another: Rubin's interval covers as it says.

    Complete cases alone have another mean. The model is known well, for draws take it as known.
    """
    covered = biased = 0

    def draw(rng, n):
        x = rng.normal(size=(n, 1))
        return x, x + 0.7 * rng.normal(size=(n, 1))

    model = {"latent_dim": 1, "shrinkage": 0.0}
    est = MultimodalFactorAnalysis(**model).fit(list(draw(np.random.default_rng(99), 9000)))
    for seed in range(60):
        x, y = draw(np.random.default_rng(seed), 150)
        holed = np.where(x > 0, np.nan, y)
        filled = [np.ravel(draw[1]) for draw in est.impute([x, holed], 20)]
        pooled = pool([v.mean() for v in filled], [v.var(ddof=1) / 150 for v in filled])
        reach = stats.t.ppf(0.95, pooled.df) * pooled.variance**0.5
        covered += abs(pooled.estimate) < reach
        assert 0 < pooled.missing_share < 1
        cases = y[x <= 0]
        biased += abs(cases.mean()) > 1.645 * cases.std() / len(cases) ** 0.5
    assert 47 <= covered <= 59  # of nominal 90 %: 54, within three standard errors
    assert biased == 60


def test_pooling_is_exact_where_nothing_is_missing_and_says_what_it_needs():
    same = pool([[1.0, 2.0]] * 3, [[0.5, 0.1]] * 3)
    np.testing.assert_array_equal(same.estimate, [1, 2])
    np.testing.assert_allclose(same.variance, [0.5, 0.1])
    np.testing.assert_array_equal(same.missing_share, 0)
    assert np.isinf(same.df).all()
    assert np.isinf(pool([1.0, 1.0], [0.0, 0.0]).df)
    for bad in (([1.0], [1.0]), ([1.0, 2.0], [1.0])):
        with pytest.raises(ValueError, match="at least two imputations, in arrays of the same"):
            pool(*bad)


@parametrize_with_checks(
    [
        MultimodalImputer(small(MIWAE, **BRIEF)),
        MultimodalImputer(MultimodalFactorAnalysis(shrinkage=0.1), add_indicator=True),
        MultimodalImputer(small(PoEVAE, **BRIEF), sample=True),
    ]
)
def test_the_imputer_keeps_the_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


def test_the_imputer_drops_into_a_pipeline():
    rng = np.random.default_rng(0)
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    holed = X.mask(rng.uniform(size=X.shape) < 0.3)
    imputer = MultimodalImputer(MultimodalFactorAnalysis(latent_dim=4), add_indicator=True)
    pipe = make_pipeline(imputer, StandardScaler(), LogisticRegression())
    assert cross_val_score(pipe, holed, y, cv=3).mean() > 0.9
    imputer.set_output(transform="pandas")
    filled = imputer.fit_transform(holed)
    assert list(filled) == [*X, *(f"missingindicator_{name}" for name in X)]
    pd.testing.assert_index_equal(filled.index, X.index)
    known = holed.notna().to_numpy()
    np.testing.assert_array_equal(filled.to_numpy()[:, :30][known], X.to_numpy()[known])
    np.testing.assert_array_equal(filled.to_numpy()[:, 30:], ~known)
    means = imputer.estimator_.predict_missing(holed)
    np.testing.assert_array_equal(filled.iloc[:, :30], means)
    drawn = imputer.set_params(sample=True, add_indicator=False).fit_transform(holed)
    np.testing.assert_array_equal(drawn, imputer.estimator_.impute(holed, 1)[0])


def test_the_imputer_takes_several_tables(world):
    holed = punch(world.x, "both")
    imputer = MultimodalImputer(MultimodalFactorAnalysis(latent_dim=2))
    filled = imputer.fit(holed).transform(holed)
    assert isinstance(filled, list)
    for x, before in zip(filled, holed, strict=True):
        np.testing.assert_array_equal(x[~np.isnan(before)], before[~np.isnan(before)])
        assert not np.isnan(x).any()
    with pytest.raises(ValueError, match="add_indicator=True is for one table; X has several"):
        imputer.set_params(add_indicator=True).fit(holed)


def nullable():
    """A frame of numbers, integers and truth values of pandas, each with holes."""
    z = np.random.default_rng(0).normal(size=40)
    X = pd.DataFrame({"x": z, "n": np.rint(z).astype(int), "b": z > 0})
    X = X.astype({"x": "Float64", "n": "Int64", "b": "boolean"})
    for j in range(3):
        X.iloc[j::7, j] = pd.NA
    return X


def test_the_imputer_gives_numbers_for_numbers():
    X = nullable()
    imputer = MultimodalImputer(MIWAE(**BRIEF, random_state=0))
    filled = imputer.fit_transform(X)
    assert filled.dtype == np.float64
    assert np.isfinite(filled).all()
    framed = imputer.set_output(transform="pandas").transform(X)
    assert list(framed.dtypes) == list(X.dtypes)
    np.testing.assert_array_equal(framed.to_numpy(dtype=float), filled)
    words = MultimodalImputer(MIWAE(**BRIEF)).fit_transform(X.assign(w=["u", "v"] * 20))
    assert words.dtype == object


def test_the_imputer_indicates_in_any_frame():
    X = nullable().assign(w=pd.Categorical(["u", None] * 20), v=["u", "v"] * 20)
    imputer = MultimodalImputer(MIWAE(**BRIEF, random_state=0), add_indicator=True)
    imputer.fit(X).set_output(transform="pandas")
    holed = X.iloc[5:].copy()
    filled = imputer.transform(holed)
    assert list(filled) == [*X, *(f"missingindicator_{name}" for name in "xnbw")]
    assert list(filled.dtypes[:5]) == list(X.dtypes)
    pd.testing.assert_index_equal(filled.index, holed.index)
    np.testing.assert_array_equal(filled.iloc[:, 5:], holed.isna().iloc[:, :4])
    plain = imputer.set_output(transform="default").transform(holed)
    np.testing.assert_array_equal(plain[:, 5:].astype(bool), holed.isna().iloc[:, :4])


@pytest.mark.parametrize("kind", [list, tuple, dict, Modalities])
def test_the_imputer_gives_several_tables_as_they_came(world, kind):
    named = {"a": pd.DataFrame(world.x[0]), "b": pd.DataFrame(world.x[1])}
    named["b"].iloc[::3] = np.nan
    X = kind(named if kind in (dict, Modalities) else named.values())
    imputer = MultimodalImputer(MultimodalFactorAnalysis(latent_dim=2))
    with config_context(transform_output="pandas"):
        results = [imputer.fit_transform(X)]
    results.append(imputer.set_output(transform="pandas").transform(X))
    for filled in results:
        assert type(filled) is kind
        assert isinstance(filled["b" if kind in (dict, Modalities) else 1], pd.DataFrame)
    pipe = make_pipeline(imputer, MVAE(**BRIEF)).set_output(transform="pandas")
    assert next(iter(pipe.fit_transform(X))) == "mvae0"


def test_errors_say_what_to_do(world):
    est = exact(world)["factor analysis"]
    for bad in (0, 1.5, "two"):
        with pytest.raises(ValueError, match="n_imputations must be a positive integer; got"):
            est.impute(world.x, bad)
    for bad in (0, 1, 90, "most"):
        with pytest.raises(ValueError, match="coverage must lie between 0 and 1; got"):
            est.predict_interval(world.x, bad)
    with pytest.raises(ValueError, match=r"coverage=0.99999 would take more than 100,000 draws"):
        est.predict_interval(world.x, 0.99999)
    rna, protein = world.x[0][:8], world.x[0][:8, :1]
    one = MultimodalFactorAnalysis(latent_dim=1).fit([rna, protein])
    with pytest.raises(ValueError, match=r"coverage=0.9 needs at least 9\."):
        ConformalIntervals(one).fit([rna, None], [rna, protein])
    some = [x[:2] for x in world.x]
    with pytest.raises(ValueError, match=r"'modality_1' has \d+ calibration rows .* at least 999"):
        ConformalIntervals(est, coverage=0.999).fit([some[0], None, some[2]], some)
    with pytest.raises(ValueError, match="No entry is missing in X and known in truth"):
        ConformalIntervals(est).fit(some, some)


def test_few_effective_samples_are_reported():
    """A posterior that knows nothing of x, beside a likelihood that knows all of it."""
    world = LinearGaussian(n=60, widths=(40, 40), latent_dim=10)
    est = PoEVAE(init="random", max_iter=1, latent_dim=10, likelihood="gaussian").fit(world.x)
    for likelihood in est.model_.likelihoods:
        likelihood.start_noise(torch.full((40,), 1e-3))
    with pytest.warns(UserWarning, match=r"In \d+ of 60 rows, fewer than 10 of 100 importance"):
        est.impute([world.x[0], None], 2)
    assert np.median(est.effective_sample_size([world.x[0], None])) < 10
    est.set_params(n_importance_samples=10)
    with pytest.warns(UserWarning, match=r"fewer than 5 of 10 importance samples count"):
        est.impute([world.x[0], None], 2)
    for filled, x in zip(est.impute(world.x, 1)[0], world.x, strict=True):  # nothing is drawn
        np.testing.assert_array_equal(filled, x)
