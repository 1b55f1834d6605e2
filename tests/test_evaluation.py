"""Scores of filled-in cells: closed forms, and what each kind of column has."""

import numpy as np
import pandas as pd
import pytest
import torch
from joint_gaussian import conditional, covariance_of, gaussian_of
from linear_gaussian import LinearGaussian
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss, r2_score
from small import FAST
from test_mixed import LIKELIHOODS, clinic

from skpoe import MultimodalFactorAnalysis, PoEVAE
from skpoe.evaluation import crps_of, evaluate_imputation, imputation_scores
from skpoe.imputation import ConformalIntervals
from skpoe.inspection import CoverageDisplay, ImputationDisplay


def gaussian_crps(y, mean, scale):
    """Gneiting & Raftery (2007), the line after equation 20."""
    z = (y - mean) / scale
    return scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - np.pi**-0.5)


def test_crps_of_draws_is_that_of_all_pairs_and_tends_to_the_closed_form():
    rng = np.random.default_rng(0)
    draws, y = rng.normal(size=(40, 5)), rng.normal(size=5)
    pairs = np.abs(draws[:, None] - draws[None])
    wanted = np.abs(draws - y).mean(0) - pairs.sum((0, 1)) / (2 * 40 * 39)
    ours = crps_of(torch.from_numpy(draws), torch.from_numpy(y))
    np.testing.assert_allclose(ours, wanted, rtol=1e-12)
    many = torch.from_numpy(2 + 3 * rng.normal(size=(200_000, 5)))
    np.testing.assert_allclose(
        crps_of(many, torch.from_numpy(y)), gaussian_crps(y, 2, 3), atol=0.02
    )


def test_scores_of_an_exact_model_are_those_of_the_exact_conditional():
    world = LinearGaussian(n=400)
    est = MultimodalFactorAnalysis(latent_dim=3).fit(world.x)
    mean, loadings, noise = gaussian_of(est)
    X = [world.x[0], world.x[1], np.full_like(world.x[2], np.nan)]
    scores = imputation_scores(est, X, world.x, coverage=0.8, n_draws=500)
    assert list(scores.index) == [("modality_2", j) for j in range(3)]
    flat = np.hstack(X)
    told = [conditional(row, mean, covariance_of(loadings, noise)) for row in flat]
    centre = np.stack([m for m, _ in told])
    scale = np.stack([np.sqrt(np.diag(s)) for _, s in told])
    truth = world.x[2]
    np.testing.assert_allclose(
        scores["rmse"], np.sqrt(np.square(centre - truth).mean(0)), rtol=1e-6
    )
    np.testing.assert_allclose(
        scores["crps"], gaussian_crps(truth, centre, scale).mean(0), rtol=0.02
    )
    reach = stats.norm.ppf(0.9)
    np.testing.assert_allclose(scores["width"], 2 * reach * scale.mean(0), rtol=0.03)
    inside = (np.abs(truth - centre) < reach * scale).mean(0)
    np.testing.assert_allclose(scores["coverage"], inside, atol=0.03)
    assert scores[["accuracy", "log_loss"]].isna().all(axis=None)


def test_each_kind_of_column_has_its_scores():
    holed, truth = clinic(120)
    est = PoEVAE(**FAST).fit(holed)
    scores = imputation_scores(est, holed, truth).loc["X"]
    assert scores["likelihood"].to_dict() == LIKELIHOODS
    hidden = holed.isna()
    assert (scores["n_hidden"] == hidden.sum()).all()
    levels = scores["likelihood"].isin(["bernoulli", "categorical", "ordinal"])
    for name in ("accuracy", "log_loss"):
        assert (scores[name].notna() == levels).all()
    assert (scores["rmse"].isna() == levels).all()
    ordered = scores["likelihood"] != "categorical"
    for name in ("crps", "coverage", "width"):
        assert (scores[name].notna() == ordered).all()
    filled, chances = est.predict_missing(holed), est.predict_proba(holed)
    for name in scores.index[levels]:
        rows = hidden[name]
        x = truth[name][rows].astype(str)
        accuracy = accuracy_score(x, filled[name][rows].astype(str))
        assert scores.loc[name, "accuracy"] == pytest.approx(accuracy)
        table = chances[name][rows]
        table.columns = table.columns.astype(str)
        table = table[sorted(table.columns)]
        expected = log_loss(x, table, labels=list(table.columns))
        assert scores.loc[name, "log_loss"] == pytest.approx(expected)


def test_rows_are_scored_in_parts(monkeypatch):
    holed, truth = clinic(40)
    est = PoEVAE(**FAST).fit(holed)
    whole = imputation_scores(est, holed, truth)
    monkeypatch.setattr("skpoe.evaluation._HELD", 7 * 200 * holed.shape[1])
    parts = imputation_scores(est, holed, truth)
    np.testing.assert_allclose(whole.drop(columns="likelihood"), parts.drop(columns="likelihood"))


def test_without_a_hidden_cell_there_is_nothing_to_score():
    holed, _ = clinic(40)
    est = PoEVAE(**FAST).fit(holed)
    with pytest.raises(ValueError, match="No entry is missing in X and known in truth"):
        imputation_scores(est, holed, holed)
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1; got 90"):
        imputation_scores(est, holed, holed, coverage=90)
    with pytest.raises(ValueError, match="n_draws must be an integer of at least 2; got 1"):
        imputation_scores(est, holed, holed, n_draws=1)


def test_relative_errors_are_what_r2_lacks():
    # a column in single precision would round what is filled in
    holed, truth = (table.astype({"weight": float}) for table in clinic(60))
    est = PoEVAE(**FAST).fit(holed)
    scores, filled = imputation_scores(est, holed, truth).loc["X"], est.predict_missing(holed)
    numbers = [name for name in scores.index if not np.isnan(scores.loc[name, "rmse"])]
    assert numbers
    for name in numbers:
        hidden = holed[name].isna()
        y, guess = (x[name][hidden].astype(float) for x in (truth, filled))
        if isinstance(holed[name].dtype, np.dtype):  # pandas rounds in the others
            assert scores.loc[name, "relative_error"] == pytest.approx(1 - r2_score(y, guess))
    assert scores.drop(numbers)["relative_error"].isna().all()


def test_each_modality_is_hidden_in_turn():
    world = LinearGaussian(n=50)
    names = ["a", "b", "c"]
    X = dict(zip(names, world.x, strict=True))
    X["b"][:10] = np.nan
    est = MultimodalFactorAnalysis(latent_dim=3).fit(X)
    scores = evaluate_imputation(est, X)
    expected = [imputation_scores(est, {**X, name: None}, X) for name in names]
    for name, wanted in zip(names, expected, strict=True):
        given = scores.loc[[name]]
        np.testing.assert_allclose(given.iloc[:, 1:], wanted.loc[[name]].iloc[:, 1:])
    assert len(scores) == sum(x.shape[1] for x in world.x)
    assert (scores.loc["b", "n_hidden"] == 40).all()


def test_entries_are_hidden_in_exact_shares_of_what_is_known():
    holed, _ = clinic(60)
    est = PoEVAE(**FAST).fit(holed)
    scores = evaluate_imputation(est, holed, hide="entries", rate=0.25, random_state=0)
    known = holed.notna().sum()
    assert scores.loc["X", "n_hidden"].to_dict() == {n: round(0.25 * k) for n, k in known.items()}
    again = evaluate_imputation(est, holed, hide="entries", rate=0.25, random_state=0)
    np.testing.assert_array_equal(scores["crps"], again["crps"])


def test_what_cannot_be_hidden_is_told():
    X = np.random.default_rng(0).normal(size=(20, 3))
    est = MultimodalFactorAnalysis(latent_dim=1).fit(X)
    with pytest.raises(ValueError, match="There is one modality, 'X', and nothing to fill it in"):
        evaluate_imputation(est, X)
    with pytest.raises(ValueError, match="hide must be 'modalities' or 'entries'; got 'rows'"):
        evaluate_imputation(est, X, hide="rows")
    with pytest.raises(ValueError, match="coverage must lie between 0 and 1; got 90"):
        evaluate_imputation(est, X, hide="entries", coverage=90)
    with pytest.raises(ValueError, match="Nothing was hidden: X shows too little for rate=0.01"):
        evaluate_imputation(est, X, hide="entries", rate=0.01)


@pytest.mark.parametrize(
    "ask",
    [
        imputation_scores,
        lambda est, X, truth: ConformalIntervals(est).fit(X, truth),
        CoverageDisplay.from_estimator,
        ImputationDisplay.from_estimator,
    ],
)
def test_truth_about_other_rows_is_refused(ask):
    world = LinearGaussian(n=60, widths=(3, 2))
    index = [f"patient {n}" for n in range(60)]
    truth = {n: pd.DataFrame(x, index=index) for n, x in zip("ab", world.x, strict=True)}
    est = MultimodalFactorAnalysis(latent_dim=1).fit(truth)
    X = {"a": truth["a"], "b": truth["b"] * np.nan}
    with pytest.raises(ValueError, match="rows of X and truth have different indexes. Align them"):
        ask(est, X, {name: frame[::-1] for name, frame in truth.items()})
    with pytest.raises(ValueError, match="X has 60 rows, but truth has 59"):
        ask(est, X, [x[:-1] for x in world.x])
    ask(est, X, truth)
    ask(est, X, world.x)  # rows without labels go by position
