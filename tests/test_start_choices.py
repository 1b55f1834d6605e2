"""What is chosen with a start at factor analysis: how much of it to trust, and to keep."""

import copy
import inspect
import itertools

import numpy as np
import pytest
import torch
from joint_gaussian import KINDS, conditional, covariance_of, gaussian_of, punch
from linear_gaussian import LinearGaussian
from scipy import stats
from torch import nn

from skpoe import MIWAE, ModularVAE, MultimodalFactorAnalysis, PoEVAE, all_estimators
from skpoe.data.batch import Batch
from skpoe.data.rows import Held, Rows
from skpoe.estimators import course, judging, starting
from skpoe.estimators.judging import (
    densities_of_hidden,
    errors_of_hidden,
    errors_of_neighbours,
)
from skpoe.estimators.starting import (
    find_start_weight,
    hold_out,
    mean_and_error,
    settle,
    weights_of,
)
from skpoe.likelihoods import CensoredGaussian
from skpoe.nn import Shared
from skpoe.training import Cycle

QUICK = {"latent_dim": 2, "hidden_layer_sizes": (8,), "random_state": 0, "n_threads": 1}
OF_POEVAE = {"prediction_networks", "prediction_weight"}
AUTO = {
    "init",
    "latent_dim",
    "likelihood",
    "covariance",
    "dtype",
    "early_stopping",
    "batch_size",
    "max_iter",
    "learning_rate_init",
    "weight_decay",
    "start_weight",
    "shrinkage",
    "trust",
}


def bent(n=60, seed=0):
    """Two modalities that bend around each other, with holes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 1))
    X = [z + 0.3 * rng.normal(size=(n, 4)), z**2 + z + 0.3 * rng.normal(size=(n, 3))]
    return punch(X, "both", share=0.1)


def answers(est, X):
    return [est.transform(X), est.score_samples(X), *est.predict_missing(X), *est.reconstruct(X)]


def assert_same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def differ(a, b):
    return max(np.abs(x - y).max() for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("cls", "likelihood"),
    [(PoEVAE, "gaussian"), (PoEVAE, "student_t"), (MIWAE, "student_t")],
)
def test_start_weight_says_how_much_of_the_start_is_kept(cls, likelihood):
    X, make = bent(), {**QUICK, "likelihood": likelihood, "shrinkage": 0.1}
    start = cls(**make, max_iter=0).fit(X)
    none, half, all_ = (cls(**make, max_iter=4, start_weight=w).fit(X) for w in (0.0, 0.5, 1.0))
    assert_same(answers(all_, X), answers(start, X))
    assert differ(answers(none, X), answers(start, X)) > 1e-2
    assert all_.n_iter_ == none.n_iter_ == 4
    assert all_.loss_curve_ == none.loss_curve_
    for p, a, b in zip(*(e.model_.parameters() for e in (half, none, all_)), strict=True):
        torch.testing.assert_close(p, (a + b) / 2)


def test_training_goes_on_from_the_start():
    """The posterior is exact there, so an importance-weighted bound is no bound, but log p."""
    X, make = bent(), {**QUICK, "likelihood": "gaussian", "dtype": "float64", "batch_size": 60}
    start = MIWAE(**make, max_iter=0).fit(X)
    trained = MIWAE(**make, max_iter=60, start_weight=0.0).fit(X)
    np.testing.assert_allclose(trained.loss_curve_[0], -start.score(X), rtol=1e-10)
    assert trained.loss_curve_[-1] < trained.loss_curve_[0] - 0.02


@pytest.mark.parametrize("how", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_what_was_chosen_gives_the_same_model_by_hand(cls, how, monkeypatch):
    monkeypatch.setattr(cls, "_cycle", lambda est, n_rows, n_features: Cycle(40, rate=2e-3))
    X = bent(120)
    make = {"hidden_layer_sizes": (8,), "random_state": 0, "n_threads": 1, **how}
    chosen = cls(**make).fit(X)
    assert set(chosen.auto_) == AUTO | (OF_POEVAE if cls is PoEVAE else set())
    assert chosen.auto_["init"] == "factor_analysis"
    assert chosen.auto_["covariance"] == "full"
    half, all_but_one = 4, 6
    expected = half if cls is PoEVAE else all_but_one
    assert chosen.auto_["latent_dim"] == chosen.latent_dim_ == expected
    assert chosen.auto_["early_stopping"] is how.get("early_stopping", False)
    assert chosen.auto_["max_iter"] == chosen.n_iter_ == 40
    assert chosen.auto_["learning_rate_init"] == 2e-3
    assert chosen.auto_["start_weight"] < 1  # else training would leave no trace
    known = inspect.signature(cls).parameters
    by_hand = {name: value for name, value in chosen.auto_.items() if name in known}
    same = cls(**{**make, **by_hand}).fit(X)
    assert same.auto_ == chosen.auto_
    assert_same(answers(same, X), answers(chosen, X))


@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_a_rate_that_stays_is_not_the_peak_of_a_cycle(cls, monkeypatch):
    monkeypatch.setattr(cls, "_cycle", lambda est, n_rows, n_features: Cycle(2, rate=0.5))
    X, make = bent(), {"hidden_layer_sizes": (8,), "random_state": 0, "n_threads": 1}

    def rate(est):
        return est.auto_["learning_rate_init"]

    assert rate(cls(**make).fit(X)) == 0.5
    assert rate(cls(**make, init="random", max_iter=1).fit(X)) == 3e-3
    constant = cls(**make, learning_rate="constant")
    assert rate(constant.fit(X)) == rate(constant.partial_fit(X)) == 3e-3
    assert rate(cls(**make, learning_rate_init=0.01).partial_fit(X)) == 0.01


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_what_start_weight_is_found_to_be_says_what_is_trained(cls, weight, monkeypatch):
    X, make, seen = bent(), {**QUICK, "shrinkage": 0.1, "max_iter": 10}, []

    def train(model, objective, rows, *args, **kwargs):
        seen.append(len(rows))
        return trained(model, objective, rows, *args, **kwargs)

    trained = course.train
    monkeypatch.setattr(course, "train", train)
    monkeypatch.setattr(course, "find_start_weight", lambda *args: weight)
    est = cls(**make, start_weight="auto").fit(X)
    assert est.auto_["start_weight"] == weight
    assert seen[0] < 60
    assert seen[1:] == ([] if weight == 1 else [60])
    assert est.n_iter_ == len(est.loss_curve_) == 10
    if weight == 1:
        make["max_iter"] = 0
    assert_same(answers(est, X), answers(cls(**make, start_weight=weight).fit(X), X))


@pytest.mark.parametrize("n_rows", [30, 200])
def test_held_out_rows_choose_the_dimension_where_features_outnumber_rows(n_rows):
    X = LinearGaussian(widths=(40, 40), latent_dim=2, n=n_rows).x
    est = PoEVAE(**{**QUICK, "latent_dim": "auto"}, max_iter=0).fit(X)
    assert est.auto_["latent_dim"] == est.latent_dim_ == (2 if n_rows < 80 else 40)
    by_hand = PoEVAE(**{**QUICK, "latent_dim": est.latent_dim_}, max_iter=0).fit(X)
    assert_same(answers(by_hand, X), answers(est, X))


def test_zeros_and_ones_start_at_random_and_other_values_do_not():
    rng = np.random.default_rng(0)
    bits = (rng.uniform(size=(40, 5)) < 0.5).astype(float)
    real = rng.normal(size=(40, 3))
    makes = {"bernoulli": [bits, bits[:, :2]], "student_t": [real, real[:, :2]]}
    for likelihood, X in makes.items():
        est = PoEVAE(**QUICK, max_iter=0).fit(X)
        started = likelihood == "student_t"
        assert est.auto_["likelihood"] == [likelihood] * 2
        assert est.auto_["init"] == ("factor_analysis" if started else "random")
        assert est.auto_["prediction_weight"] == (3.0 if started else 0.1)
        assert est.model_.has_started is started
    mixed = PoEVAE(**QUICK, max_iter=0).fit([bits, real])
    assert mixed.auto_["likelihood"] == ["bernoulli", "student_t"]
    assert mixed.auto_["init"] == "factor_analysis"
    own = PoEVAE(**QUICK, max_iter=0, decoder=nn.Linear).fit([real, real[:, :2]])
    assert own.auto_["init"] == "random"


@pytest.mark.parametrize("cls", [PoEVAE, MIWAE])
def test_the_same_seed_gives_the_same_model_and_moves_no_global_generator(cls):
    X, make = bent(), {**QUICK, "max_iter": 3}
    states = torch.get_rng_state(), np.random.get_state()
    first = answers(cls(**make).fit(X), X)
    assert torch.equal(torch.get_rng_state(), states[0])
    for a, b in zip(np.random.get_state(), states[1], strict=True):
        np.testing.assert_array_equal(a, b)
    torch.manual_seed(5)
    np.random.seed(5)
    assert_same(answers(cls(**make).fit(X), X), first)
    other = cls(**{**make, "random_state": 1}).fit(X)
    assert differ(answers(other, X), first) > 1e-4


def repeats(n, seed):
    """Two tables, each of which says one number 30 times; the numbers correlate by half."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 1))
    return [z + rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, 30)) for _ in range(2)]


def error_of_hidden_modalities(est, X):
    """Mean squared error of each modality, predicted from the other."""
    total = 0.0
    for m in range(2):
        hidden = [np.full_like(x, np.nan) if k == m else x for k, x in enumerate(X)]
        total += ((est.predict_missing(hidden)[m] - X[m]) ** 2).mean()
    return total


def test_tables_that_repeat_themselves_are_trusted_less():
    """One latent variable cannot know that what a table says thirty times it says once."""
    make = {**QUICK, "latent_dim": 1, "likelihood": "gaussian", "max_iter": 0, "start_weight": 0.0}
    for seed in range(3):
        X, new = repeats(300, seed), repeats(500, seed + 100)
        est = PoEVAE(**make).fit(X)
        assert est.auto_["trust"] < 0.5
        trusting = PoEVAE(**make, trust=1.0).fit(X)
        # what the other table says explains half of the variance of this one: 2 * 2 * .75
        ours, theirs = (error_of_hidden_modalities(e, new) for e in (est, trusting))
        assert ours < 4.0
        assert theirs > 5.0


def test_a_true_factor_analysis_is_trusted():
    """A few rows that would be predicted better otherwise are luck."""
    make = {**QUICK, "latent_dim": 3, "likelihood": "gaussian", "max_iter": 0, "start_weight": 0.0}
    make |= {"shrinkage": 0.1, "hidden_layer_sizes": (2,)}  # trust is about neither
    trusts = []
    for seed in range(10):
        X = punch(LinearGaussian(n=100, seed=seed).x, "both", share=0.3, seed=seed)
        trusts.append(PoEVAE(**{**make, "random_state": seed}).fit(X).auto_["trust"])
    assert trusts.count(1.0) >= 9


def test_intervals_of_few_rows_that_repeat_themselves_cover():
    """Nine of ten values of each table, given the other one; less, where that is believed."""
    make = {**QUICK, "latent_dim": 1, "likelihood": "gaussian", "max_iter": 0, "start_weight": 0.0}
    X, new = repeats(60, 0), repeats(200, 50)
    covered = {}
    for trust in ("auto", 1.0):
        est = PoEVAE(**make, trust=trust).fit(X)
        ends = [est.predict_interval([new[0], None]), est.predict_interval([None, new[1]])]
        covered[trust] = [
            ((low[m] <= new[m]) & (new[m] <= high[m])).mean()
            for m, (low, high) in zip((1, 0), ends, strict=True)
        ]
    assert 0.8 < min(covered["auto"])
    assert max(covered["auto"]) < 0.95
    assert min(covered[1.0]) < 0.5


def test_folds_hold_out_each_row_once():
    x = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1)
    rows = Rows.alike(Batch([x], [torch.ones(60, 1, dtype=torch.bool)]))  # repeats go together
    helds = [hold_out(rows, 0, fold) for fold in range(5)]
    for kept, held in helds:
        assert sorted([*kept.tolist(), *held.tolist()]) == list(range(60))
        assert {row % 30 for row in held.tolist()}.isdisjoint(row % 30 for row in kept.tolist())
    assert sorted(torch.cat([held for _, held in helds]).tolist()) == list(range(60))
    assert min(len(held) for _, held in helds) > 0


def test_standard_errors_are_those_of_distinct_rows():
    """Of equal weights by numpy; a weight of two is a row that comes twice."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9)))
    keys = torch.arange(9)
    mean, error = mean_and_error(x, torch.full((9,), 3.0).double(), keys)
    np.testing.assert_allclose(mean, x.numpy().mean(1))
    np.testing.assert_allclose(error, stats.sem(x.numpy(), axis=1))
    assert mean_and_error(x[:, :1], torch.ones(1).double(), keys[:1])[1].isnan().all()
    twice = torch.cat([keys, keys[:4]])
    weights = torch.bincount(twice).double()
    weighted = mean_and_error(x, weights, keys)
    repeated = mean_and_error(x[:, twice], torch.ones(13).double(), twice)
    for ours, theirs in zip(weighted, repeated, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.fixture(scope="module")
def start():
    """Three tables, and an estimator at the start for them, which is a joint Gaussian."""
    X = LinearGaussian(n=60).x
    make = {**QUICK, "latent_dim": 3, "likelihood": "gaussian", "dtype": "float64", "trust": 1.0}
    return X, PoEVAE(**make, max_iter=0).fit(X)


def test_what_is_hidden_may_be_judged_a_few_rows_at_a_time(monkeypatch):
    """As it must be where many modalities have large covariances."""
    X = bent()
    est = PoEVAE(**QUICK, max_iter=2, start_weight=0.0, trust=1.0).fit(X)
    batch = est.model_.read(X)
    keys = torch.arange(60)
    whole = [errors_of_hidden(est.model_, batch), densities_of_hidden(est.model_, batch, keys)]
    monkeypatch.setattr(judging, "_AT_A_TIME", 700)
    assert len(judging._parts_of_hidden(est.model_, batch)) > 3
    parts = [errors_of_hidden(est.model_, batch), densities_of_hidden(est.model_, batch, keys)]
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_of_hidden_entries_are_those_of_conditional_means(start, kind):
    """Each modality is predicted from the entries that a row shows of the others."""
    X, est = start
    spread = np.hstack(X).std(0)
    X = punch(X, kind)
    errors = errors_of_hidden(est.model_, est.model_.read(X))
    mean, *rest = gaussian_of(est)
    flat, expected = np.hstack(X), np.zeros(60)
    for n, row in enumerate(flat):
        for begin, end in itertools.pairwise(np.cumsum([0, *(x.shape[1] for x in X)])):
            others = row.copy()
            others[begin:end] = np.nan
            if not np.isnan(others).all():
                filled = others.copy()
                filled[np.isnan(others)] = conditional(others, mean, covariance_of(*rest))[0]
                gap = ((filled - row) / spread)[begin:end]
                expected[n] += np.nansum(gap**2) / len(gap)
    np.testing.assert_allclose(errors, expected, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_fill_in_their_mean(start, kind, monkeypatch):
    """Of what they show, where they show any of a modality; by hand, row by row."""
    monkeypatch.setattr(judging, "_N_NEIGHBOURS", 4)
    X, est = start
    x, there = punch([x[:25] for x in X], kind), punch([x[25:] for x in X], kind)
    ours = errors_of_neighbours(est.model_, est.model_.read(x), est.model_.read(there))
    spread = np.hstack(X).std(0)
    middle = np.hstack(X).mean(0)
    flat, other = ((np.hstack(part) - middle) / spread for part in (x, there))
    expected = np.zeros(25)
    for begin, end in itertools.pairwise(np.cumsum([0, *(x.shape[1] for x in X)])):
        own = np.arange(begin, end)
        rest = np.setdiff1d(np.arange(flat.shape[1]), own)
        shows = ~np.isnan(other[:, own]).all(1) & ~np.isnan(other[:, rest]).all(1)
        for n, row in enumerate(flat):
            if np.isnan(row[rest]).all():
                continue
            gaps = np.nan_to_num(other[shows][:, rest]) - np.nan_to_num(row[rest])
            near = other[shows][(gaps**2).sum(1).argsort()[:4]][:, own]
            told = np.maximum((~np.isnan(near)).sum(0), 1)
            expected[n] += np.nansum((np.nansum(near, 0) / told - row[own]) ** 2) / len(own)
    np.testing.assert_allclose(ours, expected, atol=1e-9)


def test_without_ten_neighbours_nothing_is_said_of_them(start):
    X, est = start
    few = [X[0][:30], np.where(np.arange(30)[:, None] < 9, X[1][:30], np.nan), X[2][:30]]
    batch = est.model_.read(X)
    assert torch.isinf(errors_of_neighbours(est.model_, batch, est.model_.read(few))).all()
    few[1][9] = X[1][9]
    assert errors_of_neighbours(est.model_, batch, est.model_.read(few)).isfinite().all()


@pytest.mark.parametrize("kind", ["entries", "modalities"])
def test_densities_of_hidden_entries_are_those_of_conditional_gaussians(start, kind, monkeypatch):
    """Each entry of a hidden modality by itself, by the block formula and scipy."""
    X, est = start
    monkeypatch.setattr(judging, "_N_DRAWS", 4000)
    X = punch(X, kind)
    batch = est.model_.read(X)
    densities = densities_of_hidden(est.model_, batch, torch.arange(60))
    mean, *rest = gaussian_of(est)
    expected = np.zeros(60)
    for n, row in enumerate(np.hstack(X)):
        for begin, end in itertools.pairwise(np.cumsum([0, *(x.shape[1] for x in X)])):
            others = row.copy()
            others[begin:end] = np.nan
            if not np.isnan(others).all():
                lacks = np.isnan(others)
                centre, spread = conditional(others, mean, covariance_of(*rest))
                found = stats.norm.logpdf(row[lacks], centre, np.diag(spread) ** 0.5)
                here = (np.flatnonzero(lacks) >= begin) & (np.flatnonzero(lacks) < end)
                expected[n] += np.nansum(found[here]) / (end - begin)
    np.testing.assert_allclose(densities, expected, atol=0.05)
    assert expected.std() > 0.5


def test_errors_of_one_table_are_those_of_a_third_of_its_entries():
    """Of other thirds, so the same but for chance."""
    X = punch(LinearGaussian(widths=(9,), latent_dim=1, n=1900).x, "entries", share=0.2)[0]
    make = {**QUICK, "latent_dim": 1, "likelihood": "gaussian", "dtype": "float64"}
    est = PoEVAE(**make, max_iter=0).fit(X)
    errors = errors_of_hidden(est.model_, est.model_.read([X]))
    assert errors.shape == (1900,)
    mean, *rest = gaussian_of(est)
    shown, spread = ~np.isnan(X), np.nanstd(X, axis=0)
    hidden = shown & (np.random.default_rng(1).uniform(size=shown.shape) < 1 / 3)
    left = np.where(hidden, np.nan, X)
    filled = left.copy()
    for row in filled:
        if not np.isnan(row).all():
            row[np.isnan(row)] = conditional(row, mean, covariance_of(*rest))[0]
    total = np.nansum(np.where(hidden, (filled - X) / spread, np.nan) ** 2) / 9
    np.testing.assert_allclose(float(errors.mean()), total / 1900, rtol=0.1)


def test_the_start_is_kept_where_training_did_harm_and_left_where_it_helped(start):
    X, est = start
    good, bad = est.model_, copy.deepcopy(est.model_)
    with torch.no_grad():
        for parameter in bad.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator()))
    rows = Rows(Held(good.read(X)), torch.ones(60).double())
    unsure = copy.deepcopy(good)
    for likelihood in unsure.likelihoods:
        likelihood.rho.data += 3  # predicts as well, but its rows are less likely
    cases = [(good, bad, 0.0), (bad, good, 1.0), (good, good, 0.0), (unsure, good, 1.0)]
    for ended, begun, kept in cases:
        model = copy.deepcopy(ended)
        assert find_start_weight(model, weights_of(begun), rows) == kept
        for p, q in zip(model.parameters(), ended.parameters(), strict=True):
            assert torch.equal(p, q)  # it only looks
    mixed = copy.deepcopy(good)
    settle(mixed, weights_of(bad), 0.25)
    for p, a, b in zip(*(m.parameters() for m in (mixed, good, bad)), strict=True):
        torch.testing.assert_close(p, 0.75 * a + 0.25 * b)


@pytest.mark.parametrize("seed", range(3))
def test_columns_that_stand_twice_do_not_make_the_start_less_likely(seed):
    """Rows of which some are further out than training showed, and residuals of nothing."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(500, 3))
    a, b = (z @ rng.normal(size=(3, w)) + 0.6 * rng.normal(size=(500, w)) for w in (6, 5))
    X = [a, np.hstack([b, a[:, :2]])]
    train, test = ([x[rows] for x in X] for rows in (slice(250), slice(250, None)))
    analysis = MultimodalFactorAnalysis(latent_dim=6, random_state=0).fit(train)
    start = PoEVAE(latent_dim=6, max_iter=0, random_state=0).fit(train)
    assert start.score(test) > analysis.score(test) - 0.2


def test_what_cannot_start_at_a_factor_analysis_says_so():
    X = bent()
    message = "init='factor_analysis' is for .* take init='random'"
    refused = []
    for name, cls in all_estimators():
        if "init" not in inspect.signature(cls).parameters:
            continue
        params = {"init": "factor_analysis", "likelihood": "gaussian", "max_iter": 0}
        try:
            est = cls(**params, hidden_layer_sizes=(8,), random_state=0).fit(X)
        except ValueError as error:
            assert "take init='random'" in str(error)  # noqa: PT017
            refused.append(name)
        else:
            assert est.model_.has_started
            assert est.auto_["init"] == "factor_analysis"
    own = ["DMVAE", "JMVAE", "MMVAE", "MMVAEPlus", "PartialVAE", "SphericalVAE", "VAEVAE"]
    assert sorted(refused) == own
    kinds = ["student_t", "beta", "student_t_decoder"]
    est = PoEVAE(init="factor_analysis", likelihood=kinds)
    with pytest.raises(ValueError, match="can start so, not 'beta', 'student_t_decoder'. This Po"):
        est.fit([X[0], X[0] * 0 + 0.5, X[0]])
    for params in (
        {"likelihood": "student_t_decoder"},
        {"likelihood": ["gaussian", "student_t_decoder"]},
    ):
        with pytest.raises(ValueError, match=message):
            PoEVAE(**QUICK, init="factor_analysis", **params).fit(X)
    for params in ({"private_dim": 1}, {"prior": "scaled_gaussian"}):
        with pytest.raises(ValueError, match=message):
            ModularVAE(**QUICK, init="factor_analysis", **params).fit(X)
    alike = [X[0][:, :3], X[1]]
    for what in ("encoder", "decoder"):
        with pytest.raises(ValueError, match=message):
            PoEVAE(**QUICK, init="factor_analysis", **{what: Shared(nn.Linear)}).fit(alike)


@pytest.mark.filterwarnings("error")
def test_no_epochs_are_no_reason_to_warn():
    est = PoEVAE(**QUICK, max_iter=0).fit(bent())
    assert est.n_iter_ == 0
    assert est.loss_curve_ == []


def test_a_call_that_fails_leaves_what_was_chosen_as_it_was(monkeypatch):
    X = bent()
    est = PoEVAE(**QUICK, max_iter=3).fit(X)
    before, predictions = dict(est.auto_), answers(est, X)

    def fails(*args, **kwargs):
        raise FloatingPointError("not finite")

    with monkeypatch.context() as patch:
        patch.setattr("skpoe.estimators.course.train", fails)
        with pytest.raises(FloatingPointError, match="not finite"):
            est.partial_fit(X)
    assert est.auto_ == before
    assert_same(answers(est, X), predictions)
    est.partial_fit(X)
    assert est.auto_ == {**before, "max_iter": 1, "learning_rate_init": 3e-3}


def test_a_prediction_beyond_a_limit_is_no_error():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 1))
    X = [np.maximum(z + 0.3 * rng.normal(size=(80, 2)), 0.0), z + 0.3 * rng.normal(size=(80, 3))]
    kinds = [CensoredGaussian(low=0.0), "gaussian"]
    est = PoEVAE(**QUICK, likelihood=kinds, init="factor_analysis", max_iter=0).fit(X)
    model, objective = est.model_, est._objective
    batch = model.read([np.zeros((1, 2)), X[1][:1]])
    at_limit = batch.values[0]
    assert objective.log_error is not None

    def worth(shift):
        guesses = [at_limit + shift, batch.values[1]]
        return float(objective._prediction(model, batch, guesses).detach())

    assert worth(-3.0) > worth(-1.0) > worth(0.0) > worth(1.0)
    assert objective._prediction(model, batch, [at_limit, batch.values[1] - 1]) < worth(0.0)


def test_what_is_judged_on_a_part_of_the_rows_is_judged_on_all_sorts(start, monkeypatch):
    X, est = start
    monkeypatch.setattr(starting, "_MOST_ROWS", 7)
    seen = []

    class Seen(Rows):
        def __getitem__(self, rows):
            seen.append(rows.tolist())
            return super().__getitem__(rows)

    model = copy.deepcopy(est.model_)
    rows = Seen(Held(model.read(X)), torch.ones(60).double())
    find_start_weight(model, weights_of(model), rows)
    assert seen == [[0, 8, 17, 25, 34, 42, 51]]
