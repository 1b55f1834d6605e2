"""Everything that can be handed to an estimator: what works, and what each mistake is told."""

import warnings
from collections import OrderedDict, namedtuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector

from skpoe import MVAE, Modalities, PoEVAE

FAST = {"max_iter": 2, "n_importance_samples": 8, "latent_dim": 2, "random_state": 0}


def fast(**parameters):
    return MVAE(**{**FAST, **parameters})


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    rna, adt = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    rna[2, 1] = adt[3, 0] = np.nan
    adt[5:9] = np.nan
    rna[7] = np.nan  # row 7 shows nothing
    return {"rna": rna, "adt": adt}


def frames(tables):
    index = [f"cell{i}" for i in range(30)]
    return {
        name: pd.DataFrame(x, index=index, columns=[f"{name}_{j}" for j in range(x.shape[1])])
        for name, x in tables.items()
    }


FORMS = {
    "list": lambda t: list(t.values()),
    "tuple": lambda t: tuple(t.values()),
    "dict": dict,
    "Modalities": Modalities,
    "list of frames": lambda t: list(frames(t).values()),
    "dict of frames": frames,
    "Modalities of frames": lambda t: Modalities(frames(t)),
    "array": lambda t: np.hstack(list(t.values())),
    "frame": lambda t: pd.concat(frames(t).values(), axis=1),
}
CUTS = {
    "array": [4, 3],
    "frame": {
        "rna": [f"rna_{j}" for j in range(4)],
        "adt": make_column_selector("^adt_"),
    },
}


def parts(X):
    """The two modalities of any form, as arrays."""
    if isinstance(X, (pd.DataFrame, np.ndarray)):
        X = np.asarray(X)
        return [X[:, :4], X[:, 4:]]
    if isinstance(X, (dict, Modalities)):
        return [np.asarray(X["rna"]), np.asarray(X["adt"])]
    return [np.asarray(x) for x in X]


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_gives_the_same_numbers_and_comes_back_as_it_came(tables, form):
    reference = fast().fit(tables)
    X = FORMS[form](tables)
    before = [x.copy() for x in parts(X)]
    est = fast(modalities=CUTS.get(form)).fit(X)
    np.testing.assert_array_equal(est.transform(X), reference.transform(tables))
    np.testing.assert_array_equal(est.score_samples(X), reference.score_samples(tables))
    assert est.n_features_in_ == 7
    for method in ("predict_missing", "reconstruct"):
        Y = getattr(est, method)(X)
        assert type(Y) is type(X)
        for y, expected in zip(parts(Y), parts(getattr(reference, method)(tables)), strict=True):
            np.testing.assert_array_equal(y, expected)
            assert np.isfinite(y).all()
        if form == "frame":
            assert Y.index.equals(X.index)
            assert Y.columns.equals(X.columns)
        elif "frames" in form:
            pairs = [(Y["rna"], X["rna"])] if form[0] in "dM" else list(zip(Y, X, strict=True))
            for y, x in pairs:
                assert y.index.equals(x.index)
                assert y.columns.equals(x.columns)
    filled = parts(est.predict_missing(X))
    for x, y, old in zip(parts(X), filled, before, strict=True):
        np.testing.assert_array_equal(x, old)  # the caller's data did not change
        np.testing.assert_array_equal(y[~np.isnan(x)], x[~np.isnan(x)])
    for Y in (est.inverse_transform(est.transform(X)), est.sample(3)):
        assert type(Y) is type(X)
        assert [y.shape[1] for y in parts(Y)] == [4, 3]


def test_read_only_arrays_are_read(tables):
    for x in tables.values():
        x.flags.writeable = False
    est = fast().fit(tables)
    est.predict_missing(tables)
    est.score(tables)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_dtype_of_the_data(tables, dtype):
    X = {name: x.astype(dtype) for name, x in tables.items()}
    est = fast().fit(X)
    assert est.transform(X).dtype == dtype
    assert all(x.dtype == dtype for x in est.predict_missing(X).values())
    assert est.score_samples(X).dtype == np.float64


def test_a_modality_may_be_none_at_predict(tables):
    est = fast().fit(tables)
    hidden = {"rna": tables["rna"], "adt": np.full((30, 3), np.nan)}
    for X in ([tables["rna"], None], {"adt": None, "rna": tables["rna"]}):
        np.testing.assert_array_equal(est.transform(X), est.transform(hidden))
    filled = est.predict_missing([tables["rna"], None])
    np.testing.assert_array_equal(filled[1], est.predict_missing(hidden)["adt"])
    none = Modalities({"rna": tables["rna"], "adt": None})
    assert est.predict_missing(none)["adt"].shape == (30, 3)


def test_a_frame_that_was_none_comes_back_as_a_frame(tables):
    X = frames(tables)
    filled = fast().fit(X).predict_missing({"rna": X["rna"], "adt": None})["adt"]
    assert filled.index.equals(X["rna"].index)
    assert filled.columns.equals(X["adt"].columns)


def test_a_modality_may_be_none_in_fit_if_its_width_is_given(tables):
    X = Modalities({"rna": tables["rna"], "adt": None}, n_features={"adt": 3})
    with pytest.warns(UserWarning, match=r"no observed value \('adt': \[0, 1, 2\]\)"):
        est = fast().fit(X)
    np.testing.assert_array_equal(est.predict_missing(X)["adt"], 0)


def test_names_not_order_decide(tables):
    est = fast().fit(tables)
    turned = {"adt": tables["adt"], "rna": tables["rna"]}
    np.testing.assert_array_equal(est.transform(turned), est.transform(tables))
    assert list(est.predict_missing(turned)) == ["rna", "adt"]


def test_a_column_that_nobody_shows_is_filled_with_the_mean_of_the_prior(tables):
    tables["adt"][:, 1] = np.nan
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        est = fast(max_iter="auto").fit(tables)
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "Some columns have no observed value ('adt': [1]). Nothing can be learned about them; "
        "they will be filled with the mean under the prior."
    )
    np.testing.assert_array_equal(est.predict_missing(tables)["adt"][:, 1], 0)


def test_a_constant_column_works(tables):
    tables["rna"][:, 0] = 7.0
    est = fast(max_iter=30).fit(tables)
    tables["rna"][:5, 0] = np.nan
    filled = est.predict_missing(tables)["rna"][:5, 0]
    np.testing.assert_allclose(filled, 7, atol=0.5)
    assert np.isfinite(est.score(tables))


def test_mixed_dtypes_of_a_frame_survive():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "f32": rng.normal(size=20).astype(np.float32),
            "count": rng.integers(0, 9, 20),
            "flag": rng.random(20) < 0.5,
            "nullable": pd.array([None, *rng.normal(size=19)], dtype="Float64"),
        }
    )
    X.loc[3, "f32"] = np.nan
    filled = fast().fit(X).predict_missing(X)
    assert not filled.isna().any(axis=None)
    assert filled.dtypes.tolist() == X.dtypes.tolist()
    pd.testing.assert_frame_equal(filled[["count", "flag"]], X[["count", "flag"]])


def test_numbers_in_the_other_byte_order():
    X = np.random.default_rng(0).normal(size=(20, 3))
    X[3, 1] = np.nan
    expected = fast().fit(X).transform(X)
    swapped = X.astype(X.dtype.newbyteorder())
    for table in (swapped, pd.DataFrame(swapped)):
        np.testing.assert_array_equal(fast().fit(table).transform(table), expected)
        assert np.isfinite(np.asarray(fast().fit(table).predict_missing(table))).all()


DAYS = pd.Series(pd.date_range("2020-01-01", periods=8))


@pytest.mark.parametrize(
    "days",
    [
        *[
            "timestamp[ns][pyarrow]",
            "date32[pyarrow]",
            "duration[ns][pyarrow]",
            "time64[us][pyarrow]",
        ],
        DAYS.dt.date,
        DAYS.dt.time,
        DAYS.dt.to_period("D"),
        pd.Series([*DAYS[:7], None], dtype=object),
        pd.Series([*DAYS.to_numpy("M8[D]")], dtype=object),
        pd.Series([*(DAYS - DAYS[0])], dtype=object),
        pd.Series([*DAYS.dt.to_period("D")], dtype=object),
    ],
)
def test_dates_of_every_kind_are_refused(days):
    if isinstance(days, str):
        pytest.importorskip("pyarrow")
        first = DAYS - DAYS[0] if days.startswith("dur") else DAYS
        days = (DAYS.dt.time if days.startswith("time64") else first).astype(days)
    X = pd.DataFrame({"n": np.arange(8.0), "day": days})
    for data in (X, {"a": X, "b": X[["n"]]}):
        with pytest.raises(ValueError, match="Column 'day' holds dates or times"):
            PoEVAE(max_iter=1).fit(data)


def test_names_of_rows_among_levels_are_told():
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(20)], "x": np.arange(20.0)})
    other = np.arange(20.0)[:, None]
    with pytest.warns(UserWarning, match="Column 'id' of modality 'a' has 20 levels in 20 rows"):
        fast(likelihood="auto").fit({"a": frame, "b": other})
    frame.loc[0, "id"] = "p1"
    fast(likelihood="auto").fit({"a": frame, "b": other})


def test_integers_come_back_as_integers():
    X = np.arange(20).reshape(10, 2)
    filled = fast().fit(X).predict_missing(X)
    assert filled.dtype == X.dtype
    np.testing.assert_array_equal(filled, X)
    assert filled is not X


def ok():
    rng = np.random.default_rng(0)
    return {"rna": rng.normal(size=(8, 3)), "adt": rng.normal(size=(8, 2))}


def with_value(value):
    X = ok()
    X["adt"] = X["adt"].astype(object) if isinstance(value, str) else X["adt"]
    X["adt"][1, 1] = value
    return X


FIT_MISTAKES = {
    "no modality": ([], "There is no modality. Give at least one array or DataFrame."),
    "one modality in a list": (
        [ok()["rna"]],
        "X is a list with one modality. If that is all there is, pass the table itself.",
    ),
    "different lengths": (
        {"rna": np.ones((8, 3)), "adt": np.ones((7, 2))},
        "All modalities must have the same number of samples; got 'rna': 8, 'adt': 7.",
    ),
    "infinity": (with_value(np.inf), "Modality 'adt': Input contains infinity"),
    "strings": (with_value("high"), "Modality 'adt': could not convert string to float: 'high'"),
    "infinity in sparse": (
        {"rna": ok()["rna"], "adt": scipy.sparse.csr_array(np.diag([1, np.inf])[[0, 1] * 4])},
        "Modality 'adt': Input contains infinity",
    ),
    "complex": (
        {"rna": ok()["rna"], "adt": ok()["adt"] * 1j},
        "Modality 'adt': Complex data not supported",
    ),
    "complex beside a nullable dtype": (
        pd.DataFrame({"i": pd.array([1, None] * 4, dtype="Int32"), "d": 1j * np.arange(8.0)}),
        "Column 'd' holds complex numbers. Give real ones",
    ),
    "no rows": (
        {"rna": np.ones((0, 3)), "adt": np.ones((0, 2))},
        "Modality 'rna': Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 2",
    ),
    "no columns": (
        {"rna": np.ones((8, 0)), "adt": np.ones((8, 2))},
        "Modality 'rna': Found array with 0 feature(s) (shape=(8, 0)) while a minimum of 1",
    ),
    "one row": (
        {"rna": np.ones((1, 3)), "adt": np.ones((1, 2))},
        "Modality 'rna': Found array with 1 sample(s)",
    ),
    "None without a width": (
        {"rna": ok()["rna"], "adt": None},
        "Modality 'adt' is None, so its number of features is unknown. "
        "Pass skpoe.Modalities(X, n_features={'adt': ...})",
    ),
    "all None": ([None, None], "All modalities are None, so the number of samples is unknown."),
    "all missing": (
        {"rna": np.full((8, 3), np.nan), "adt": np.full((8, 2), np.nan)},
        "X shows nothing: every entry of every modality is missing (NaN).",
    ),
    "one image in a list": (
        [np.ones((8, 1, 2, 2))],
        "X is a list with one modality. If that is all there is, pass "
        "skpoe.Modalities({'image': ...}) of it. If model selection made it",
    ),
    "a bare array of images": (
        np.ones((8, 1, 2, 2)),
        "X is one array of shape (8, 1, 2, 2), but one table has two axes (samples, features). If "
        "its rows are images, pass skpoe.Modalities({'image': X}).",
    ),
    "an image without pixels": (
        {"rna": np.ones((8, 3)), "adt": np.ones((8, 1, 0, 2))},
        "Modality 'adt': Found array with 0 feature(s) (shape=(8, 0)) while a minimum of 1",
    ),
    "MultiIndex columns": (
        pd.DataFrame(np.ones((8, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        "X has a MultiIndex as columns",
    ),
}


@pytest.mark.parametrize("mistake", sorted(FIT_MISTAKES))
def test_mistakes_in_fit(mistake):
    X, message = FIT_MISTAKES[mistake]
    est = fast()
    with pytest.raises((ValueError, TypeError)) as info:  # scikit-learn's own is a TypeError
        est.fit(X)
    assert str(info.value).startswith(message)
    assert not hasattr(est, "model_")


PREDICT_MISTAKES = {
    "more modalities": (
        [ok()["rna"], ok()["rna"], ok()["adt"]],
        "X has 3 modalities, but MVAE is expecting 2 ['rna', 'adt']. "
        "Pass NaN rows (or None) for a modality that is not measured.",
    ),
    "a name is absent": (
        {"rna": ok()["rna"]},
        "X has 1 modalities ['rna'], but MVAE is expecting 2 ['rna', 'adt']. "
        "Pass NaN rows (or None) for a modality that is not measured.",
    ),
    "another name": (
        Modalities({"rna": ok()["rna"], "atac": ok()["adt"]}),
        "X has 2 modalities ['rna', 'atac'], but MVAE is expecting 2 ['rna', 'adt'].",
    ),
    "another width": (
        {"rna": ok()["rna"], "adt": ok()["rna"]},
        "Modality 'adt' has 3 features, but MVAE is expecting 2 features as input.",
    ),
    "another width under None": (
        [ok()["adt"], None],
        "Modality 'rna' has 2 features, but MVAE is expecting 3 features as input.",
    ),
    "one table": (
        np.ones((8, 5)),
        "X is one table, but MVAE was fitted on 2 modalities ['rna', 'adt'].",
    ),
}


@pytest.mark.parametrize("mistake", sorted(PREDICT_MISTAKES))
@pytest.mark.parametrize("method", ["transform", "predict_missing", "score"])
def test_mistakes_in_predict(mistake, method):
    X, message = PREDICT_MISTAKES[mistake]
    est = fast().fit(ok())
    with pytest.raises(ValueError) as info:  # noqa: PT011
        getattr(est, method)(X)
    assert str(info.value).startswith(message)


def test_columns_that_differ_from_fit_are_named(tables):
    X = frames(tables)
    est = fast().fit(X)
    renamed = {**X, "adt": X["adt"].rename(columns={"adt_1": "new"})}
    with pytest.raises(ValueError, match=r"'adt' differ .* unseen \['new'\], missing \['adt_1'\]"):
        est.transform(renamed)
    turned = {**X, "rna": X["rna"].iloc[:, ::-1]}
    with pytest.raises(ValueError, match=r"'rna' differ .* MVAE was fitted on: another order"):
        est.transform(turned)


def test_modalities_after_one_table_are_refused(tables):
    est = fast().fit(np.nan_to_num(tables["rna"]))
    with pytest.raises(ValueError, match="fitted on one table. Pass one table with the same"):
        est.transform(list(tables.values()))


@pytest.mark.parametrize(
    ("modalities", "form", "message"),
    [
        ([4, 4], "array", "modalities=[4, 4] are the widths of 8 columns, but X has 7."),
        ({"a": [0, 1], "b": [1, 2]}, "array", "Each column of X must be in one modality. In none"),
        ({"a": ["x"]}, "array", "modalities['a'] names columns, but X is an array without names."),
        ({"a": ["x"]}, "frame", "modalities['a'] names columns that X lacks: ['x']."),
        ({"a": len}, "array", "modalities['a'] is a callable, which needs a DataFrame"),
        ({"a": [0, 0, 1], "b": [2, 3, 4, 5, 6]}, "array", "Each column of X must be in one modal"),
        ([7, 0], "array", "modalities must be a dict (name -> columns) or a list of widths, posi"),
        ([3.5, 3.5], "array", "modalities must be a dict (name -> columns) or a list of widths"),
        ({"a": range(7), "b": []}, "array", "modalities['b'] selects no column of X."),
        (
            {"a": 3},
            "array",
            "modalities['a'] must be a list of columns, a slice or a callable; go",
        ),
        ({"a": "rna_0"}, "frame", "modalities['a'] must be a list of columns, a slice or a calla"),
        (
            {"a": [0, 99]},
            "array",
            "modalities['a'] must select columns by position or mask; X has",
        ),
        ([4, 2, 1], "dict", "X has 2 modalities ['rna', 'adt'], but MVAE is expecting 3 ['modali"),
        ([4, 4], "dict", "Modality 'adt' has 3 features, but MVAE is expecting 4 features"),
        ([4, 4], "list", "Modality 'modality_1' has 3 features, but MVAE is expecting 4 features"),
        (
            [4, 3],
            "list of three",
            "X has 3 modalities, but MVAE is expecting 2 ['modality_0', 'modality_1'].",
        ),
    ],
)
def test_mistakes_in_modalities(tables, modalities, form, message):
    X = {**FORMS, "list of three": lambda t: [t["rna"], t["rna"], t["adt"]]}[form](tables)
    with pytest.raises(ValueError) as info:  # noqa: PT011
        fast(modalities=modalities).fit(X)
    assert str(info.value).startswith(message)


def test_positions_on_named_columns_warn(tables):
    X = FORMS["frame"](tables)
    with pytest.warns(UserWarning, match=r"modalities\['a'\] gives positions although X has"):
        fast(modalities={"a": slice(0, 4), "b": [f"adt_{j}" for j in range(3)]}).fit(X)


PARAMETER_MISTAKES = {
    "latent_dim": (0, "The 'latent_dim' parameter of MVAE must be an int in the range [1, inf)"),
    "likelihood": (
        "gausian",
        "The likelihood of modality 'rna' must be 'auto', one of ['bernoulli', 'beta', "
        "'categorical', 'censored_gaussian', 'continuous_bernoulli', 'gaussian', "
        "'gaussian_decoder', 'laplace', 'log_normal', 'negative_binomial', 'ordinal', 'poisson', "
        "'student_t', 'student_t_decoder', 'zero_inflated_negative_binomial'], an instance of "
        "skpoe.likelihoods.Likelihood, or a dict of these by column. Got 'gausian' instead.",
    ),
    "encoder": (
        lambda n_in, n_out: None,
        "The encoder of modality 'rna' must make an nn.Module; it made None.",
    ),
    "decoder": (
        {"rna": None},
        "decoder must name each modality of ['rna', 'adt'] once; got ['rna'].",
    ),
    "hidden_layer_sizes": (5, "The 'hidden_layer_sizes' parameter of MVAE must be an array-like"),
    "max_iter": (-1, "The 'max_iter' parameter of MVAE must be an int in the range [0, inf)"),
}


@pytest.mark.parametrize("name", sorted(PARAMETER_MISTAKES))
def test_mistakes_in_parameters(name):
    value, message = PARAMETER_MISTAKES[name]
    with pytest.raises((ValueError, TypeError)) as info:
        fast(**{name: value}).fit(ok())
    assert str(info.value).startswith(message)


def test_counts_given_to_bernoulli():
    X = {**ok(), "rna": np.arange(24).reshape(8, 3)}
    with pytest.raises(ValueError, match="Bernoulli likelihood of modality 'rna' needs values 0 "):
        fast(likelihood={"rna": "bernoulli", "adt": "gaussian"}).fit(X)


def test_a_clone_refuses_lists_and_names_the_remedy():
    X = list(ok().values())
    with pytest.raises(ValueError, match=r"this PoEVAE is a clone.*Pass skpoe.Modalities\(X\)"):
        clone(PoEVAE(max_iter=1)).fit(X)
    clone(PoEVAE(max_iter=1)).fit(Modalities(X)).transform(X)  # a fitted clone may read lists


@pytest.mark.parametrize("form", ["array", "dict"])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(tables, form):
    X = FORMS[form](tables)
    est = fast().fit(X)
    before = est.score_samples(X)
    with pytest.raises(ValueError, match="Bernoulli"):
        est.set_params(likelihood="bernoulli").fit(np.ones((9, 3)) * 5)
    np.testing.assert_array_equal(est.score_samples(X), before)
    assert est.n_features_in_ == 7


def test_subclasses_of_containers_come_back_as_plain_ones(tables):
    Pair = namedtuple("Pair", ["rna", "adt"])
    for X, kind in ((Pair(**tables), tuple), (OrderedDict(tables), dict)):
        est = fast().fit(X)
        assert type(est.predict_missing(X)) is kind
        assert type(est.sample(2)) is kind


def test_masks_and_labels_select_columns(tables):
    table = np.nan_to_num(FORMS["array"](tables))
    mask = np.arange(7) < 4
    expected = fast(modalities={"a": range(4), "b": [4, 5, 6]}).fit(table).transform(table)
    by_mask = fast(modalities={"a": mask.tolist(), "b": ~mask}).fit(table)
    np.testing.assert_array_equal(by_mask.transform(table), expected)
    frame = pd.DataFrame(table[:, ::-1], columns=range(6, -1, -1))  # labels are not positions
    by_label = fast(modalities={"a": [0, 1, 2, 3], "b": [4, 5, 6]}).fit(frame)
    np.testing.assert_array_equal(by_label.transform(frame), expected)


def test_an_array_of_objects_says_missing_by_na(tables):
    objects = {n: np.where(np.isnan(x), pd.NA, x.astype(object)) for n, x in tables.items()}
    np.testing.assert_array_equal(
        fast().fit(objects).transform(objects), fast().fit(tables).transform(tables)
    )


def test_tiny_numbers_are_not_taken_for_a_constant(tables):
    """Their squares are zero."""
    tiny = {n: x * 2.0**-560 for n, x in tables.items()}  # 2.6e-169
    usual = fast().fit(tables)
    small = fast().fit(tiny)
    np.testing.assert_allclose(small.transform(tiny), usual.transform(tables), atol=1e-9)
    for n, x in small.predict_missing(tiny).items():
        np.testing.assert_allclose(x * 2.0**560, usual.predict_missing(tables)[n], rtol=1e-6)


def test_a_masked_array_says_missing_by_its_mask(tables):
    masked = {n: np.ma.masked_invalid(x) for n, x in tables.items()}
    for x in masked.values():
        x.data[x.mask] = -9999
    np.testing.assert_array_equal(
        fast().fit(masked).transform(masked), fast().fit(tables).transform(tables)
    )


def test_columns_of_a_table_have_the_order_of_fit_whatever_their_names_are():
    """Of names that are no strings scikit-learn says nothing."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)))
    cut = {"a": [0], "b": [1, 2]}
    est = fast(modalities=cut).fit(table)
    for other, why in [
        (table[[1, 0, 2]], "another order"),
        (table.rename(columns={0: 7}), r"unseen \[7\], missing \[0\]"),
    ]:
        for call in (est.transform, est.predict_missing, est.score, est.partial_fit):
            with pytest.raises(ValueError, match=f"The columns of X differ from .*: {why}"):
                call(other)
    np.testing.assert_array_equal(est.transform(table.to_numpy()), est.transform(table))
