"""Networks that predict hidden modalities, and leave the rest of the model as it would be."""

import copy

import numpy as np
import pytest
import torch
from joint_gaussian import KINDS, punch
from linear_gaussian import LinearGaussian
from test_prediction import (
    EXACT,
    LOG_ERROR,
    exact_terms,
    log_normal,
    noise_for,
    objective,
    term,
)
from torch import nn

from skpoe import PoEVAE
from skpoe.data.batch import Batch
from skpoe.nn import Shared
from skpoe.nn.networks import SeparateNetworks
from skpoe.objectives import AlignedELBO, aligned_elbo

QUICK = {"latent_dim": 2, "hidden_layer_sizes": (8,), "random_state": 0, "n_threads": 1}
RANDOM = {**QUICK, "init": "random", "max_iter": 3}


@pytest.fixture
def world():
    made = LinearGaussian(n=64)
    made.x = [x - b for x, b in zip(made.x, made.b, strict=True)]
    made.b = [np.zeros_like(b) for b in made.b]
    return made


def with_networks(model, *, factor=1.0):
    """A model that predicts as its decoders do, times a number."""
    networks = copy.deepcopy(list(model.decoders.networks))
    with torch.no_grad():
        for parameter in nn.ModuleList(networks).parameters():
            parameter *= factor
    model.prediction_networks = SeparateNetworks(networks)
    return model


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_term_is_theirs(world, kind, share, monkeypatch):
    """By a closed form: of posterior means given the other part, or of none, which are zero."""
    monkeypatch.setattr(aligned_elbo, "_OF_NOTHING", share)
    monkeypatch.setattr(aligned_elbo, "_BLUR", 0.0)
    X = world.x if kind is None else punch(world.x, kind)
    model, batch = with_networks(world.model(), factor=0.5), Batch.from_arrays(X)
    noise = noise_for(batch)
    parts = AlignedELBO()._parts(batch.observed, noise).numpy()
    exact = exact_terms(world, X, parts, lambda W, z: 0.5 * (1 - share) * W @ z)
    # a modality that is alone in its row is predicted from nothing
    alone = ~parts.any(2).all(0)
    for m, log_error in enumerate(LOG_ERROR):
        variance = 0.01 + np.exp(2 * log_error)
        exact[alone, m] = np.nansum(log_normal(X[m][alone], 0.0, variance), axis=1)
    exact = exact.sum(1)
    ours = term(model, batch, noise).detach()
    np.testing.assert_allclose(ours, 0.5 * exact, **EXACT)


def test_posterior_means_are_blurred_and_some_rows_show_nothing(monkeypatch):
    world = LinearGaussian(n=4000)
    model, batch = with_networks(world.model()), world.batch()
    networks, seen = model.prediction_networks, []
    own = networks.own
    networks.own = lambda centres: seen.append(centres.detach()) or own(centres)
    for blur in (0.2, 0.0):
        monkeypatch.setattr(aligned_elbo, "_BLUR", blur)
        objective(1.0)(model, batch, noise_for(batch))
    nothing = (seen[0] == 0).all(-1)
    assert (nothing == nothing[0]).all()
    assert not seen[1][nothing].any()
    noise = ((seen[0] - seen[1]) / 0.2)[0, ~nothing[0]]
    assert abs(float(noise.mean())) < 4 / noise.numel() ** 0.5
    assert abs(float(noise.square().mean()) - 1) < 4 * (2 / noise.numel()) ** 0.5
    assert abs(float(nothing[0].double().mean()) - 1 / 16) < 4 * (15 / 256 / 4000) ** 0.5


@pytest.mark.parametrize("weight", [0.1, 3.0])
def test_nothing_else_learns_from_their_errors(world, weight):
    model, batch = with_networks(world.model()), world.batch()
    noise = noise_for(batch)
    networks = {id(p) for p in model.prediction_networks.parameters()}
    others = [p for p in model.parameters() if id(p) not in networks and p.requires_grad]
    plain = torch.autograd.grad(AlignedELBO()(model, batch, noise).sum(), others)
    value = objective(weight)(model, batch, noise).sum()
    ours = torch.autograd.grad(value, [*others, *model.prediction_networks.parameters()])
    for a, b in zip(plain, ours, strict=False):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    assert all(gradient.abs().sum() > 0 for gradient in ours[len(others) :])


SHARED = {name: Shared(embedding_dim=3, tied=True) for name in ("encoder", "decoder")}


@pytest.mark.parametrize("params", [{}, SHARED], ids=["own", "tied"])
@pytest.mark.parametrize("bits", [False, True])
def test_they_share_nothing_with_the_rest(bits, params):
    X = [np.random.default_rng(m).normal(size=(30, 3)) for m in range(3)]
    X = [(x > 0).astype(float) for x in X] if bits else X
    est = PoEVAE(**QUICK, init="random", max_iter=0, **params).fit(X)
    model, batch = est.model_, est.model_.read(X)
    apart = {id(p) for p in model.prediction_networks.parameters()}
    others = [p for p in model.parameters() if id(p) not in apart]
    value = est._objective(model, batch, noise_for(batch)).sum()
    plain = AlignedELBO()(model, batch, noise_for(batch)).sum()
    ours, theirs = (torch.autograd.grad(v, others, allow_unused=True) for v in (value, plain))
    assert len(others) + len(apart) == len({*map(id, model.parameters())})
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def planted(est, says):
    """Let the prediction networks of an estimator say a number, in standardised units."""
    networks = est.model_.prediction_networks
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.zero_()
        for bias in networks.biases[-1:] if hasattr(networks, "biases") else ():
            bias.fill_(says)
    for network in () if hasattr(networks, "biases") else networks.networks:
        network[-1].bias.data.fill_(says)


@pytest.mark.parametrize("widths", [(3, 3), (3, 4)], ids=["stacked", "separate"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_say_what_is_expected_where_all_of_a_modality_is_missing(widths, dtype):
    rng = np.random.default_rng(0)
    X = [(5 + 2 * rng.normal(size=(60, width))).astype(dtype) for width in widths]
    est = PoEVAE(**RANDOM).fit(X)
    hidden = [X[0].copy(), X[1].copy()]
    hidden[1][:10] = np.nan
    hidden[1][10:20, 0] = np.nan
    hidden[0][5:10, 0] = np.nan
    hidden[0][20:25] = hidden[1][20:25] = np.nan
    planted(est, 3.0)
    first, second = est.predict_missing(hidden)
    mean, scale = (x.astype(float).mean(0) for x in X), (x.astype(float).std(0) for x in X)
    (mean_0, mean_1), (scale_0, scale_1) = mean, scale
    np.testing.assert_allclose(second[:10], np.tile(mean_1 + 3 * scale_1, (10, 1)), rtol=1e-5)
    np.testing.assert_allclose(second[20:25], np.tile(mean_1 + 3 * scale_1, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(first[20:25], np.tile(mean_0 + 3 * scale_0, (5, 1)), rtol=1e-5)
    # of one that is seen in part weighted draws have so much of the say
    weighted = est.set_params(imputation="importance").predict_missing(hidden)[1][10:20, 0]
    share = 1 - 1 / widths[1]
    both = share * weighted + (1 - share) * (mean_1 + 3 * scale_1)[0]
    np.testing.assert_allclose(second[10:20, 0], both, rtol=1e-5)
    np.testing.assert_array_equal(second[10:20, 1:], hidden[1][10:20, 1:])
    est.set_params(imputation="mean")
    np.testing.assert_array_equal(est.predict_missing(hidden)[1][:10], second[:10])
    decoded = est.reconstruct(X)[1]
    np.testing.assert_array_equal(est.set_params(imputation="auto").reconstruct(X)[1], decoded)
    # company changes nothing
    alone = est.set_params(imputation="auto").predict_missing([x[:5] for x in hidden])
    np.testing.assert_array_equal(alone[1], second[:5])


@pytest.mark.parametrize("imputation", ["posterior", "importance"])
def test_averages_over_draws_leave_them_out(imputation):
    X = [np.random.default_rng(m).normal(size=(40, 3)) for m in range(2)]
    est = PoEVAE(**RANDOM, imputation=imputation, n_importance_samples=8).fit(X)
    drawn = est.predict_missing([X[0], None])[1]
    planted(est, 3.0)
    np.testing.assert_array_equal(est.predict_missing([X[0], None])[1], drawn)
    est.set_params(imputation="auto")
    assert not np.array_equal(est.predict_missing([X[0], None])[1], drawn)


def two_leaves(n=1500, seed=0):
    """b is f(a), or -f(a) in a fifth of the rows; also gives 0.6 f(a), which is expected of it."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-1, 1, size=(n, 1))
    sign = np.where(rng.random((n, 1)) < 0.8, 1.0, -1.0)
    a = angle * [1.0, -1.0, 0.5] + 0.1 * rng.normal(size=(n, 3))
    f = (2 + angle) * [1.0, 0.5, -1.0, 1.0]
    return [a, sign * f + 0.1 * rng.normal(size=f.shape)], 0.6 * f


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_lies_between_is_predicted_better():
    (X, _), (new, expected) = two_leaves(), two_leaves(seed=1)
    make = {**QUICK, "hidden_layer_sizes": (32,), "latent_dim": 4, "init": "random"}
    est = PoEVAE(**make, max_iter=30).fit(X)
    plain = PoEVAE(**make, max_iter=30, prediction_networks=False).fit(X)
    ours, theirs, least = (
        np.square(told - new[1]).mean()
        for told in (
            *(fitted.predict_missing([new[0], None])[1] for fitted in (est, plain)),
            expected,
        )
    )
    assert ours < 1.05 * least < theirs
    # of rows that show nothing it is what it is on average
    told = est.predict_missing([np.full((1, x.shape[1]), np.nan) for x in X])[1]
    np.testing.assert_allclose((told - X[1].mean(0)) / X[1].std(0), 0, atol=0.1)
    assert est.score(new) > plain.score(new) - 0.3


def test_where_they_are():
    real = [np.random.default_rng(m).normal(size=(40, 3)) for m in range(2)]
    bits = [(x > 0).astype(float) for x in real]
    for X, params, has in (
        (real, {}, False),
        (real, {"init": "random"}, True),
        (bits, {}, True),
        (real, {"decoder": nn.Linear}, True),
        (real, {"init": "random", "prediction_weight": 0}, False),
        (real, {"init": "random", "prediction_networks": False}, False),
        (real, {"prediction_networks": np.True_, "prediction_weight": np.float32(1)}, True),
        (np.hstack(real), {"init": "random"}, False),
    ):
        est = PoEVAE(**QUICK, max_iter=0, **params).fit(X)
        assert (est.model_.prediction_networks is not None) is has, params
        assert est.auto_["prediction_networks"] is has
    linear = PoEVAE(**QUICK, max_iter=0).fit(real)
    same = PoEVAE(**QUICK, max_iter=0, prediction_networks=True).fit(real)
    hidden = [real[0], None]
    np.testing.assert_allclose(
        same.predict_missing(hidden)[1], linear.predict_missing(hidden)[1], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("X", "params", "reason"),
    [
        ([np.eye(4)] * 2, {"prediction_weight": 0.0}, "got prediction_weight=0.0"),
        (np.eye(6), {}, "X has one"),
    ],
    ids=["no weight", "one modality"],
)
def test_what_could_not_learn_is_refused(X, params, reason):
    est = PoEVAE(**QUICK, prediction_networks=True, **params)
    with pytest.raises(ValueError, match=f"prediction_networks=True .*{reason}"):
        est.fit(X)
