"""Laws that every estimator obeys, over all_estimators() and all likelihoods."""

import copy
import functools
import inspect
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from small import KINDS, VAES, small
from torch import nn

from skpoe import DMVAE, MIWAE, Modalities, PartialVAE, SphericalVAE
from skpoe.estimators.shaping import FREE, shape_of
from skpoe.estimators.state import recompose
from skpoe.likelihoods import LIKELIHOODS

# parameters that say what model and objective are, or where they start; the others are FREE
SHAPING = set(
    "activation alpha beta bound covariance decoder dtype embedding_dim encoder free_bits "
    "gradient hidden_layer_sizes init joint joint_encoder latent_dim likelihood "
    "likelihood_weights modalities n_drawn n_samples n_spheres n_subsets objective posterior "
    "prediction_networks prediction_weight prior private_dim set_encoder shrinkage sphere_dim "
    "start_weight subsets trust unstructured_encoder variational_posterior "
    "variational_strategy".split()
)
FAST = {"max_iter": 3, "n_importance_samples": 16, "latent_dim": 2, "random_state": 0}
every_estimator = pytest.mark.parametrize("cls", VAES)


def data(likelihood="gaussian", n=40):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, width)) for width in (3, 2, 4)]
    if likelihood == "log_normal":
        X = [np.exp(x) for x in X]
    elif likelihood == "beta":
        X = [1 / (1 + np.exp(-x)) for x in X]
    elif likelihood != "gaussian":
        X = [(x > 0).astype(float) for x in X]
    X[1][::3] = np.nan
    X[2][1::4] = np.nan
    X[0][2, 1] = np.nan
    for x in X:
        x[5] = np.nan
    return X


@functools.cache
def fitted(cls):
    """For laws of what is predicted: it must not be changed."""
    return small(cls, **FAST).fit(data())


def encoders_of(est):
    """Networks that read data."""
    strategy = est.model_.strategy
    return strategy.encoders.networks if hasattr(strategy, "encoders") else [strategy.encoder]


def compositions():
    """Every likelihood in each kind; other covariances and dtypes with one of them.

    What decodes is the same in all, so other estimators have a third of the likelihoods in turn.
    """
    for n, cls in enumerate(VAES):
        some = sorted(LIKELIHOODS) if cls in KINDS else sorted(LIKELIHOODS)[n % 3 :: 3]
        yield from ((cls, "auto", likelihood, "float32") for likelihood in some)
        has_covariance = "covariance" in inspect.signature(cls).parameters
        for covariance in ("diag", "full") if has_covariance else ():
            yield cls, covariance, "gaussian", "float32"
            yield cls, covariance, "gaussian", "float64"
        yield cls, "auto", "gaussian", "float64"


@pytest.mark.parametrize(("cls", "covariance", "likelihood", "dtype"), list(compositions()))
def test_every_composition_trains_and_predicts(cls, covariance, likelihood, dtype):
    X = data(likelihood)
    est = small(cls, **FAST, covariance=covariance, likelihood=likelihood, dtype=dtype)
    est.fit(X)
    assert est.transform(X).shape == (40, 2)
    assert np.isfinite(est.score_samples(X)).all()
    for filled, x in zip(est.predict_missing(X), X, strict=True):
        assert np.isfinite(filled).all()
        np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert [x.shape for x in est.sample(7)] == [(7, 3), (7, 2), (7, 4)]
    assert est.n_iter_ == len(est.loss_curve_) == len(est.history_) == 3


@every_estimator
def test_each_parameter_shapes_the_model_or_is_free(cls):
    """A new one is to be sorted, here or there; what is read to put a model together shapes it."""
    names = set(cls().get_params(deep=False))
    assert names - FREE == names & SHAPING == set(shape_of(cls()))

    class Watched(cls):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    read, est = set(), small(cls, **FAST).fit(data())
    recompose(Watched(**est.get_params()), est._layout, est.model_.likelihoods, 0, est.auto_)
    assert not read & FREE


@every_estimator
def test_training_lowers_the_loss_and_raises_the_score(cls):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 1))
    X = [z + 0.1 * rng.normal(size=(200, 3)) for _ in range(3)]
    how = {"hidden_layer_sizes": (32,), "learning_rate_init": 1e-2, "random_state": 0}
    short = small(cls, max_iter=1, **how).fit(X)
    long = small(cls, max_iter=16, **how).fit(X)
    assert long.loss_curve_[-1] < long.loss_curve_[0] - 1
    assert long.score(X) > short.score(X) + 1


@every_estimator
def test_the_same_seed_gives_the_same_bits_and_global_state_does_not_move(cls):
    X = data()
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    a, b = (small(cls, **FAST, n_threads=2).fit(X) for _ in range(2))
    other = small(cls, **{**FAST, "random_state": 1}).fit(X)
    small(cls, **{**FAST, "random_state": None}).fit(X)
    for p, q in zip(a.model_.parameters(), b.model_.parameters(), strict=True):
        assert torch.equal(p, q)
    assert a.loss_curve_ == b.loss_curve_ != other.loss_curve_
    np.testing.assert_array_equal(a.score_samples(X), b.score_samples(X))
    for x, y in zip(a.sample(4), b.sample(4), strict=True):
        np.testing.assert_array_equal(x, y)
    assert torch.equal(torch_before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])
    assert (threads, dtype) == (torch.get_num_threads(), torch.get_default_dtype())


@every_estimator
def test_rows_do_not_depend_on_their_company(cls, monkeypatch):
    X, est = data(), fitted(cls)
    order = np.random.default_rng(1).permutation(40)
    for method in ("transform", "score_samples"):
        whole = getattr(est, method)(X)
        np.testing.assert_allclose(getattr(est, method)([x[order] for x in X]), whole[order])
        rows = [getattr(est, method)([x[[n]] for x in X])[0] for n in range(12)]  # all patterns
        np.testing.assert_allclose(rows, whole[:12], atol=1e-12)
    whole = est.predict_missing(X)
    monkeypatch.setattr("skpoe.estimators.predicting._CHUNK", 1)  # one row at a time
    for x, y in zip(est.predict_missing(X), whole, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-12)


@every_estimator
def test_a_row_that_shows_nothing_is_the_prior(cls):
    X, est = data(), fitted(cls)
    np.testing.assert_allclose(est.transform(X)[5], 0, atol=1e-7)
    np.testing.assert_allclose(est.score_samples(X)[5], 0, atol=1e-6)


@every_estimator
def test_score_is_in_the_units_of_the_data(cls):
    """Changing the unit of a column by 10 changes its log-density by log 10."""
    X = [x for x in data()]
    scaled = [10 * x + 3 for x in X]
    n_observed = sum((~np.isnan(x)).sum(1) for x in X)
    a = small(cls, **FAST, dtype="float64").fit(X).score_samples(X)
    b = small(cls, **FAST, dtype="float64").fit(scaled).score_samples(scaled)
    # draws belong to standardised values, which agree but for rounding
    np.testing.assert_allclose(a - b, n_observed * np.log(10), atol=1e-3)


@every_estimator
def test_latents_decode(cls):
    X, est = data(), fitted(cls)
    means = est.inverse_transform(est.transform(X))
    z = torch.from_numpy(est.transform(X))
    model = copy.deepcopy(est.model_).double()
    for m, mean in enumerate(means):
        np.testing.assert_allclose(mean, model.mean(z, m).detach())
    with pytest.raises(ValueError, match=f"Z has 3 columns, but {cls.__name__} has latent_dim_=2"):
        est.inverse_transform(np.zeros((4, 3)))


@every_estimator
def test_feature_names_and_pandas_output(cls):
    X = data()
    est = small(cls, **FAST).set_output(transform="pandas").fit(X)
    names = [f"{cls.__name__.lower()}{d}" for d in range(2)]
    assert est.get_feature_names_out().tolist() == names
    Z = est.transform(X)
    assert isinstance(Z, pd.DataFrame)
    assert Z.columns.tolist() == names


@every_estimator
def test_pickle_and_deepcopy_keep_the_results(cls):
    X, est = data(), fitted(cls)
    for again in (pickle.loads(pickle.dumps(est)), copy.deepcopy(est)):
        np.testing.assert_array_equal(again.score_samples(X), est.score_samples(X))


@every_estimator
def test_user_networks_are_made_fresh_and_seeded(cls):
    def encoder(n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, 5), nn.Tanh(), nn.Linear(5, n_out))

    X = data()
    state = torch.get_rng_state()
    make = {**FAST, "encoder": [encoder, None, encoder], "decoder": encoder}
    if cls in (MIWAE, PartialVAE):  # one encoder reads all modalities
        with pytest.raises(TypeError, match="reads all modalities at once: pass one factory"):
            small(cls, **make).fit(X)
        make["encoder"] = encoder
    a, b = small(cls, **make).fit(X), small(cls, **make).fit(X)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(a.transform(X), b.transform(X))
    strategy = a.model_.strategy
    if cls in (MIWAE, PartialVAE):
        assert isinstance(strategy.encoder[1], nn.Tanh)
    else:
        assert isinstance(strategy.encoders[0][1], nn.Tanh)
        assert strategy.encoders[0][0].weight is not strategy.encoders[2][0].weight
    wrong = small(cls, **{**FAST, "encoder": lambda n_in, n_out: nn.Linear(n_in, n_out + 1)})
    with pytest.raises(ValueError, match=r"encoder( of modality 'modality_0')? must map \(N, "):
        wrong.fit(X)
    with pytest.raises(TypeError, match="must be a factory"):
        small(cls, **{**FAST, "decoder": nn.Linear(2, 3)}).fit(X)


@every_estimator
def test_likelihood_instances_are_copied(cls):
    mine = LIKELIHOODS["gaussian"]()
    small(cls, **FAST, likelihood=mine).fit(data())
    assert not list(mine.parameters())


@every_estimator
def test_one_table_is_one_modality(cls):
    X = data()[0]
    est = small(cls, **FAST).fit(X)
    assert est.modality_names_ == ["X"]
    assert est.predict_missing(X).shape == X.shape


@every_estimator
@pytest.mark.parametrize("n_modalities", [1, 2, 5])
def test_any_number_of_modalities(cls, n_modalities):
    rng = np.random.default_rng(0)
    X = {f"m{m}": rng.normal(size=(20, 2)) for m in range(n_modalities)}
    est = small(cls, **FAST).fit(X)
    assert est.transform(Modalities(X)).shape == (20, 2)


@every_estimator
def test_numpy_numbers_are_numbers(cls):
    """A search over np.arange hands them in."""
    make = {"latent_dim": 2, "max_iter": 2, "batch_size": 15, "random_state": 0}
    plain = small(cls, **make, hidden_layer_sizes=(5,)).fit(data())
    make = {k: np.int64(v) for k, v in make.items()}
    numpy = small(cls, **make, hidden_layer_sizes=np.array([5]))
    assert numpy.fit(data()).n_iter_ == 2
    np.testing.assert_array_equal(numpy.transform(data()), plain.transform(data()))


@every_estimator
def test_verbose_prints_epochs(cls, capsys):
    small(cls, **FAST, verbose=2).fit(data())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 3/3"]
    small(cls, **FAST).fit(data())
    assert capsys.readouterr().out == ""


@every_estimator
def test_divergence_names_epoch_and_modality(cls):
    X = data()
    wild = {"learning_rate": "constant", "learning_rate_init": 1e30, "dtype": "float32"}
    est = small(cls, **{**FAST, "max_iter": 50}, **wild)
    with pytest.raises(FloatingPointError, match=r"not finite in epoch \d+, in .*modalit") as info:
        est.fit(X)
    assert "Lower learning_rate_init" in str(info.value)
    assert not hasattr(est, "model_")


@every_estimator
def test_a_broken_network_is_named(cls):
    class Broken(nn.Linear):
        def forward(self, z):
            return super().forward(z) * float("inf")

    X = data()
    joint = cls in (MIWAE, PartialVAE)  # of one encoder for all, nobody can say whose fault it is
    for which in ("decoder",) if joint else ("encoder", "decoder"):
        est = small(cls, **FAST, **{which: [None, Broken, None]})
        with pytest.raises(FloatingPointError, match="in epoch 1, in modality 'modality_1' "):
            est.fit(X)


@every_estimator
@pytest.mark.parametrize("n_samples", [0, 1.5, "3"])
def test_sample_asks_for_a_positive_number(cls, n_samples):
    est = fitted(cls)
    with pytest.raises(ValueError, match="n_samples must be a positive integer; got"):
        est.sample(n_samples)


@pytest.mark.parametrize("cls", [*KINDS, DMVAE])
def test_samples_have_the_moments_of_the_data(cls):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 1))
    X = [5 + 2 * z + 0.5 * rng.normal(size=(300, 2)), (z + rng.normal(size=(300, 1)) > 0) * 1.0]
    likelihood = ["gaussian", "bernoulli"]
    how = {"likelihood": likelihood, "max_iter": 60, "hidden_layer_sizes": (32,)}
    if cls is not SphericalVAE:  # which learns in more steps
        how["batch_size"] = 100
    est = small(cls, **how, learning_rate_init=1e-2, random_state=0).fit(X)
    real, flags = est.sample(4000)
    np.testing.assert_allclose(real.mean(0), X[0].mean(0), atol=0.4)
    assert set(np.unique(flags)) == {0, 1}
    np.testing.assert_allclose(flags.mean(), X[1].mean(), atol=0.08)
    np.testing.assert_allclose(real.std(0), X[0].std(0), rtol=0.2)
    if cls is DMVAE:  # it may put the cause into private variables, of each modality its own
        return
    # the two modalities share a cause
    assert np.corrcoef(real[:, 0], flags[:, 0])[0, 1] > 0.2


@every_estimator
def test_a_modality_that_fit_never_saw_says_nothing_later(cls):
    X = data()
    hidden = {"a": X[0], "b": X[1], "c": None}
    with pytest.warns(UserWarning, match="no observed value"):
        est = small(cls, **FAST).fit(Modalities(hidden, n_features={"c": 4}))
    shown = {**hidden, "c": X[2]}
    np.testing.assert_array_equal(est.transform(shown), est.transform(hidden))
    np.testing.assert_array_equal(est.score_samples(shown), est.score_samples(hidden))
    filled = est.predict_missing(shown)["c"]
    np.testing.assert_array_equal(filled[~np.isnan(X[2])], X[2][~np.isnan(X[2])])


@every_estimator
def test_large_offsets_do_not_make_rows_share_their_draws(cls):
    X = [1e9 + np.arange(300.0)[:, None], np.ones((300, 2))]
    est = small(cls, **FAST).fit(X)
    draws = est._predict(est._read(X), lambda model, batch, noise: [noise.normal(event=2)])[0]
    assert len(np.unique(draws, axis=0)) == 300


@every_estimator
def test_the_support_is_checked_at_predict_too(cls):
    X = data("bernoulli")
    est = small(cls, **FAST, likelihood="bernoulli").fit(X)
    with pytest.raises(ValueError, match="Bernoulli likelihood of modality 'modality_0' needs"):
        est.score([x * 50 for x in X])


@every_estimator
def test_networks_with_dropout_repeat_and_leave_the_global_state(cls):
    def encoder(n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, 8), nn.Dropout(0.5), nn.Linear(8, n_out))

    X, state = data(), torch.get_rng_state()
    a, b = (small(cls, **FAST, encoder=encoder).fit(X) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(a.transform(X), b.transform(X))
    weights = [network[2].weight for network in encoders_of(a)]
    assert all(not torch.equal(first, second) for first, second in pairwise(weights))


@every_estimator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_mood_of_torch_does_not_matter(cls, dtype):
    X = data()
    expected = fitted(cls).score(X)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.no_grad():
            for kind in ("float32", "float64"):
                small(cls, **FAST, dtype=kind).fit(X)
            assert small(cls, **FAST).fit(X).score(X) == pytest.approx(expected, abs=1e-4)
    finally:
        torch.set_default_dtype(before)


@every_estimator
def test_activation_and_sizes_reach_the_networks(cls):
    est = small(cls, **FAST, activation="tanh", hidden_layer_sizes=(7, 5)).fit(data())
    for network in (*encoders_of(est), *est.model_.decoders.networks):
        assert [type(layer).__name__ for layer in network] == [
            *("Linear", "Tanh"),
            *("Linear", "Tanh"),
            "Linear",
        ]
        assert [layer.out_features for layer in network[:-1:2]] == [7, 5]


@every_estimator
def test_pandas_output_keeps_the_index(cls):
    index = [f"cell{n}" for n in range(40)]
    frames = [pd.DataFrame(x, index=index).add_prefix("f") for x in data()]
    est = small(cls, **FAST).set_output(transform="pandas").fit(frames)
    for X in (frames, tuple(frames), Modalities(frames)):
        assert est.transform(X).index.tolist() == index


@every_estimator
def test_single_precision_rows_change_with_the_model(cls):
    """The copy in double precision follows a model that is changed in place."""
    X = data()
    est = small(cls, **FAST, dtype="float32").fit(X)
    before = est.transform(X)
    with torch.no_grad():
        for parameter in est.model_.parameters():
            parameter.mul_(1.5)
    assert np.abs(est.transform(X) - before).max() > 1e-3


@every_estimator
def test_a_modality_that_is_none_is_one_of_nan(cls):
    X, est = data(), fitted(cls)
    none, gone = [X[0], None, X[2]], [X[0], np.full_like(X[1], np.nan), X[2]]
    for method in ("transform", "score_samples"):
        np.testing.assert_array_equal(getattr(est, method)(none), getattr(est, method)(gone))
    for a, b in zip(est.predict_missing(none), est.predict_missing(gone), strict=True):
        np.testing.assert_array_equal(a, b)
