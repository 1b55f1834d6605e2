"""Scores of filled-in cells: closed forms, and what each kind of column has."""

import numpy as np
import pytest
import torch
from joint_gaussian import conditional, covariance_of, gaussian_of
from linear_gaussian import LinearGaussian
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss
from small import FAST
from test_mixed import LIKELIHOODS, clinic

from skpoe import MultimodalFactorAnalysis, PoEVAE
from skpoe.evaluation import crps_of, imputation_scores


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
