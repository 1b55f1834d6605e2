"""Which of two starts leads further, asked of held-out rows."""

import numpy as np
import pytest
import torch
from torch import nn

import skpoe
from skpoe import MIWAE, PoEVAE
from skpoe.estimators import fitting, init_choice
from skpoe.estimators.checkpoints import Checkpoint
from skpoe.estimators.init_choice import Outcome, leads
from skpoe.training import Cycle, Run, optimizer_of

QUICK = {"latent_dim": 4, "hidden_layer_sizes": (32,), "random_state": 0, "n_threads": 1}


def curved(n=300, seed=0):
    """Harmonics of one angle: what the two tables share is no line, and correlates with none."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, size=(n, 1))
    a, b = (np.cos(k * angle + np.arange(4)) for k in (1, 2))
    return [x + 0.05 * rng.normal(size=x.shape) for x in (a, b)]


@pytest.fixture
def quick(monkeypatch):
    """Trials and fits of few rows and steps."""
    monkeypatch.setattr(fitting, "_AUTO_COMPARES", 300)
    monkeypatch.setattr(init_choice, "_N_STEPS", 2)
    monkeypatch.setattr(init_choice, "_MANY_A_COLUMN", 1000)
    monkeypatch.setattr(PoEVAE, "_cycle", lambda est, n_rows, n_features: Cycle(1))
    monkeypatch.setattr("skpoe.training._AUTO_FEWEST_EPOCHS", 2)
    monkeypatch.setattr(PoEVAE, "_auto_most_epochs", 2)


def answers(est, X):
    return [est.transform(X), est.score_samples(X), *est.predict_missing(X)]


def assert_same(ours, theirs, X):
    for a, b in zip(answers(ours, X), answers(theirs, X), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("random_leads", [False, True])
def test_what_was_chosen_is_what_it_would_be_by_hand(
    random_leads, early_stopping, quick, monkeypatch, tmp_path
):
    monkeypatch.setattr(init_choice, "leads", lambda ours, theirs, weights: random_leads)
    tried, train = [], init_choice.train

    def trained(model, objective, kept, plan, names):
        tried.append((objective.prediction_weight, plan.n_steps))
        return train(model, objective, kept, plan, names)

    monkeypatch.setattr(init_choice, "train", trained)
    X, make = curved(350), {**QUICK, "early_stopping": early_stopping}
    est = PoEVAE(**make).fit(X)
    assert est.auto_["init"] == ("random" if random_leads else "factor_analysis")
    weight = 0.1 if random_leads else 3.0
    assert est.auto_["prediction_weight"] == weight
    assert est.auto_["prediction_networks"] is random_leads
    # a random start that has not come past the other itself ends the trial
    assert tried == ([(0.1, 1), (0.1, 2), (3.0, 1)] if random_leads else [(0.1, 1)])
    assert est.model_.has_started is ("trust" in est.auto_) is not random_leads
    # the trial has left no trace
    by_hand = {n: est.auto_[n] for n in ("init", "prediction_networks", "prediction_weight")}
    same = PoEVAE(**make, **by_hand).fit(X)
    assert same.auto_ == est.auto_
    assert_same(same, est, X)
    est.save(tmp_path / "fitted.skpoe")
    loaded = skpoe.load(tmp_path / "fitted.skpoe")
    assert_same(loaded, est, X)
    assert loaded._objective.prediction_weight == weight


@pytest.fixture
def long(quick, monkeypatch):
    """Trials of long trainings that are not long, where neighbours lead."""
    monkeypatch.setattr(init_choice, "LONG", Cycle(16, rate=2e-2))
    monkeypatch.setattr(fitting, "LONG", Cycle(16, rate=2e-2))
    monkeypatch.setattr(init_choice, "_MANY_A_COLUMN", 20)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("pays", [False, True])
def test_a_long_training_is_what_it_would_be_by_hand(pays, long, monkeypatch):
    tried, train = [], init_choice.train

    def trained(model, objective, kept, plan, names):
        tried.append((model.has_started, plan.n_steps, plan.learning_rate_init))
        return train(model, objective, kept, plan, names)

    # a long one leads over the other start, and over a short one if it pays
    answers = iter([True, pays])
    monkeypatch.setattr(init_choice, "leads", lambda ours, theirs, weights: next(answers))
    monkeypatch.setattr(init_choice, "train", trained)
    X = curved(350)
    est = PoEVAE(**QUICK).fit(X)
    assert tried == [(False, 8, 2e-2), (True, 1, 3e-3), (False, 2, 3e-3)]
    # 350 rows are three batches
    wanted = {"init": "random", "max_iter": 6, "learning_rate_init": 2e-2, "batch_size": 128}
    if not pays:
        wanted |= {"max_iter": 2, "learning_rate_init": 3e-3, "batch_size": 64}
    assert {name: est.auto_[name] for name in wanted} == wanted
    same = PoEVAE(**QUICK, **wanted).fit(X)
    assert same.auto_ == est.auto_
    assert_same(same, est, X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_long_training_that_was_cut_short_is_carried_to_its_end(long, monkeypatch, tmp_path):
    monkeypatch.setattr(init_choice, "leads", lambda ours, theirs, weights: True)
    X, make = curved(350), {**QUICK, "checkpoint": tmp_path / "fit.skpoe"}
    whole = PoEVAE(**QUICK).fit(X)

    keep = Checkpoint.keep

    def keep_and_stop(self, state):
        keep(self, state)
        if len(state.run.history) == 2:
            raise InterruptedError

    def refuse(*_):
        raise AssertionError("a trial")

    monkeypatch.setattr(Checkpoint, "keep", keep_and_stop)
    with pytest.raises(InterruptedError):
        PoEVAE(**make).fit(X)
    monkeypatch.setattr(Checkpoint, "keep", keep)
    monkeypatch.setattr(fitting, "choose", refuse)
    est = PoEVAE(**make, resume=True).fit(X)
    assert est.auto_ == whole.auto_
    assert len(est.loss_curve_) == 6
    assert_same(est, whole, X)


def test_a_long_training_is_tried_where_neighbours_lead_and_rows_are_many(long, monkeypatch):
    tried = []
    after = init_choice.Contestant.after

    def noted(contestant, n_steps, plan=None):
        tried.append(n_steps)
        return after(contestant, n_steps, plan)

    monkeypatch.setattr(init_choice.Contestant, "after", noted)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(350, 2))
    straight = [z @ rng.normal(size=(2, 4)) + 0.5 * rng.normal(size=(350, 4)) for _ in range(2)]
    for X, a_column, is_tried in (
        (curved(350), 20, True),
        (curved(350), 50, False),  # of 8 columns, and 280 rows that are not held out
        (straight, 20, False),
    ):
        monkeypatch.setattr(init_choice, "_MANY_A_COLUMN", a_column)
        tried.clear()
        PoEVAE(**QUICK).fit(X)
        assert (8 in tried) is is_tried


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_trial_where_rows_are_few_or_the_answer_is_known(quick, monkeypatch):
    def refuse(*_):
        raise AssertionError("a trial")

    monkeypatch.setattr(fitting, "choose", refuse)
    X = curved(300)
    with pytest.raises(AssertionError, match="a trial"):
        PoEVAE(**QUICK).fit(X)
    few = [x[:-1] for x in X]
    assert PoEVAE(**QUICK).fit(few).auto_["init"] == "factor_analysis"
    for params in (
        {"max_iter": 2},
        {"init": "factor_analysis"},
        {"init": "random"},
        {"decoder": nn.Linear},
    ):
        PoEVAE(**QUICK, **params).fit(X)
    PoEVAE(**QUICK).fit(np.hstack(X))
    PoEVAE(**QUICK).partial_fit(X)
    monkeypatch.setattr(MIWAE, "_cycle", lambda est, n_rows, n_features: Cycle(2))
    assert MIWAE(**QUICK).fit(X).auto_["init"] == "factor_analysis"


def test_rows_are_counted_with_their_weights_and_errors_have_a_say():
    ones, half = torch.ones(100), torch.full((100,), 0.5)

    def likelier(share):
        scores = torch.zeros(100)
        scores[: round(100 * share)] = 1.0
        scores[-1] = -1e6
        return scores

    theirs = Outcome(half, ones)
    # half, and two standard errors of a hundred rows
    for share, near, far in ((0.59, False, False), (0.61, True, False), (0.76, True, True)):
        ours = likelier(share)
        assert leads(Outcome(ours, ones), theirs, ones) is near
        assert leads(Outcome(ours, 0.9 * ones), theirs, ones) is near
        assert leads(Outcome(ours, 1.04 * ones), theirs, ones) is far
        assert not leads(Outcome(ours, 1.2 * ones), theirs, ones)
    ours = Outcome(likelier(0.61), ones)
    far_out = torch.where(torch.arange(100) == 0, 1e6, 0.8 * ones)  # one row does not decide
    assert leads(Outcome(likelier(0.61), far_out), theirs, ones)
    assert not leads(theirs, ours, ones)
    # a row of weight three counts as three, and many such rows are no more rows
    assert not leads(ours, theirs, torch.where(half > ours.scores, 3.0, 1.0))
    assert leads(ours, theirs, 3 * ones)
    assert not leads(Outcome(likelier(0.59), ones), theirs, 3 * ones)
    # the one that diverged is no choice
    diverged = Outcome(torch.full((100,), -torch.inf), torch.full((100,), torch.inf))
    assert leads(ours, diverged, ones)
    assert not leads(diverged, ours, ones)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_diverges_in_a_trial_loses_it(quick, monkeypatch):
    train = init_choice.train

    def fail(model, *rest):
        if model.has_started == started:
            raise FloatingPointError
        return train(model, *rest)

    def judge(contestant, model):
        worst = torch.full((len(contestant.held),), torch.inf)
        if model is contestant.model:  # where it starts: whatever is trained comes past that
            return Outcome(-worst, worst)
        return judged(contestant, model)

    judged = init_choice.Contestant._judge
    monkeypatch.setattr(init_choice, "train", fail)
    monkeypatch.setattr(init_choice.Contestant, "_judge", judge)
    started = True
    assert PoEVAE(**QUICK).fit(curved()).auto_["init"] == "random"
    started = False
    assert PoEVAE(**QUICK).fit(curved()).auto_["init"] == "factor_analysis"


def test_an_interrupt_in_a_trial_ends_the_call_and_leaves_the_estimator(quick, monkeypatch):
    X = curved(300)
    est = PoEVAE(**QUICK, max_iter=1).fit(X)
    before = est.transform(X)
    monkeypatch.setattr(init_choice, "train", lambda *_: Run(interrupted=True))
    with pytest.raises(KeyboardInterrupt):
        est.set_params(max_iter="auto").fit(X)
    np.testing.assert_array_equal(est.transform(X), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_that_are_all_alike_have_a_start(quick):
    X = [np.tile(x[:1], (300, 1)) for x in curved()]
    est = PoEVAE(**QUICK).fit(X)
    assert est.auto_["init"] == "factor_analysis"
    assert np.isfinite(est.score(X))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_noise_moves_faster_beside_a_term_for_prediction(weight):
    est = PoEVAE(**QUICK, init="random", prediction_weight=weight, max_iter=0).fit(curved(30))
    shares = {
        id(parameter): (group.share, group.weight_decay)
        for group in optimizer_of(est.model_, est._objective, 0.5).groups
        for parameter in group.parameters
    }
    noise = {id(p) for likelihood in est.model_.likelihoods for p in likelihood.parameters()}
    assert {shares[one] for one in noise} == {(3.0, 0.0) if weight else (1.0, 0.5)}
    assert {share for one, share in shares.items() if one not in noise} == {(1.0, 0.5)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("is_curved", [False, True])
def test_a_random_start_is_taken_where_data_are_curved(is_curved):
    """Nothing of a circle's harmonics can be said linearly; of linear causes all."""
    if is_curved:
        X = curved(260)
    else:
        rng = np.random.default_rng(0)
        z = rng.normal(size=(260, 2))
        X = [z @ rng.normal(size=(2, 4)) + 0.5 * rng.normal(size=(260, 4)) for _ in range(2)]
    est = PoEVAE(random_state=0, n_threads=1, start_weight=0.0).fit(X)
    assert est.auto_["init"] == ("random" if is_curved else "factor_analysis")
