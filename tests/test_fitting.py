"""Training as people expect it: weights, early stopping, going on, interrupts, callbacks."""

import copy
import pickle
import re
import warnings
from itertools import chain

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from small import KINDS, small
from torch import nn

import skpoe
from skpoe import MIWAE, MVAE, Modalities, ModularVAE, PoEVAE
from skpoe.estimators.ending import still_falls
from skpoe.priors import StandardGaussian

QUICK = {
    "latent_dim": 2,
    "hidden_layer_sizes": (8,),
    "n_importance_samples": 8,
    "random_state": 0,
    "start_weight": 0.0,
}
every_kind = pytest.mark.parametrize("cls", KINDS)


def data(n=60, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 1))
    X = [z + 0.3 * rng.normal(size=(n, w)) for w in (3, 2)]
    X[1][::4] = np.nan
    return X


def weights_of(est):
    return [p.detach().numpy() for p in est.model_.parameters()]


def assert_same_model(a, b):
    for p, q in zip(weights_of(a), weights_of(b), strict=True):
        np.testing.assert_array_equal(p, q)


@every_kind
@pytest.mark.parametrize("n_subsets", [None, 2])
def test_weights_are_repetitions(cls, n_subsets):
    """Within one batch; the noise belongs to the values of a row, so repeated rows share it."""
    X = [*data(), np.random.default_rng(1).normal(size=(60, 2))]
    weight = np.random.default_rng(2).integers(0, 4, 60)
    order = np.random.default_rng(3).permutation(weight.sum())
    repeated = [np.repeat(x, weight, axis=0)[order] for x in X]
    make = {**QUICK, "max_iter": 8, "batch_size": 200}
    if n_subsets is None:
        make |= {"init": "auto", "start_weight": cls().start_weight}  # what is held out, too
    else:
        if "n_subsets" not in cls().get_params():
            return
        make["n_subsets"] = n_subsets
    a = small(cls, **make).fit(X, sample_weight=weight)
    b = small(cls, **make).fit(repeated)
    np.testing.assert_allclose(a.transform(X), b.transform(X), atol=1e-9)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, atol=1e-9)
    scaled = small(cls, **make).fit(X, sample_weight=weight * 7.0)
    np.testing.assert_allclose(scaled.transform(X), a.transform(X), atol=1e-9)
    unweighted = small(cls, **make).fit(X)
    assert np.abs(unweighted.transform(X) - a.transform(X)).max() > 1e-3
    mean = np.average(a.score_samples(X), weights=weight)
    np.testing.assert_allclose(a.score(X, sample_weight=weight), mean)


@every_kind
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(60), "zero"),
        (-np.ones(60), "[Nn]egative values"),
        (
            np.ones(59),
            r"sample_weight must have one number for each of 60 rows; got shape \(59,\)",
        ),
        (np.ones((60, 2)), r"one number for each of 60 rows; got shape \(60, 2\)"),
    ],
)
def test_weights_that_are_refused(cls, weight, message):
    with pytest.raises(ValueError, match=message):
        small(cls, **QUICK).fit(data(), sample_weight=weight)


@every_kind
def test_early_stopping_keeps_the_weights_that_scored_best(cls):
    X = data(80)
    make = {**QUICK, "learning_rate": "constant", "learning_rate_init": 0.02, "batch_size": 16}
    est = small(cls, **make, max_iter=300, early_stopping=True, n_iter_no_change=4, tol=0.0).fit(X)
    scores = est.validation_scores_
    assert est.best_validation_score_ == max(scores)
    best = int(np.argmax(scores)) + 1
    assert est.n_iter_ == len(scores) == best + 4 < 300
    # the same training, ended at its best epoch
    again = small(cls, **make, max_iter=best, early_stopping=True).fit(X)
    assert again.validation_scores_ == scores[:best]
    assert_same_model(est, again)


@every_kind
def test_one_weight_is_that_of_every_row(cls):
    X, make = data(), {**QUICK, "max_iter": 1}
    est, twin = (small(cls, **make).fit(X, sample_weight=w) for w in (2.0, np.full(60, 2.0)))
    assert_same_model(est, twin)
    assert est.score(X, sample_weight=2.0) == pytest.approx(est.score(X))


@every_kind
def test_a_cycle_is_not_cut_short(cls):
    est = small(cls, **QUICK, max_iter=40, early_stopping=True, n_iter_no_change=1).fit(data())
    assert est.n_iter_ == 40
    assert est.best_validation_score_ == max(est.validation_scores_)


@every_kind
@pytest.mark.parametrize(("n", "held_out"), [(1999, False), (2000, True)])
def test_early_stopping_is_automatic_from_2000_rows(cls, n, held_out):
    est = small(cls, **QUICK, max_iter=1).fit(data(n))
    assert (est.validation_scores_ is not None) is held_out
    assert (est.best_validation_score_ is not None) is held_out


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_and_two_epochs_are_four_and_four_partial_fits(cls, dtype):
    X = data()
    make = {**QUICK, "learning_rate": "constant", "batch_size": 16, "dtype": dtype, "kl_warmup": 3}
    four = small(cls, **make, max_iter=4).fit(X)
    two = small(cls, **make, max_iter=2, warm_start=True).fit(X)
    two.fit(X)
    partial = small(cls, **make)
    for _ in range(4):
        partial.partial_fit(X)
    for est in (two, partial):
        assert_same_model(est, four)
        assert est.loss_curve_ == four.loss_curve_
        assert est.n_iter_ == 4


@every_kind
def test_fit_without_warm_start_begins_anew(cls):
    X = data()
    est = small(cls, **QUICK, max_iter=3).fit(X)
    once = weights_of(est)
    again = weights_of(est.fit(X))
    for p, q in zip(once, again, strict=True):
        np.testing.assert_array_equal(p, q)


@every_kind
def test_partial_fit_takes_other_rows_and_refuses_other_modalities(cls):
    est = small(cls, **QUICK).partial_fit(data(30))
    for seed in range(3):
        est.partial_fit(data(20, seed))
    assert est.n_iter_ == 4
    before = weights_of(est)
    with pytest.raises(ValueError, match="X has 3 modalities"):
        est.partial_fit([*data(), data()[0]])
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        small(cls, **QUICK, early_stopping=True).partial_fit(data())
    for p, q in zip(weights_of(est), before, strict=True):
        np.testing.assert_array_equal(p, q)


@every_kind
@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
def test_going_on_refuses_another_model_and_takes_other_training(cls, go_on, tmp_path):
    X, make = data(), {"learning_rate": "constant", "max_iter": 1, "warm_start": True}
    fitted = small(cls, **QUICK, **make).fit(X)
    changed = {
        "beta": 7.0,
        "likelihood": "student_t",
        "dtype": "float32",
        "modalities": {"a": [0]},
    }
    for est in (
        fitted,
        pickle.loads(pickle.dumps(fitted)),
        skpoe.load(fitted.save(tmp_path / "m")),
    ):
        for name, value in changed.items():
            was = getattr(est, name)
            words = rf"{name}={was!r}, and now {name}={re.escape(repr(value))}\. Fit anew with"
            with pytest.raises(ValueError, match=words):
                getattr(est.set_params(**{name: value}), go_on)(X)
            est.set_params(**{name: was})
        est.set_params(hidden_layer_sizes=np.array([8]), random_state=1, weight_decay=0.1)
        assert getattr(est, go_on)(X).n_iter_ == 2
        del est._made_with  # as an earlier version left it
        assert getattr(est.set_params(beta=7.0), go_on)(X).n_iter_ == 3


def test_the_same_again_is_no_change():
    X, prior = data(), StandardGaussian(2)
    given = {"likelihood_weights": np.array([1.0, 2.0]), "encoder": [None, nn.Linear]}
    est = ModularVAE(prior=prior, **QUICK, **given, max_iter=1, warm_start=True).fit(X)
    est.set_params(likelihood_weights=[1, 2], encoder=(None, nn.Linear), prior=prior).fit(X)
    est.set_params(subsets="auto").fit(X)
    for other in ({"likelihood_weights": None}, {"subsets": [[1, 1]]}, {"encoder": None}):
        with pytest.raises(ValueError, match=f"and now {next(iter(other))}"):
            copy.deepcopy(est).set_params(**other).fit(X)


@every_kind
def test_a_column_that_the_first_call_never_saw_is_not_read_later(cls):
    first = data(30)
    first[0][:, 1] = np.nan
    hidden = data(20, 1)
    hidden[0][:, 1] = np.nan
    with pytest.warns(UserWarning, match="no observed value"):
        a, b = (small(cls, **QUICK).partial_fit(first) for _ in range(2))
    with pytest.warns(UserWarning, match="Columns of 'modality_0' have values here and had none"):
        b.partial_fit(data(20, 1))
    assert_same_model(a.partial_fit(hidden), b)


@every_kind
def test_going_on_that_fails_leaves_the_model(cls):
    X = data()
    make = {**QUICK, "learning_rate": "constant", "max_iter": 3, "warm_start": True}
    make["dtype"] = "float32"  # overflows sooner
    est, twin = small(cls, **make).fit(X), small(cls, **make).fit(X)
    est.set_params(learning_rate_init=1e30)
    with pytest.raises(FloatingPointError):
        est.fit(X)
    assert_same_model(est, twin)
    est.set_params(learning_rate_init=twin.learning_rate_init).fit(X)
    assert_same_model(est, twin.fit(X))  # also the optimiser is as it was


class Interrupting(nn.Linear):
    """Presses Ctrl-C in some forward pass."""

    after = 0
    passes = 0

    def forward(self, z):
        if self.training:
            type(self).passes += 1
            if type(self).passes == type(self).after:
                raise KeyboardInterrupt
        return super().forward(z)


@every_kind
@pytest.mark.parametrize(("after", "epochs"), [(1, 0), (9, 2)])
def test_an_interrupt_leaves_a_usable_estimator(cls, after, epochs):
    X = data()
    Interrupting.after, Interrupting.passes = after, 0
    est = small(cls, **QUICK, max_iter=50, batch_size=16, decoder=[None, Interrupting])
    if cls is PoEVAE:
        est.set_params(prediction_networks=False)  # one pass a step is counted
    with pytest.warns(UserWarning, match=rf"interrupted after {epochs} epochs; it can be used"):
        est.fit(X)
    assert est.n_iter_ == epochs
    assert np.isfinite(est.score(X))
    assert not np.isnan(est.predict_missing(X)[1]).any()


class Exploding(nn.Linear):
    """Gives infinity from some forward pass on, in training."""

    after = 0
    passes = 0

    def forward(self, z):
        type(self).passes += self.training
        out = super().forward(z)
        return out * float("inf") if self.training and self.passes > self.after else out


@every_kind
@pytest.mark.parametrize("early_stopping", [False, True])
def test_training_that_diverges_ends_with_the_best_weights_before(cls, early_stopping):
    X = data()
    make = {**QUICK, "learning_rate": "constant", "learning_rate_init": 0.02}
    make["early_stopping"] = early_stopping

    def fit(max_iter, after):
        Exploding.after, Exploding.passes = after, 0
        return small(cls, **make, max_iter=max_iter, decoder=[None, Exploding]).fit(X)

    n_passes = Exploding.passes if fit(1, 10**6) else 0
    message = "diverged; it ended with the best .* not finite in epoch 7, in .*Lower learning_rate"
    with pytest.warns(ConvergenceWarning, match=message):
        est = fit(50, 6 * n_passes)
    assert est.n_iter_ == 6
    # a loss is that of the weights that its epoch began with
    best = (
        int(np.argmax(est.validation_scores_)) + 1
        if early_stopping
        else np.argmin(est.loss_curve_)
    )
    assert best > 1
    assert_same_model(est, fit(best, 10**6))
    est.set_params(learning_rate_init=1e-4, warm_start=True, max_iter=2)
    Exploding.after = 10**6
    assert est.fit(X).n_iter_ == 8


@every_kind
def test_training_that_diverges_before_it_has_gained_fails(cls):
    Exploding.after, Exploding.passes = 0, 0
    est = small(cls, **QUICK, max_iter=50, decoder=[None, Exploding])
    with pytest.raises(FloatingPointError, match="in epoch 1, in modality 'modality_1'"):
        est.fit(data())
    assert not hasattr(est, "model_")


# it depends on the loss curve alone; bounds of few draws scatter, a start leaves little to fall
def test_a_budget_that_is_too_small_is_told():
    X = data()
    slow = small(MVAE, **QUICK, max_iter=20, learning_rate="constant", learning_rate_init=1e-3)
    with pytest.warns(ConvergenceWarning, match="still falling when max_iter=20 epochs were over"):
        slow.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(MVAE, **QUICK, max_iter=200).fit(X)
        small(MVAE, **QUICK).fit(X)


@pytest.mark.parametrize("cls", [MIWAE, PoEVAE])
def test_rows_that_stand_twice_do_not_make_a_large_table(cls):
    """Rates, steps and decay follow how much there is to learn from."""
    X = np.random.default_rng(0).normal(size=(600, 1)) + data(600)[0]
    make = {**QUICK, "init": "factor_analysis", "max_iter": 2, "batch_size": 5000}
    make |= {"dtype": "float64", "shrinkage": 0.1}
    a = cls(**make).fit(X, sample_weight=np.full(600, 2.0))
    b = cls(**make).fit(np.repeat(X, 2, axis=0))
    assert a.auto_ == b.auto_
    np.testing.assert_allclose(a.transform(X), b.transform(X), atol=1e-9)


@every_kind
def test_small_tables_of_doubles_train_in_double_precision(cls):
    def trained_in(n, kind, **parameters):
        X = [x.astype(kind) for x in data(n)]
        est = small(cls, **QUICK, max_iter=1, **parameters).fit(X)
        return next(est.model_.parameters()).dtype

    n_features = sum(x.shape[1] for x in data(2))
    n_rows = 20_000 // (n_features * getattr(small(cls, **QUICK), "n_samples", 1))
    assert trained_in(n_rows - 1, np.float64) is torch.float64
    assert trained_in(n_rows + 1, np.float64) is torch.float32
    assert trained_in(n_rows - 1, np.float32) is torch.float32
    assert trained_in(60, np.float64, dtype="float32") is torch.float32


def nats(est, X, y=None):
    return est.score(X)


class Recorder:
    """A callback that notes what it is told, and may ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.seen, self.curves = [], []

    def setup(self, estimator, context):
        self.seen.append("setup")

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.seen.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        if context.task_name == "epoch":
            self.seen.append(round(fitted_estimator.score(X), 6))
            self.curves.append(fitted_estimator.loss_curve_)
        self.seen.append(f"{context.task_name} ends")
        return len([s for s in self.seen if s == "epoch ends"]) == self.stop_after


@every_kind
def test_callbacks_follow_the_epochs(cls):
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    X, make = Modalities(data()), {**QUICK, "learning_rate": "constant"}
    recorder = Recorder()
    est = small(cls, **make, max_iter=3).set_callbacks(recorder).fit(X)
    scores = [small(cls, **make, max_iter=n).fit(X).score(X) for n in (1, 2, 3)]
    epochs = [("epoch begins", round(score, 6), "epoch ends") for score in scores]
    expected = ["setup", "fit begins", *chain(*epochs), "fit ends", "teardown"]
    assert recorder.seen == expected
    assert est.score(X) == scores[-1]
    assert recorder.curves == [est.loss_curve_[:n] for n in (1, 2, 3)]
    stopped = small(cls, **make, max_iter=50).set_callbacks(Recorder(stop_after=2)).fit(X)
    assert stopped.n_iter_ == 2


@every_kind
def test_callbacks_are_taken_down_when_fit_fails(cls):
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    recorder = Recorder()
    est = small(cls, **QUICK, learning_rate="constant", learning_rate_init=1e30, dtype="float32")
    with pytest.raises(FloatingPointError):
        est.set_callbacks(recorder).fit(data())
    assert recorder.seen[-1] == "teardown"


@every_kind
def test_stock_callbacks_work_inside_a_search(cls):
    callback = pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    pytest.importorskip("rich", reason="the progress bar draws with it")
    X, y = Modalities(data()), np.arange(60) % 2
    monitor = callback.ScoringMonitor(scoring={"nats": nats})
    est = small(cls, **QUICK, max_iter=2).set_callbacks(monitor)
    est.fit(X, y)
    log = monitor.get_logs().data_as_pandas
    assert np.isfinite(log["nats"]).all()
    assert len(log) == 3  # two epochs and the whole
    search = GridSearchCV(small(cls, **QUICK, max_iter=2), {"beta": [0.5, 1.0]}, cv=2)
    search.set_callbacks(callback.ProgressBar())
    search.fit(X)
    assert np.isfinite(search.best_score_)


def test_what_a_callback_keeps_is_trained_no_further():
    pytest.importorskip("sklearn.callback", reason="came with scikit-learn 1.9")
    kept = []

    class Keeper(Recorder):
        def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
            kept.append((fitted_estimator, copy.deepcopy(fitted_estimator._objective)))

    make = {**QUICK, "init": "factor_analysis", "max_iter": 3, "start_weight": "auto"}
    est = PoEVAE(**make).set_callbacks(Keeper()).fit(data())
    first, objective = kept[0]
    assert torch.equal(first._objective.log_error, objective.log_error)
    assert not torch.equal(first._objective.log_error, est._objective.log_error)
    assert "start_weight" in set(est.auto_) - set(first.auto_)
    assert not first.model_.training


@pytest.mark.parametrize("falls", [0.0, 0.01, 1.0])
def test_a_loss_falls_that_falls_by_more_than_it_scatters(falls):
    scatter = np.random.default_rng(0).normal(size=100) * 0.01
    assert still_falls(list(scatter - falls * np.arange(100))) == (falls > 0)
    assert not still_falls(list(scatter + 10 * np.exp(-np.arange(100))))
