"""Columns of several kinds in one modality: from a DataFrame through the model and back."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special, stats
from small import FAST, KINDS, VAES, small

from skpoe import MIWAE, MVAE, Modalities, MultimodalFactorAnalysis, PoEVAE, load
from skpoe.data.coding import refill
from skpoe.imputation import ConformalIntervals
from skpoe.likelihoods import (
    Bernoulli,
    Categorical,
    Gaussian,
    Mixed,
    NegativeBinomial,
    Ordinal,
    Poisson,
)
from skpoe.random import RowNoise

N = 60
DTYPES = {
    "age": "float64",
    "smokes": "boolean",
    "visits": "Int64",
    "town": pd.CategoricalDtype(["oslo", "rome", "lima", "nowhere"]),
    "grade": pd.CategoricalDtype(["low", "mid", "high"], ordered=True),
    "drug": "str",
    "weight": "float32",
}
LIKELIHOODS = {
    "age": "student_t",
    "smokes": "bernoulli",
    "visits": "negative_binomial",
    "town": "categorical",
    "grade": "ordinal",
    "drug": "categorical",
    "weight": "student_t",
}


def clinic(n=N, seed=0, holes=0.25):
    """Patients whose columns hang together, with holes, and the truth."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)

    def near(scale=0.3):
        return z + scale * rng.normal(size=n)

    frame = pd.DataFrame(
        {
            "age": 40 + 10 * near(),
            "smokes": near() > 0,
            "visits": rng.poisson(np.exp(0.5 + near())),
            "town": np.array(["oslo", "rome", "lima"])[np.digitize(near(), [-0.5, 0.5])],
            "grade": np.array(["low", "mid", "high"])[np.digitize(near(), [-0.5, 0.5])],
            "drug": np.array(["a", "b"])[(near() > 0).astype(int)],
            "weight": 70 + near(),
        },
        index=[f"patient{i}" for i in range(n)],
    ).astype(DTYPES)
    return frame.mask(rng.uniform(size=frame.shape) < holes).astype(DTYPES), frame


def assert_filled(filled, holed):
    assert (filled.dtypes == holed.dtypes).all()
    pd.testing.assert_index_equal(filled.index, holed.index)
    pd.testing.assert_index_equal(filled.columns, holed.columns)
    assert not filled.isna().any(axis=None)
    for name in holed:
        shown = holed[name].notna()
        pd.testing.assert_series_equal(filled[name][shown], holed[name][shown])


def test_each_column_gets_the_likelihood_of_its_dtype():
    holed, _ = clinic()
    est = PoEVAE(**FAST).fit(holed)
    assert est.auto_["likelihood"] == [LIKELIHOODS]
    assert est.auto_["init"] == "factor_analysis"
    # integers with holes, as pandas writes them, and numbers that are no counts
    plain = holed.assign(
        visits=holed["visits"].astype(float), year=2000 + np.arange(N), flag=np.arange(N) % 2.0
    )
    read = PoEVAE(**FAST).fit(plain).auto_["likelihood"][0]
    assert read == {**LIKELIHOODS, "year": "student_t", "flag": "bernoulli"}
    # of floats alone, one for all
    assert PoEVAE(**FAST).fit(plain[["age", "year"]].astype(float)).auto_["likelihood"] == [
        "student_t"
    ]


@pytest.mark.parametrize("cls", VAES)
def test_every_estimator_gives_back_what_it_was_given(cls):
    holed, _ = clinic()
    cells = np.random.default_rng(0).normal(size=(N, 3))
    X = {"cells": cells, "clinic": holed}
    est = small(cls, **FAST, likelihood="auto").fit(X)
    assert est.transform(X).shape == (N, 2)
    assert np.isfinite(est.score_samples(X)).all()
    assert_filled(est.predict_missing(X)["clinic"], holed)


@pytest.mark.filterwarnings("ignore:.*importance samples count effectively")
@pytest.mark.parametrize("cls", KINDS)
def test_draws_and_new_rows_have_the_dtypes_too(cls):
    holed, _ = clinic()
    est = small(cls, **FAST, likelihood="auto").fit(holed)
    for filled in est.impute(holed.iloc[:9], 2):
        assert_filled(filled, holed.iloc[:9])
    new = est.sample(30)
    exact = new.columns.drop("weight")
    assert (new.dtypes[exact] == holed.dtypes[exact]).all()
    assert set(new["grade"]) <= {"low", "mid", "high"}
    means, whole = est.inverse_transform(est.transform(holed)), ["town", "grade", "smokes"]
    assert (means.dtypes[whole] == holed.dtypes[whole]).all()


def test_one_table_is_cut_into_modalities_of_several_kinds():
    holed, _ = clinic()
    cut = {"body": ["weight", "age", "grade"], "life": ["smokes", "town", "visits", "drug"]}
    est = PoEVAE(**FAST, modalities=cut).fit(holed)
    assert est.auto_["likelihood"] == [
        {name: LIKELIHOODS[name] for name in columns} for columns in cut.values()
    ]
    assert_filled(est.predict_missing(holed), holed)
    assert list(est.predict_proba(holed)) == ["grade", "smokes", "town", "drug"]
    stacked = est.score_samples(holed)
    parts = Modalities.from_pandas(holed, cut)
    np.testing.assert_allclose(PoEVAE(**FAST).fit(parts).score_samples(parts), stacked, rtol=1e-12)


def test_likelihoods_can_be_chosen_by_column():
    holed, _ = clinic()
    est = MVAE(**FAST, likelihood={"age": "laplace", "visits": Poisson(), "grade": "categorical"})
    read = est.fit(holed).auto_["likelihood"][0]
    assert read == {
        **LIKELIHOODS,
        "age": "laplace",
        "visits": "poisson",
        "grade": "categorical",
    }
    X = {"clinic": holed, "cells": np.zeros((N, 2)) + np.arange(N)[:, None]}
    est = MVAE(**FAST, likelihood={"clinic": {"age": "laplace"}, "cells": {1: "poisson"}}).fit(X)
    assert est.auto_["likelihood"] == [
        {**LIKELIHOODS, "age": "laplace"},
        {0: "student_t", 1: "poisson"},
    ]


def test_what_cannot_be_is_refused_by_the_name_of_the_column():
    holed, _ = clinic()
    with pytest.raises(ValueError, match=r"Column 'town' of modality 'X' holds levels \(category"):
        MVAE(**FAST).fit(holed)
    with pytest.raises(ValueError, match="reads numbers, but column 'town' of modality 'X' holds"):
        MultimodalFactorAnalysis().fit(holed)
    with pytest.raises(ValueError, match=r"names the columns \['agee'\], which it does not have"):
        MVAE(**FAST, likelihood={"agee": "laplace"}).fit(holed)
    with pytest.raises(ValueError, match="The likelihood of column 'age' of modality 'X' must be"):
        MVAE(**FAST, likelihood={"age": "laplaec"}).fit(holed)
    with pytest.raises(ValueError, match="Bernoulli .* modality 'X' .* column 'visits' has"):
        MVAE(**FAST, likelihood={"visits": "bernoulli"}).fit(holed)


def test_levels_that_fit_did_not_know_say_nothing_and_come_back():
    holed, _ = clinic()
    est = PoEVAE(**FAST).fit(holed)
    new = holed.iloc[:4].copy()
    new["town"] = ["paris", "oslo", None, "paris"]
    new["drug"] = ["c", "a", None, "b"]
    with (
        pytest.warns(UserWarning, match=r"'town' of modality 'X' .* levels \['paris'\] in 2 rows"),
        pytest.warns(UserWarning, match=r"'drug' of modality 'X' .* levels \['c'\] in 1 rows"),
    ):
        filled = est.predict_missing(new)
    assert filled["town"].tolist()[:2] == ["paris", "oslo"]
    assert filled["drug"].iloc[0] == "c"
    assert filled["town"].iloc[2] in ("oslo", "rome", "lima", "nowhere")
    silent = new.assign(town=[None, "oslo", None, None], drug=[None, "a", None, "b"])
    with pytest.warns(UserWarning, match="did not know"):
        scores = est.score_samples(new)
    np.testing.assert_array_equal(scores, est.score_samples(silent))


def test_a_category_that_lacks_the_filled_level_gets_it():
    holed, truth = clinic()
    est = PoEVAE(**FAST).fit(holed)
    new = truth.iloc[:5].copy()
    new["town"] = pd.Categorical([None, *["rome"] * 4])
    new.loc[new.index[0], ["age", "weight", "grade"]] = [10, 66, "low"]  # far from rome
    filled = est.predict_missing(new)
    assert filled["town"][1:].tolist() == ["rome"] * 4
    assert filled["town"].notna().all()


def test_levels_are_filled_in_in_the_order_of_fit():
    """A batch of few levels, of their numbers, or of one that fit did not know."""
    holed, truth = clinic()
    est = PoEVAE(**FAST).fit(holed)
    part = truth.iloc[:6].copy()
    order = list(truth["grade"].cat.categories)
    part["grade"] = pd.Categorical([None, None, *order[::2] * 2], order[::2], ordered=True)
    low, high = est.predict_interval(part, coverage=0.8)
    for filled in (est.predict_missing(part), low, high):
        assert filled["grade"].cat.categories.tolist() == order
        assert filled["grade"].cat.ordered
        assert filled["grade"][2:].tolist() == order[::2] * 2
    assert (low["grade"] <= high["grade"]).all()
    part["grade"] = pd.Categorical([None, "?", *order[:1] * 4], ["?", *order[:1]], ordered=True)
    with pytest.warns(UserWarning, match="did not know"):
        filled = est.predict_missing(part)["grade"]
    assert filled.cat.categories.tolist() == [*order, "?"]
    numbered = holed.assign(grade=holed["grade"].cat.rename_categories(range(len(order))))
    est = PoEVAE(**FAST).fit(numbered)
    codes = np.where(np.arange(6) < 2, np.nan, numbered["grade"].cat.codes[:6].clip(0))
    filled = est.predict_missing(numbered.iloc[:6].assign(grade=codes))["grade"]
    assert filled.dtype == float
    assert filled.isin(range(len(order))).all()
    np.testing.assert_array_equal(filled[2:], codes[2:])


def test_truth_values_in_a_column_of_objects():
    holed, _ = clinic()
    holed["smokes"] = holed["smokes"].astype(object)
    est = PoEVAE(**FAST).fit(holed)
    assert est.auto_["likelihood"] == [LIKELIHOODS]
    filled = est.predict_missing(holed)["smokes"]
    assert filled.dtype == object
    assert set(filled) == {True, False}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "UInt8", "uint8[pyarrow]", "float16"])
def test_draws_that_a_narrow_dtype_cannot_hold_get_a_wider_one(dtype):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    top = {"int8": 127, "int16": 2**15 - 1, "float16": 65_000}.get(dtype, 255)
    near = np.clip(top * rng.normal(0.9, 0.1, size=N), 0, top).round()
    X = pd.DataFrame({"near": near}).astype(dtype).assign(other=rng.poisson(2, N))
    likelihood = {"near": "gaussian" if dtype == "float16" else "poisson", "other": "poisson"}
    est = MIWAE(likelihood=likelihood, **FAST).fit(X)
    drawn = est.sample(500)["near"]
    assert top < drawn.max() < np.inf
    assert drawn.min() > 0  # nothing wrapped around
    assert drawn.dtype.kind == ("f" if dtype == "float16" else "i")
    assert np.isfinite(est.reconstruct(X)["near"].to_numpy(float)).all()
    codings = est._layout.codings[0]
    for value, holds in [(1, True), (drawn.max() // 1, False)]:
        new = refill(X[:2], np.full((2, 2), value), codings, missing_only=False)["near"]
        assert (new == value).all()
        assert (new.dtype == dtype) == holds


@pytest.mark.parametrize("dtype", ["Int64", "decimal128(9, 2)[pyarrow]"])
def test_numbers_of_python_with_na(dtype):
    numbers = pd.Series([1, 2, None, 3, 5] * 4)
    X = pd.DataFrame({"n": numbers, "z": np.arange(20.0)})
    if dtype == "Int64":
        odd = X.astype({"n": dtype}).astype({"n": object})
    else:
        pa = pytest.importorskip("pyarrow")
        odd = X.astype({"n": pd.ArrowDtype(pa.decimal128(9, 2))})
    plain = MIWAE(likelihood="gaussian", **FAST).fit(X)
    est = MIWAE(likelihood="gaussian", **FAST).fit(odd)
    np.testing.assert_array_equal(est.transform(odd), plain.transform(X))
    filled = est.predict_missing(odd)
    np.testing.assert_array_equal(filled.to_numpy(float), plain.predict_missing(X).to_numpy())
    several = PoEVAE(**FAST).fit({"a": odd, "b": X})
    assert several.predict_missing({"a": odd, "b": X})["a"].notna().all(axis=None)
    odd = odd.astype({"n": object})
    odd.loc[3, "n"] = "q"
    for wrong in (odd, {"a": odd, "b": X}):
        with pytest.raises(ValueError, match=r"Column 'n' holds 'q' in row 3, which is no n"):
            PoEVAE(**FAST).fit(wrong)


@pytest.mark.parametrize("value", ["yes", 2, 0.3])
def test_what_is_no_truth_value_is_told_with_its_column(value):
    X = pd.DataFrame({"flag": [True, False] * 5, "z": np.arange(10.0)})
    later = X.astype({"flag": object})
    later.loc[4, "flag"] = value
    for est, wrong in [
        (MIWAE(**FAST).fit(X), later),
        (PoEVAE(**FAST).fit({"a": X, "b": X}), {"a": X, "b": later}),
    ]:
        with pytest.raises(ValueError, match=f"'flag' held .* now holds {value!r} in row 4"):
            est.transform(wrong)


@pytest.mark.parametrize("ordered", [False, True])
def test_categories_of_arrow_are_levels(ordered, tmp_path):
    pa = pytest.importorskip("pyarrow")
    plain = pd.DataFrame(
        {
            "c": pd.Categorical([*"zyzyz"] * 4, ["z", "y", "x"], ordered=ordered),
            "n": np.arange(20.0),
        }
    )
    plain.loc[3:5, "c"] = None
    held = pa.chunked_array([pa.array(plain["c"])])  # as read from Parquet
    arrow = plain.assign(c=pd.arrays.ArrowExtensionArray(held))
    est = MIWAE(**FAST).fit(arrow)
    np.testing.assert_array_equal(est.transform(arrow), MIWAE(**FAST).fit(plain).transform(plain))
    filled = est.predict_missing(arrow)
    assert filled["c"].dtype == arrow["c"].dtype
    assert filled["c"].notna().all()
    est.save(tmp_path / "m.skpoe")
    assert load(tmp_path / "m.skpoe").sample(3)["c"].dtype == plain["c"].dtype
    few = arrow[arrow["c"].astype(object) != "y"].astype({"c": object}).astype(arrow.dtypes)
    few.iloc[0, 0] = None
    level = np.ones((len(few), 2))
    assert refill(few, level, est._layout.codings[0], missing_only=True)["c"].iloc[0] == "y"


def test_probabilities_of_levels():
    holed, _ = clinic()
    est = MIWAE(**FAST, imputation="posterior").fit({"clinic": holed})
    told = est.predict_proba({"clinic": holed})["clinic"]
    assert set(told) == {"smokes", "town", "drug", "grade"}
    filled = est.predict_missing({"clinic": holed})["clinic"]
    for name, table in told.items():
        pd.testing.assert_index_equal(table.index, holed.index)
        np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-12)
        shown = holed[name].notna()
        for patient in holed.index[shown]:
            assert table.loc[patient, holed.loc[patient, name]] == 1
        if name != "grade":  # which is filled in by its median
            best = table[~shown].idxmax(axis=1)
            assert (best.astype(object) == filled[name][~shown].astype(object)).all()
    plain = MVAE(**FAST).fit([np.arange(18.0).reshape(9, 2)] * 2)
    assert not hasattr(plain, "predict_proba")


def test_intervals_have_levels_for_ends_and_none_where_there_is_no_order():
    holed, truth = clinic(120)
    est = PoEVAE(**FAST).fit(holed)
    low, high = est.predict_interval(holed, coverage=0.8)
    missing = holed.isna()
    assert (low["grade"] <= high["grade"]).all()
    assert (low["visits"] <= high["visits"]).all()
    for end in (low, high):
        assert (end.dtypes == holed.dtypes).all()
        assert end["town"].isna().equals(missing["town"])
        assert not end.drop(columns=["town", "drug"]).isna().any(axis=None)
    inside = (low["grade"] <= truth["grade"]) & (truth["grade"] <= high["grade"])
    assert inside[missing["grade"]].mean() > 0.6
    intervals = ConformalIntervals(est, coverage=0.8).fit(holed, truth)
    for end, plain in zip(intervals.predict(holed), (low, high), strict=True):
        assert (end.dtypes == plain.dtypes).all()
        assert end["town"].isna().equals(missing["town"])


PARTS = [([3, 0], Gaussian), ([1], Categorical), ([4], NegativeBinomial), ([2], Bernoulli)]


def mixed_data():
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            rng.normal(size=20),
            rng.integers(0, 3, 20),
            rng.integers(0, 2, 20),
            5 + rng.normal(size=20),
            rng.poisson(4, 20),
        ],
        axis=1,
    )
    mask = rng.uniform(size=x.shape) < 0.8
    return torch.from_numpy(np.where(mask, x, 0)), torch.from_numpy(mask)


def test_a_mixed_likelihood_is_that_of_its_parts():
    x, mask = mixed_data()
    mixed = Mixed([(columns, kind()) for columns, kind in PARTS]).double()
    mixed.start([(x, mask, torch.ones(20))])
    raw = torch.randn(2, 20, mixed.n_outputs(5), dtype=torch.float64)
    inside, wide = mixed.standardise(x), mask[:, mixed.feature_of]
    total, said, means = 0, 0, {}
    for columns, kind in PARTS:
        part = kind().double()
        part.start([(x[:, columns], mask[:, columns], torch.ones(20))])
        own = raw[..., said : said + part.n_outputs(len(columns))]
        said += part.n_outputs(len(columns))
        shown = mask[:, columns]
        wider = shown if part.feature_of is None else shown[:, part.feature_of]
        total = total + part.log_prob(part.standardise(x[:, columns]), wider, own)
        guess = part.best_guess(part.mean(own))
        means |= {column: guess[..., j] for j, column in enumerate(columns)}
    torch.testing.assert_close(mixed.log_prob(inside, wide, raw), total)
    density = (mixed.log_density(inside, raw) * wide).sum(-1)
    torch.testing.assert_close(density, total)
    guesses = mixed.best_guess(mixed.mean(raw))
    torch.testing.assert_close(guesses, torch.stack([means[c] for c in range(5)], dim=-1))
    draws = mixed.sample(raw[0], RowNoise(0, torch.arange(20)))
    mixed.check(draws.detach().numpy(), "rna")
    assert mixed.describe("abcde")["b"] == "categorical"
    with pytest.raises(ValueError, match=r"each column 0, 1, 2, ... once; .* \[0, 0\]"):
        Mixed([([0], Gaussian()), ([0], Gaussian())])


# a start at factor analysis: what z says of x in a world of which it is the truth, or nearly


def world(x, z):
    """Covariance of what a linear encoder reads with z, as loadings; the likelihood started."""

    def loadings(likelihood):
        chunk = torch.from_numpy(x[:, None].astype(float))
        likelihood.start([(chunk, torch.ones(len(x), 1).bool(), torch.ones(len(x)))])
        likelihood.read_linearly()
        read = likelihood.encode(likelihood.standardise(chunk)).numpy()
        weight = torch.from_numpy(read.T @ z / len(z))
        return weight, torch.zeros(len(weight)).double(), 1 - weight.square().sum(1)

    return loadings


def said(likelihood, start, z):
    return likelihood.mean(torch.from_numpy(z) @ start.weight.mT + start.bias).detach().numpy()


def test_flags_and_ordered_levels_start_as_cuts_through_a_gaussian_number():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200_000, 2))
    loadings, cuts = np.array([0.6, -0.5]), np.array([-0.4, 0.7])
    left = np.sqrt(1 - loadings @ loadings)
    x = np.digitize(z @ loadings + left * rng.normal(size=len(z)), cuts)
    grid = rng.normal(size=(200, 2))
    below = stats.norm.cdf((cuts - (grid @ loadings)[:, None]) / left)
    for likelihood, told, wanted in (
        (Bernoulli(), x > 0, 1 - below[:, :1]),
        (Ordinal(), x, np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)),
    ):
        start = likelihood.double().start_at(*world(told, z)(likelihood))
        assert np.abs(said(likelihood, start, grid) - wanted).max() < 0.03


def test_categories_start_at_linear_discriminant_analysis():
    rng = np.random.default_rng(0)
    share, means = np.array([0.5, 0.3, 0.2]), np.array([[0.5, 0.2], [-0.2, -0.6], [0, 0]])
    means[2] = -(share[:2] @ means[:2]) / share[2]  # z is centred
    within = np.eye(2) - (means.T * share) @ means  # and of variance 1
    x = rng.choice(3, size=300_000, p=share)
    z = means[x] + rng.multivariate_normal(np.zeros(2), within, size=len(x))
    likelihood = Categorical().double()
    start = likelihood.start_at(*world(x, z)(likelihood))
    grid = rng.normal(size=(200, 2))
    logs = [stats.multivariate_normal(m, within).logpdf(grid) for m in means]
    wanted = special.softmax(np.stack(logs, axis=1) + np.log(share), axis=1)
    assert np.abs(said(likelihood, start, grid) - wanted).max() < 0.01


@pytest.mark.parametrize("kind", [Poisson, NegativeBinomial])
def test_counts_start_with_rates_that_keep_their_mean_and_follow_z(kind):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100_000, 2))
    slope = np.array([0.4, -0.2])
    x = rng.poisson(3 * np.exp(z @ slope))
    likelihood = kind().double()
    start = likelihood.start_at(*world(x, z)(likelihood))
    np.testing.assert_allclose(start.weight[0], slope, atol=0.06)
    np.testing.assert_allclose(said(likelihood, start, z).mean(), x.mean(), rtol=0.03)


def test_a_mixed_start_predicts_better_than_column_means():
    holed, truth = clinic(300)
    est = PoEVAE(max_iter=0, random_state=0).fit(holed)
    filled = est.predict_missing(holed)
    for name in ("town", "grade", "smokes", "drug"):
        hidden = holed[name].isna()
        common = holed[name].value_counts(normalize=True).max()
        assert (filled[name] == truth[name])[hidden].mean() > common + 0.1
    for name in ("age", "visits", "weight"):
        hidden = holed[name].isna()
        x, guess = (t[name][hidden].to_numpy(float) for t in (truth, filled))
        assert np.square(x - guess).mean() < 0.6 * x.var()


def test_odd_columns():
    holed, _ = clinic()
    odd = holed.assign(
        empty=pd.Categorical([None] * N),
        one=pd.Categorical(["only"] * (N - 1) + [None]),
        blank=pd.Series([None] * N, index=holed.index, dtype=object),
    )
    with pytest.warns(UserWarning, match="Some columns have no observed value"):
        est = PoEVAE(**FAST).fit(odd)
    filled = est.predict_missing(odd)
    assert (filled.dtypes.drop("blank") == odd.dtypes.drop("blank")).all()
    assert filled["empty"].isna().all()  # there is nothing to say
    assert (filled["one"] == "only").all()
    with pytest.raises(ValueError, match="feature names should match"):
        est.predict_missing(odd[["town", "age"]])
    several = {"clinic": holed, "cells": np.zeros((N, 2)) + np.arange(N)[:, None]}
    est = PoEVAE(**FAST).fit(several)
    with pytest.raises(ValueError, match="columns of modality 'clinic' differ .* missing"):
        est.transform({**several, "clinic": holed.drop(columns="town")})
    # a container that is put together of parts keeps the dtypes
    parts = [Modalities(several), Modalities({"cells": np.ones((3, 2))})]
    whole = Modalities.concat(parts)
    kept = ["town", "grade", "smokes", "visits"]
    assert (whole["clinic"].dtypes[kept] == holed.dtypes[kept]).all()
    assert est.predict_missing(whole)["clinic"].notna().all(axis=None)
