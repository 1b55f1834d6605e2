import math
import threading

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from small import FAST, KINDS, small

from skpoe import MVAE, PoEVAE
from skpoe.data.rows import Rows
from skpoe.likelihoods import Bernoulli
from skpoe.model import MultimodalVAE
from skpoe.objectives import ELBO, Objective
from skpoe.random import row_keys
from skpoe.threads import limit_threads
from skpoe.training import Plan, train


def test_auto_plan():
    plan = Plan()
    assert [plan.n_epochs(n) for n in (10, 1000, 2000, 5000, 50000)] == [200, 200, 100, 40, 20]
    assert [plan.n_batch(n) for n in (10, 1999, 2000)] == [64, 64, 128]
    assert Plan(max_iter=7, batch_size=3).n_epochs(10) == 7
    assert Plan(max_iter=7, batch_size=3).n_batch(10) == 3
    # what started at a factor analysis takes steps of at most so many rows, in 20 epochs or more
    started = Plan(n_steps=90, step_rows=50)
    assert [(started.n_batch(n), started.n_epochs(n)) for n in (10, 100, 101, 5000)] == [
        (50, 90),
        (50, 45),
        (50, 30),
        (50, 20),
    ]


def test_one_cycle_rises_then_falls():
    rate = Plan(learning_rate_init=1.0).rate
    np.testing.assert_allclose(rate(0.0), 1 / 25)
    np.testing.assert_allclose(rate(0.1), 1.0)
    np.testing.assert_allclose(rate(1.0), 1e-4, rtol=1e-6)
    rising, falling = [rate(t / 100) for t in range(11)], [rate(t / 100) for t in range(10, 101)]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    constant = Plan(learning_rate="constant", learning_rate_init=0.5)
    assert {constant.rate(t) for t in (0.0, 0.05, 0.9)} == {0.5}


def test_kl_warmup_and_history():
    world = LinearGaussian()
    run = train(
        world.model("diagonal_gaussian"),
        ELBO(),
        Rows.alike(world.batch()),
        Plan(max_iter=5, batch_size=16, kl_warmup=4),
        ["a", "b", "c"],
    )
    history = run.history
    assert run.step == 15
    assert [record["kl_weight"] for record in history] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5]
    assert all(math.isfinite(value) for record in history for value in record.values())


def test_minibatches_visit_every_row_once_in_nearly_equal_batches(generator):
    batch = LinearGaussian().batch()
    seen, sizes = [], []
    rows = Rows.alike(batch)
    for part, keys, _ in map(rows.__getitem__, rows.deal(12, generator)):
        where = [row_keys(batch.values, batch.masks).tolist().index(key) for key in keys.tolist()]
        seen += where
        sizes.append(len(part))
        np.testing.assert_array_equal(part.values[0], batch.values[0][where])
    assert sorted(seen) == list(range(40))
    assert seen != sorted(seen)
    assert sizes == [10, 10, 10, 10]


def test_training_finds_the_maximum_likelihood_of_a_linear_world():
    """With linear networks the model is factor analysis; it must reach its likelihood."""
    world = LinearGaussian(n=400, latent_dim=2)
    est = PoEVAE(
        latent_dim=2,
        hidden_layer_sizes=(),
        max_iter=150,
        batch_size=400,
        learning_rate_init=0.05,
        likelihood="gaussian",
        init="random",
        dtype="float64",
        random_state=0,
    ).fit(world.x)
    # the maximum is at least the likelihood of the parameters that made the data
    assert est.score(world.x) > world.log_prob((0, 1, 2)).mean() - 0.05
    hidden = est.predict_missing([world.x[0], world.x[1], None])[2]
    ours = np.mean((hidden - world.x[2]) ** 2)
    exact = np.mean((world.conditional_mean(2, (0, 1)) - world.x[2]) ** 2)
    assert ours < 1.05 * exact


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with limit_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), limit_threads(before + 1):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before


def test_overlapping_limits_of_threads_give_back_what_the_first_found():
    before, inside, go_on = torch.get_num_threads(), threading.Event(), threading.Event()

    def other():
        with limit_threads(before + 2):
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=other)
    with limit_threads(before + 1):
        thread.start()
        inside.wait()
    go_on.set()
    thread.join()
    found = []
    fresh = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    fresh.start()
    fresh.join()
    assert found == [before]


def test_nested_limits_hold_until_their_end():
    before = torch.get_num_threads()
    with limit_threads(before + 1):
        with limit_threads(before + 2):
            pass
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def trained(plan, noise_seed=0, **parameters):
    world = LinearGaussian()
    model = world.model("diagonal_gaussian", perturb=0.1)
    run = train(model, ELBO(**parameters), Rows.alike(world.batch()), plan, ["a", "b", "c"])
    return model, run


def test_each_step_has_noise_of_its_own():
    """With all rows in one batch and a rate of nearly zero, only the noise moves the loss."""
    _, run = trained(Plan(max_iter=6, batch_size=40, learning_rate_init=1e-30))
    assert len({record["loss"] for record in run.history}) == 6


def test_kl_warmup_reaches_the_objective():
    plan = {"max_iter": 1, "batch_size": 40, "learning_rate_init": 1e-30}
    warming = trained(Plan(**plan, kl_warmup=4))[1].history[0]["loss"]
    quarter = trained(Plan(**plan), beta=0.25)[1].history[0]["loss"]
    np.testing.assert_allclose(warming, quarter)
    assert abs(quarter - trained(Plan(**plan))[1].history[0]["loss"]) > 0.1


@pytest.mark.parametrize("kind", KINDS, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "negative_binomial"])
@pytest.mark.parametrize("widths", [(3, 3), (1, 4)])
def test_encoding_several_batches_at_a_time_changes_nothing(kind, likelihood, widths, monkeypatch):
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 2, (150, width)).astype(float) for width in widths]
    X[0][::4] = X[1][1::3, :1] = np.nan
    settings = {**FAST, "likelihood": likelihood, "batch_size": 16, "dtype": "float64"}
    ahead = small(kind, **settings).fit(X)
    monkeypatch.setattr(MultimodalVAE, "encoded_ahead", lambda model, batch: None)
    each = small(kind, **settings).fit(X)
    np.testing.assert_allclose(ahead.transform(X), each.transform(X), rtol=1e-10, atol=1e-12)


def test_training_may_learn_how_values_are_read():
    class Louder(Bernoulli):
        def __init__(self):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(()))

        def encode(self, x):
            return self.gain * super().encode(x)

    rng = np.random.default_rng(0)
    X = [rng.integers(0, 2, (100, 3)).astype(float) for _ in range(2)]
    est = small(MVAE, **{**FAST, "likelihood": Louder(), "batch_size": 16}).fit(X)
    gains = [likelihood.gain.item() for likelihood in est.model_.likelihoods]
    assert all(gain != 1.0 for gain in gains)


def test_no_gradients_are_left():
    model, _ = trained(Plan(max_iter=1))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_gradients_are_clipped():
    """Without clipping AdamW takes the same first step however large the gradient, then less.

    So look at the gradients themselves: after a step a tenth of them is in its averages.
    """
    world = LinearGaussian()
    model = world.model("diagonal_gaussian", perturb=2.0)
    run = train(
        model, ELBO(), Rows.alike(world.batch()), Plan(max_iter=1, batch_size=40), ["a", "b", "c"]
    )
    given = torch.stack([kept["exp_avg"].norm() for kept in run.moments.values()]).norm() / 0.1
    assert run.history[0]["gradient_norm"] > 20
    np.testing.assert_allclose(given, 10.0, rtol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_weights_keep_their_share_whatever_the_batches(batch_size):
    """Where the loss is least does not depend on which rows stand in a batch together."""

    class Distance(Objective):
        def __init__(self):
            super().__init__()
            self.centre = torch.nn.Parameter(torch.zeros(()))

        def forward(self, model, batch, noise, kl_weight=1.0):
            return -(self.centre - (batch.values[0][:, 0] > middle).float()).square()

    world, objective = LinearGaussian(), Distance()
    batch = world.batch()
    middle = batch.values[0][:, 0].median()
    above = batch.values[0][:, 0] > middle
    weights = torch.where(above, 9.0, 1.0).double()
    rows = Rows(Rows.alike(batch).table, weights)
    plan = Plan(max_iter=6 + 4 * batch_size, batch_size=batch_size, learning_rate_init=0.03)
    train(world.model("diagonal_gaussian"), objective, rows, plan, ["a", "b", "c"])
    wanted = (weights * above).sum() / weights.sum()
    assert objective.centre.item() == pytest.approx(wanted.item(), abs=0.03)
    assert wanted - above.double().mean() > 0.2


def test_weight_decay_shrinks():
    plan = {"max_iter": 30, "batch_size": 40, "learning_rate": "constant"}
    sizes = [
        sum(
            float(p.detach().square().sum())
            for p in trained(Plan(**plan, weight_decay=w))[0].parameters()
        )
        for w in (0.0, 5.0)
    ]
    assert sizes[1] < 0.8 * sizes[0]
