"""Scorers against closed forms, sklearn.metrics on cells masked by hand, and model selection."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from linear_gaussian import LinearGaussian
from scipy.stats import multivariate_normal
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, check_cv, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skpoe import MVAE, Modalities, PoEVAE
from skpoe.data.batch import Batch
from skpoe.metrics import conditional_log_likelihood
from skpoe.random import RowNoise, row_keys
from skpoe.scorers import (
    Coherence,
    ConditionalLogLikelihood,
    CrossModal,
    LatentProbe,
    LogLikelihood,
)
from skpoe.subsets import Subsets

FAST = {
    "max_iter": 4,
    "latent_dim": 2,
    "init": "random",  # scorers meet the same model from any start, and this is the quickest
    "n_importance_samples": 8,
    "random_state": 0,
    "n_threads": 1,
}
CROSS = [
    ConditionalLogLikelihood("b"),
    CrossModal("b"),
    CrossModal("b", metric="neg_root_mean_squared_error"),
]


@pytest.fixture(scope="module")
def world():
    return LinearGaussian()


@pytest.fixture(scope="module")
def holes(world):
    """Cells (N, F_m) that are observed; the first modality whole or not, as exactness needs."""
    rng = np.random.default_rng(1)
    observed = [rng.uniform(size=x.shape) < 0.6 for x in world.x]
    observed[0][:] = observed[0][:, :1]
    observed[2][::7] = False
    return observed


@pytest.fixture(scope="module")
def data():
    """Two modalities, names a and b, with missing rows, cells, and rows that show nothing."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(48, 2))
    X = {
        n: z @ rng.normal(size=(2, w)) + rng.normal(size=(48, w)) for n, w in (("a", 4), ("b", 3))
    }
    X["a"][::5] = np.nan
    X["b"][::4] = np.nan
    X["b"][1::6, 0] = np.nan
    return X


@pytest.fixture(scope="module")
def fitted(data):
    return PoEVAE(**FAST).fit(data)


@pytest.fixture(scope="module")
def exact(world):
    """An estimator whose model is the exact one."""
    est = PoEVAE(latent_dim=world.latent_dim, max_iter=1, covariance="full", random_state=0)
    est.fit(list(world.x))
    est.model_ = world.model()
    return est


def exactly(error, message):
    """Expect an error with these words and no others."""
    return pytest.raises(error, match=f"^{re.escape(message)}$")


def masked(arrays, observed):
    return [np.where(o, x, np.nan) for x, o in zip(arrays, observed, strict=True)]


def log_prob(world, n, observed, modalities):
    """Exact log p of the observed cells of some modalities in row n."""
    keep = np.concatenate([o[n] & (m in modalities) for m, o in enumerate(observed)])
    if not keep.any():
        return 0.0
    W, b, s2, x = world.stacked(range(len(observed)))
    covariance = W @ W.T + np.diag(s2)
    return multivariate_normal(b[keep], covariance[np.ix_(keep, keep)]).logpdf(x[n, keep])


def exact_conditional(world, observed, target, given):
    return np.array(
        [
            log_prob(world, n, observed, {*target, *given}) - log_prob(world, n, observed, given)
            for n in range(world.n)
        ]
    )


def conditional(world, batch, target, given, n_draws, seed=0, model=None):
    noise = RowNoise(seed, row_keys(batch.values, batch.masks))
    with torch.no_grad():
        return conditional_log_likelihood(
            model or world.model(), batch, noise, n_draws, target, given
        ).numpy()


@pytest.mark.parametrize(
    ("target", "given"), [([1], [0]), ([2], [0]), ([1, 2], [0]), ([2], [0, 1]), ([0], [2, 1])]
)
def test_conditional_is_unbiased_for_p_of_target_given_the_rest(world, target, given):
    """The exponential of the estimate has the conditional density as its expectation."""
    everything = [np.ones(x.shape, dtype=bool) for x in world.x]
    truth = exact_conditional(world, everything, target, given)
    draws = [conditional(world, world.batch(), target, given, 500, seed) for seed in range(40)]
    ratio = np.exp(np.stack(draws) - truth)
    error = ratio.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(ratio.mean(0) - 1) <= 5 * error).all()
    assert np.median(error) < 0.05


def test_conditional_scores_observed_cells_alone_and_starts_from_the_prior(world, holes):
    """Cells of the target are missing; rows show nothing of given, or of the target."""
    batch = Batch.from_arrays(masked(world.x, holes))
    truth = exact_conditional(world, holes, [1, 2], [0])
    estimate = conditional(world, batch, [1, 2], [0], 50_000)
    assert (~holes[0][:, 0]).sum() > 5
    np.testing.assert_allclose(estimate, truth, atol=0.15)
    nothing = ~holes[2].any(1)
    estimate = conditional(world, batch, [2], [0], 50)
    np.testing.assert_allclose(estimate[nothing], 0, atol=1e-12)
    assert (estimate[~nothing] != 0).all()


def test_conditional_reads_given_and_target_alone(world):
    batch = world.batch()
    noise = RowNoise(0, row_keys(batch.values, batch.masks))

    def value(changed=None):
        changed_batch = Batch(
            [v + 5.0 * (m == changed) for m, v in enumerate(batch.values)], batch.masks
        )
        with torch.no_grad():
            return conditional_log_likelihood(world.model(), changed_batch, noise, 4, [2], [0])

    assert torch.equal(value(), value(changed=1))
    assert (value() != value(changed=0)).all()
    assert (value() != value(changed=2)).all()


def test_conditional_of_a_mixture_averages_its_components(world):
    """A mixture of experts given two modalities is half of each, up to Monte Carlo."""
    model = world.model()
    model.subsets = Subsets.singletons(3)
    everything = [np.ones(x.shape, dtype=bool) for x in world.x]
    parts = [exact_conditional(world, everything, [2], [m]) for m in (0, 1)]
    estimate = conditional(world, world.batch(), [2], [0, 1], 20_000, model=model)
    np.testing.assert_allclose(estimate, np.logaddexp(*parts) - np.log(2), atol=0.1)


def test_conditional_scorer_is_the_mean_over_rows_that_show_the_target(world, holes, exact):
    est = copy.deepcopy(exact).set_params(n_importance_samples=4000)
    X = masked(world.x, holes)
    shown = holes[2].any(1)
    score = ConditionalLogLikelihood(2, given=[0])(est, X)
    by_hand = conditional(world, Batch.from_arrays(X), [2], [0], 4000, seed=est._seed)
    np.testing.assert_allclose(score, by_hand[shown].mean(), rtol=1e-12)
    truth = exact_conditional(world, holes, [2], [0])[shown].mean()
    np.testing.assert_allclose(score, truth, atol=0.03)


def test_a_row_scores_the_same_in_any_company(data, fitted):
    scorer = ConditionalLogLikelihood("b")
    X = Modalities(data)
    shown = np.flatnonzero(~np.isnan(data["b"]).all(1))
    alone = [scorer(fitted, X[int(n)]) for n in shown]
    np.testing.assert_allclose(scorer(fitted, X), np.mean(alone), rtol=1e-12)


def by_column(metric, truth, predicted):
    """Mean over columns of a function of sklearn.metrics on the observed cells."""
    scores = []
    for x, p in zip(truth.T, predicted.T, strict=True):
        cells = ~np.isnan(x)
        scores.append(metric(x[cells], p[cells]))
    return np.mean(scores)


@pytest.mark.parametrize(
    ("metric", "ours", "sign"),
    [("r2", r2_score, 1), ("neg_root_mean_squared_error", root_mean_squared_error, -1)],
)
def test_cross_modal_judges_the_exact_conditional_mean(world, holes, exact, metric, ours, sign):
    X = masked(world.x, holes)
    mean = world.conditional_mean(2, (0,))
    mean[~holes[0][:, 0]] = world.b[2]
    score = CrossModal("modality_2", given="modality_0", metric=metric)(exact, X)
    np.testing.assert_allclose(score, sign * by_column(ours, X[2], mean), rtol=1e-9)
    both = CrossModal(["modality_2", 1], metric=metric)(exact, X)
    given = [X[0], None, None]
    filled = exact.predict_missing(given)
    parts = [
        [by_column(ours, X[m][:, [j]], filled[m][:, [j]]) for j in range(world.widths[m])]
        for m in (1, 2)
    ]
    np.testing.assert_allclose(both, sign * np.mean(np.concatenate(parts)), rtol=1e-9)


def test_r2_on_complete_data_is_that_of_scikit_learn(world, exact):
    score = CrossModal(1, given=(0, 2))(exact, list(world.x))
    exact_mean = world.conditional_mean(1, (0, 2))
    np.testing.assert_allclose(score, r2_score(world.x[1], exact_mean), rtol=1e-9)


def test_r2_leaves_out_columns_that_do_not_vary(data, fitted):
    X = copy.deepcopy(data)
    X["b"][~np.isnan(X["b"][:, 1]), 1] = 0.1  # its sum of squares is 1e-32, not zero
    X["b"][:, 2] = np.nan
    X["b"][:, 0] = np.arange(48.0)
    predicted = fitted.predict_missing({"a": X["a"], "b": None})["b"]
    score = CrossModal("b")(fitted, X)
    np.testing.assert_allclose(score, r2_score(X["b"][:, 0], predicted[:, 0]), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_neg_log_loss_is_that_of_scikit_learn(dtype):
    rng = np.random.default_rng(0)
    p = 1 / (1 + np.exp(-3 * rng.normal(size=(60, 1))))
    X = [(rng.uniform(size=(60, w)) < p).astype(dtype) for w in (6, 4)]
    X[0][::7] = np.nan
    X[1][rng.uniform(size=(60, 4)) < 0.3] = np.nan
    est = MVAE(**FAST, likelihood="bernoulli").fit(X)

    def loss(x, p):
        return log_loss(x, p, labels=[0, 1])

    scorer = CrossModal(1, metric="neg_log_loss")
    predicted = est.predict_missing([X[0], None])[1]
    assert predicted.dtype == dtype
    np.testing.assert_allclose(scorer(est, X), -by_column(loss, X[1], predicted), rtol=1e-5)
    # certain and wrong: clipped by the eps of the dtype
    with torch.no_grad():
        est.model_.decoders[1][-1].bias += 1e4
    wrong = [X[0], np.zeros_like(X[1])]
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(scorer(est, wrong), np.log(eps), rtol=1e-6)


def test_accuracy_is_that_of_levels_and_rounded_probabilities():
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    X = {"a": rng.normal(size=(120, 3)) + z[:, None], "b": np.digitize(z, [-0.5, 0.5])[:, None]}
    X["b"] = np.hstack([X["b"], X["b"] > 0, np.where(X["b"] > 1, np.nan, X["b"])]).astype(float)
    likelihood = {"a": "gaussian", "b": {0: "ordinal", 1: "bernoulli", 2: "categorical"}}
    est = PoEVAE(**FAST | {"init": "auto"}, likelihood=likelihood).fit(X)
    filled = est.predict_missing({"a": X["a"], "b": None})["b"]
    shown = ~np.isnan(X["b"])
    wanted = [(np.rint(filled[s, j]) == X["b"][s, j]).mean() for j, s in enumerate(shown.T)]
    assert CrossModal("b", metric="accuracy")(est, X) == pytest.approx(np.mean(wanted))
    assert min(wanted) > 0.5


def test_coherence_is_what_a_classifier_finds_in_what_is_made_up(data, fitted):
    y = np.arange(48) % 2
    real = np.nan_to_num(data["b"])
    judge = LogisticRegression().fit(real, y)
    made_up = fitted.predict_missing({"a": data["a"], "b": None})["b"]
    wanted = judge.score(made_up, y)
    assert Coherence("b", classifier=judge)(fitted, data, y) == pytest.approx(wanted)
    assert Coherence(1, "a", classifier=judge)(make_pipeline(fitted), data, y) == wanted
    with exactly(
        ValueError, "Coherence needs y and a classifier of it, fitted on the target; got no y."
    ):
        Coherence("b", classifier=judge)(fitted, data)
    with pytest.raises(ValueError, match="got classifier=None"):
        Coherence("b")(fitted, data, y)
    three = [data["a"], data["b"], data["a"]]
    est = MVAE(**FAST).fit(three)
    with pytest.raises(ValueError, match=r"Coherence has one target; got \(0, 1\)"):
        Coherence([0, 1], classifier=judge)(est, three, y)


def forms(data):
    pair = list(data.values())
    frames = {
        name: pd.DataFrame(x, columns=list("pqrs")[: x.shape[1]]) for name, x in data.items()
    }
    return {
        "list": pair,
        "tuple": tuple(pair),
        "dict": dict(data),
        "frames": frames,
        "modalities": Modalities(data),
    }


@pytest.mark.parametrize("scorer", [LogLikelihood(), LatentProbe(), *CROSS], ids=repr)
def test_every_form_of_x_scores_alike_and_is_left_alone(data, fitted, scorer):
    y = np.arange(48) % 2
    expected = scorer(fitted, data, y)
    for x in data.values():
        x.flags.writeable = False
    try:
        for X in [*forms(data).values(), dict(reversed(data.items()))]:
            before = copy.deepcopy(X)
            assert scorer(fitted, X, y) == pytest.approx(expected, rel=1e-12)
            pairs = zip(values(before), values(X), strict=True)
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
    finally:
        for x in data.values():
            x.flags.writeable = True


def values(X):
    tables = X if isinstance(X, (list, tuple)) else [table for _, table in X.items()]
    return [np.asarray(table) for table in tables]


@pytest.mark.parametrize("scorer", [LogLikelihood(), *CROSS], ids=repr)
def test_one_table_scores_as_its_modalities(data, fitted, scorer):
    expected = scorer(fitted, data)
    table = np.hstack(list(data.values()))
    order = [4, 0, 1, 5, 2, 3, 6]  # the modalities are interleaved
    frame = pd.DataFrame(table, columns=["a0", "a1", "a2", "a3", "b0", "b1", "b2"]).iloc[:, order]
    columns = {"a": ["a0", "a1", "a2", "a3"], "b": ["b0", "b1", "b2"]}
    est = PoEVAE(**FAST, modalities=columns).fit(frame)
    before = frame.copy()
    assert scorer(est, frame) == pytest.approx(expected, rel=1e-9)
    pd.testing.assert_frame_equal(frame, before)
    where = {"a": [1, 2, 4, 5], "b": [0, 3, 6]}
    est = PoEVAE(**FAST, modalities=where).fit(table[:, order])
    assert scorer(est, table[:, order]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fitted_on", ["list", "tuple", "dict", "frames", "modalities"])
def test_estimators_fitted_on_any_form(data, fitted, fitted_on):
    est = PoEVAE(**FAST).fit(forms(data)[fitted_on])
    X = forms(data)[fitted_on]
    for scorer in (ConditionalLogLikelihood(1), CrossModal(1)):
        assert scorer(est, X) == pytest.approx(scorer(fitted, data), rel=1e-12)


@pytest.mark.parametrize("scorer", CROSS, ids=repr)
def test_rows_that_show_nothing_of_given_are_predicted_from_the_prior(data, fitted, scorer):
    b = data["b"]
    all_none = scorer(fitted, {"a": None, "b": b})
    all_nan = scorer(fitted, {"a": np.full((48, 4), np.nan), "b": b})
    container = scorer(fitted, Modalities({"a": None, "b": b}, n_features={"a": 4})[::-1])
    assert np.isfinite(all_none)
    assert all_none == pytest.approx(all_nan, rel=1e-12) == pytest.approx(container, rel=1e-12)


def test_prior_mean_is_what_cross_modal_judges_without_given(world, exact):
    score = CrossModal(1, metric="neg_root_mean_squared_error")(exact, [None, world.x[1], None])
    b = np.tile(world.b[1], (world.n, 1))
    np.testing.assert_allclose(score, -root_mean_squared_error(world.x[1], b), rtol=1e-9)


def test_latent_probe_is_cross_validation_on_the_latents(data, fitted):
    Z = fitted.transform(data)
    y = Z[:, 0] / Z[:, 0].std() + 0.1 * np.random.default_rng(0).normal(size=48)
    ridge = make_pipeline(StandardScaler(), Ridge())
    by_hand = cross_val_score(ridge, Z, y, cv=KFold(3, shuffle=True, random_state=0)).mean()
    assert LatentProbe()(fitted, data, y) == by_hand == LatentProbe(Ridge())(fitted, data, y)
    assert by_hand > 0.7
    order = np.argsort(y)  # data sorted by y do no harm
    assert LatentProbe()(fitted, Modalities(data)[order], y[order]) > 0.7
    words = np.where(y > np.median(y), "high", "low")
    default = LatentProbe()(fitted, data, words)
    assert default == LatentProbe(LogisticRegression(max_iter=1000))(fitted, data, words)
    assert default > 0.7
    forest = LatentProbe(RandomForestClassifier(5, random_state=0))
    assert forest(fitted, data, words) == forest(fitted, data, words)


def test_pipelines_and_searches_are_looked_through(data, fitted):
    table = np.hstack(list(data.values()))
    est = PoEVAE(**FAST, modalities={"a": range(4), "b": range(4, 7)})
    scale = FunctionTransformer(np.negative)
    y = np.arange(48) % 2
    pipeline = make_pipeline(scale, est).fit(table)
    plain = copy.deepcopy(pipeline[-1])
    for scorer in [LogLikelihood(), LatentProbe(), *CROSS]:
        assert scorer(pipeline, table, y) == scorer(plain, -table, y)
        nested = Pipeline([("outer", pipeline)])
        assert scorer(nested, table, y) == scorer(plain, -table, y)
    search = GridSearchCV(PoEVAE(**FAST), {"beta": [0.5]}, cv=2, scoring=CrossModal("b"))
    search.fit(Modalities(data))
    assert CrossModal("b")(search, data) == CrossModal("b")(search.best_estimator_, data)


def test_grid_search_with_several_scorers_in_two_processes(data):
    scoring = {
        "ll": LogLikelihood(),
        "cond": ConditionalLogLikelihood("b", given="a"),
        "r2": CrossModal("b"),
        "probe": LatentProbe(),
    }
    pipeline = Pipeline([("vae", PoEVAE(**FAST))])
    search = GridSearchCV(
        pipeline,
        {"vae__latent_dim": [1, 3]},
        scoring=scoring,
        refit="r2",
        cv=2,
        n_jobs=2,
        error_score="raise",
    )
    y = np.arange(48) // 12 % 2
    X = Modalities(data)
    search.fit(X, y)
    parts = list(folds(search, X, y))
    by_hand = [PoEVAE(**FAST | {"latent_dim": 1}).fit(X[train]) for train, _ in parts]
    for name, scorer in scoring.items():
        alone = [
            scorer(est, X[test], y[test]) for est, (_, test) in zip(by_hand, parts, strict=True)
        ]
        np.testing.assert_allclose(
            search.cv_results_[f"mean_test_{name}"][0], np.mean(alone), rtol=1e-6
        )
    assert search.score(X, y) == CrossModal("b")(search.best_estimator_, X)


def folds(search, X, y):
    return check_cv(search.cv, y, classifier=False).split(X, y)


def test_cross_validate_without_y(data):
    scoring = {"ll": LogLikelihood(), "r2": CrossModal("b"), "cond": CROSS[0]}
    table = np.hstack(list(data.values()))
    est = PoEVAE(**FAST, modalities={"a": range(4), "b": range(4, 7)})
    results = cross_validate(est, table, cv=2, scoring=scoring, error_score="raise")
    same = cross_validate(
        PoEVAE(**FAST), Modalities(data), cv=2, scoring=scoring, error_score="raise"
    )
    for name in scoring:
        np.testing.assert_allclose(results[f"test_{name}"], same[f"test_{name}"], rtol=1e-6)
    scores = cross_val_score(PoEVAE(**FAST), Modalities(data), cv=2, scoring=CrossModal("b"))
    np.testing.assert_allclose(scores, same["test_r2"], rtol=1e-6)


@pytest.mark.parametrize(
    ("scorer", "text"),
    [
        (LogLikelihood(), "LogLikelihood()"),
        (
            ConditionalLogLikelihood("b", ["a", 2]),
            "ConditionalLogLikelihood(target='b', given=('a', 2))",
        ),
        (CrossModal("b"), "CrossModal(target='b', given=None, metric='r2')"),
        (Coherence("b"), "Coherence(target='b', given=None, classifier=None)"),
        (LatentProbe(), "LatentProbe(estimator=None)"),
    ],
)
def test_scorers_are_values(scorer, text):
    assert repr(scorer) == text
    again = pickle.loads(pickle.dumps(scorer))
    assert again == scorer == copy.deepcopy(scorer)
    assert hash(again) == hash(scorer)
    assert scorer != CrossModal("b", metric="neg_log_loss")
    with pytest.raises(AttributeError, match="cannot assign to field"):
        scorer.target = "a"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: s("c"), "There is no modality 'c'; PoEVAE was fitted on ['a', 'b']."),
        (lambda s: s("a", "x"), "There is no modality 'x'; PoEVAE was fitted on ['a', 'b']."),
        (lambda s: s(2), "There is no modality 2; PoEVAE was fitted on ['a', 'b']."),
        (lambda s: s(-1), "There is no modality -1; PoEVAE was fitted on ['a', 'b']."),
        (
            lambda s: s("a", ["a", "b"]),
            "A target cannot be given; ['a'] are in target and in given.",
        ),
        (lambda s: s("b", 1), "A target cannot be given; ['b'] are in target and in given."),
        (
            lambda s: s(["a", "b"]),
            "There must be a modality to predict and another to predict it from; got "
            "target=('a', 'b') and given=None of the modalities ['a', 'b'].",
        ),
        (
            lambda s: s("a", []),
            "There must be a modality to predict and another to predict it from; got "
            "target='a' and given=() of the modalities ['a', 'b'].",
        ),
    ],
)
@pytest.mark.parametrize("cls", [ConditionalLogLikelihood, CrossModal])
def test_wrong_modalities_are_named(data, fitted, cls, make, message):
    with exactly(ValueError, message):
        make(cls)(fitted, data)


@pytest.mark.parametrize("scorer", CROSS, ids=repr)
def test_a_target_that_no_row_shows_is_refused(data, fitted, scorer):
    with exactly(ValueError, "No row of X shows anything of the target 'b'."):
        scorer(fitted, {"a": data["a"], "b": None})


def test_other_mistakes_are_told(data, fitted):
    with exactly(
        ValueError,
        "metric must be one of ['r2', 'neg_root_mean_squared_error', 'neg_log_loss', 'accuracy']; "
        "got 'mse'.",
    ):
        CrossModal("b", metric="mse")
    X = {"a": data["a"], "b": np.full((48, 3), 2.5)}
    with exactly(ValueError, "neg_log_loss needs a target of 0 and 1, but there is 2.5."):
        CrossModal("b", metric="neg_log_loss")(fitted, X)
    with exactly(
        ValueError,
        "R2 needs a column that varies, but no column of the target 'b' has two different "
        "observed values in X. Score more rows, or take another metric.",
    ):
        CrossModal("b")(fitted, X)
    with exactly(ValueError, "LatentProbe needs y; got None. Pass it beside X."):
        LatentProbe()(fitted, data)
    with exactly(
        TypeError,
        "LogLikelihood scores an estimator of skpoe, or a Pipeline whose last step is one; got "
        "Ridge().",
    ):
        LogLikelihood()(make_pipeline(fitted, Ridge()), data)
    with pytest.raises(NotFittedError, match="This PoEVAE instance is not fitted yet"):
        CrossModal("b")(PoEVAE(), data)
