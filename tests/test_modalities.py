import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, train_test_split
from sklearn.utils import indexable, resample, shuffle

from skpoe import Modalities
from skpoe.data.source import Source


@pytest.fixture
def X():
    frame = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10)})
    return Modalities({"rna": np.arange(30.0).reshape(10, 3), "adt": frame})


def test_is_as_long_as_its_samples(X):
    assert len(X) == 10
    assert X.shape == (10, 5)
    assert X.ndim == 2
    assert X.dtype == np.float64
    assert X.names == ["rna", "adt"]
    assert repr(X) == "Modalities(10 samples, rna: 3 float64, adt: 2 float64/int64)"


def test_a_name_gives_the_modality_as_it_came(X):
    assert isinstance(X["rna"], np.ndarray)
    assert isinstance(X["adt"], pd.DataFrame)
    assert X["adt"].dtypes.tolist() == [np.float64, np.int64]
    assert list(dict(X.items())) == ["rna", "adt"]
    with pytest.raises(KeyError, match=r"no modality 'x'; there are \['rna', 'adt'\]"):
        X["x"]


@pytest.mark.parametrize(
    "key",
    [
        [1, 3],
        np.array([5, 1, 1]),
        slice(2, 8, 3),
        np.arange(10) % 2 == 0,
        [True, False] * 5,
        4,
        np.int64(-1),
        [],
        (np.array([2, 3]), Ellipsis),
        (slice(0, 2), slice(None)),
    ],
)
def test_anything_else_gives_rows(X, key):
    rows = key[0] if isinstance(key, tuple) else key
    rows = np.atleast_1d(
        np.arange(10)[np.array(rows, dtype=int) if isinstance(rows, list) and not rows else rows]
    )
    part = X[key]
    assert isinstance(part, Modalities)
    np.testing.assert_array_equal(part["rna"], X["rna"][rows])
    pd.testing.assert_frame_equal(part["adt"], X["adt"].iloc[rows])


def test_rows_compose_and_share_the_tables(X):
    part = X[2:9].take([4, 0]).iloc[[1]].loc[np.array([True])]
    assert part["rna"].tolist() == [[6.0, 7.0, 8.0]]
    assert part._tables is X._tables


@pytest.mark.parametrize("key", [10, -11, ("rna", 0), (0, 1, 2)])
def test_keys_out_of_range(X, key):
    with pytest.raises(IndexError):
        X[key]


def test_is_not_one_array_by_accident(X):
    with pytest.raises(TypeError, match=r"skpoe.PerModality, or call \.to_numpy\(\)"):
        np.asarray(X)
    with pytest.raises(TypeError, match="not iterable"):
        iter(X)
    np.testing.assert_array_equal(X.to_numpy(), np.column_stack([X["rna"], X["adt"]]))


def test_none_is_a_modality_that_no_row_shows():
    X = Modalities({"a": None, "b": np.ones((2, 1))}, n_features={"a": 3})
    assert X.shape == (2, 4)
    assert X["a"] is None
    assert X[:1]["a"] is None
    assert np.isnan(X.to_numpy()[:, :3]).all()


def test_pickle_keeps_the_rows(X):
    part = pickle.loads(pickle.dumps(X[3:5]))
    np.testing.assert_array_equal(part["rna"], X["rna"][3:5])


def test_scikit_learn_splits_rows(X):
    y = np.arange(10) % 2
    for splitter, groups in ((KFold(2), None), (StratifiedKFold(2), None), (GroupKFold(2), y)):
        for train, test in splitter.split(X, y, groups):
            assert len(X[train]) + len(X[test]) == 10
    a, b, ya, yb = train_test_split(X, y, random_state=0, stratify=y)
    assert len(a) == len(ya) == 7
    assert len(b) == len(yb) == 3
    assert len(shuffle(X, random_state=0)) == len(resample(X, random_state=0)) == 10
    assert indexable(X, y)[0] is X


@pytest.mark.parametrize(
    ("data", "n_features", "error", "message"),
    [
        ({}, None, ValueError, "There is no modality. Give at least one array or DataFrame."),
        (
            {"a": np.ones((3, 1)), "b": np.ones((2, 1))},
            None,
            ValueError,
            "All modalities must have the same number of samples; got 'a': 3, 'b': 2. "
            "Fill rows in which a modality is not measured with NaN.",
        ),
        (
            {"a": np.ones(3)},
            None,
            ValueError,
            "Modality 'a' must be an array or DataFrame with two axes (samples, features), or an "
            "array with more, such as (samples, channels, height, width); got (3,).",
        ),
        (
            [[[1, 2]]],
            None,
            ValueError,
            "Modality 'modality_0' must be an array or DataFrame with two axes (samples, "
            "features), or an array with more, such as (samples, channels, height, width); got "
            "list.",
        ),
        ([None, None], None, ValueError, "All modalities are None, so the number of samples is"),
        ({1: np.ones((3, 1))}, None, TypeError, "Names of modalities must be str; got 1."),
        (
            {"a": np.ones((3, 1))},
            {"a": 2},
            ValueError,
            "Modality 'a' has 1 features, but n_features says 2.",
        ),
        ({"a": np.ones((3, 1))}, {"c": 2}, ValueError, "n_features names ['c'], which are not in"),
    ],
)
def test_what_is_refused(data, n_features, error, message):
    with pytest.raises(error) as info:
        Modalities(data, n_features)
    assert str(info.value).startswith(message)


def test_only_rows_can_be_taken(X):
    with pytest.raises(ValueError, match="Only rows"):
        X.take([0], axis=1)


def test_rows_with_other_indexes_are_refused():
    a = pd.DataFrame(np.ones((3, 1)), index=["x", "y", "z"])
    with pytest.raises(ValueError, match="modalities 'a' and 'b' have different indexes. Align"):
        Modalities({"a": a, "b": a.iloc[::-1]})
    Modalities({"a": a, "b": a.reset_index(drop=True), "c": np.ones((3, 2))})


@pytest.mark.parametrize("rows", [slice(3, 6), slice(None, 3, -1), [2, 0, 1], [0, 2, 4]])
def test_rows_taken_from_a_frame_without_labels_keep_their_numbers(rows):
    frame = pd.DataFrame({"g": np.arange(6.0)})
    part = frame.iloc[rows]
    for first, second in [(part, frame[: len(part)]), (frame[: len(part)], part)]:
        with pytest.raises(ValueError, match="modalities 'a' and 'b' have different indexes"):
            Modalities({"a": first, "b": second})
    Modalities({"a": part, "b": part, "c": np.ones((len(part), 1))})


def test_a_container_of_a_container_keeps_its_widths():
    X = Modalities({"a": None, "b": np.ones((2, 1))}, n_features={"a": 3})
    assert Modalities(X).n_features == {"a": 3, "b": 1}
    with pytest.raises(ValueError, match="width of 'a' is not known: pass n_features"):
        Modalities({"a": None, "b": np.ones((2, 1))}).to_numpy()


def test_observed_is_by_row_and_modality():
    a = np.ones((4, 2))
    a[0, 0] = a[1] = np.nan
    X = Modalities({"a": a, "b": pd.DataFrame({"c": [None, 1, 2, 3]}), "d": None}, {"d": 2})
    expected = [[True, False, False], [False, True, False], *[[True, True, False]] * 2]
    np.testing.assert_array_equal(X.observed, expected)
    np.testing.assert_array_equal(X[1:3].observed, expected[1:3])


def test_modalities_are_selected_dropped_and_renamed_without_copies(X):
    part = X[2:5]
    for new in (part.select(["adt"]), part.drop(["rna"]), part.select("adt"), part.drop("rna")):
        assert new.names == ["adt"]
        assert len(new) == 3
        pd.testing.assert_frame_equal(new["adt"], part["adt"])
        assert new._tables["adt"] is X._tables["adt"]
    assert X.select(["adt", "rna"]).names == ["adt", "rna"]
    renamed = part.rename({"rna": "genes"})
    assert renamed.names == ["genes", "adt"]
    np.testing.assert_array_equal(renamed["genes"], part["rna"])
    assert X.names == ["rna", "adt"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: X.select(["x"]), KeyError, "There are no modalities ['x']; there are"),
        (lambda X: X.drop(["x"]), KeyError, "There are no modalities ['x']; there are"),
        (lambda X: X.rename({"x": "y"}), KeyError, "There are no modalities ['x']; there are"),
        (lambda X: X.rename({"rna": "adt"}), ValueError, "Two modalities would have the same"),
        (lambda X: X.drop(["rna", "adt"]), ValueError, "There is no modality left."),
    ],
)
def test_names_that_do_not_work(X, call, error, message):
    with pytest.raises(error) as info:
        call(X)
    assert message in str(info.value)


def test_pandas_and_back(X):
    frame = X.to_pandas()
    assert frame.columns.tolist() == ["rna__0", "rna__1", "rna__2", "adt__a", "adt__b"]
    back = Modalities.from_pandas(
        frame,
        {"rna": lambda f: [c for c in f if c.startswith("rna")], "adt": ["adt__a", "adt__b"]},
    )
    np.testing.assert_array_equal(back.to_numpy(), X.to_numpy())
    assert Modalities.from_pandas(frame, {"a": "adt__a"})["a"].columns.tolist() == ["adt__a"]
    with pytest.raises(
        ValueError, match=r"columns\['a'\] names columns that frame lacks: \['z'\]"
    ):
        Modalities.from_pandas(frame, {"a": ["z"]})


def test_concat_is_the_inverse_of_slicing(X):
    again = Modalities.concat([X[:4], X[4:5], X[5:]])
    np.testing.assert_array_equal(again["rna"], X["rna"])
    pd.testing.assert_frame_equal(again["adt"], X["adt"])


def test_concat_fills_what_a_part_lacks(X):
    part = Modalities({"atac": np.ones((2, 2)), "adt": None}, {"adt": 2})
    both = Modalities.concat([X[:3], part])
    assert both.names == ["rna", "adt", "atac"]
    expected = [[True, True, False]] * 3 + [[False, False, True]] * 2
    np.testing.assert_array_equal(both.observed, expected)
    with pytest.raises(ValueError, match="'rna' has 3 features in one part and 1 in another"):
        Modalities.concat([X, Modalities({"rna": np.ones((1, 1))})])


def test_notebooks_see_a_table_that_escapes_names():
    a = np.ones((4, 2))
    a[0] = np.nan
    text = Modalities({"<b>": a})._repr_html_()
    assert "&lt;b&gt;</th><td>2</td><td>float64</td><td>25.0%</td>" in text


def test_tables_side_by_side_keep_the_kinds_of_their_columns():
    frame = pd.DataFrame(
        {"n": pd.array([1, None], "Int64"), "c": pd.Categorical(["x", "y"]), "i": [1, 2]},
        index=["p", "q"],
    )
    X = Modalities({"a": frame, "b": np.ones((2, 1), np.float32), "c": None}, {"c": 1})
    both = X.to_pandas()
    assert both.index.tolist() == ["p", "q"]
    assert both.columns.tolist() == ["a__n", "a__c", "a__i", "b__0", "c__0"]
    assert both.dtypes.tolist() == [*frame.dtypes, np.float32, np.float64]
    assert both["c__0"].isna().all()


def test_one_modality_of_a_source_is_hidden_if_it_was():
    X = Modalities({"a": np.ones((3, 2)), "b": np.ones((3, 1))})
    source = Source(X, [2, 1], np.dtype(float)).hide([1])
    assert source.one(0).observed().all()
    assert not source.one(1).observed().any()
    table = Source(Modalities({"X": np.ones((3, 3))}), [2, 1], np.dtype(float), [[0, 1], [2]])
    assert table.hide([0]).one(1).observed().all()
    assert not table.hide([0]).one(0).observed().any()


def test_a_mask_of_other_rows_is_refused():
    frame = pd.DataFrame({"a": np.arange(4.0)}, index=list("pqrs"))
    X = Modalities({"a": frame, "b": np.ones((4, 1))})
    mask = pd.Series([True, False, False, True], index=frame.index)
    assert X[mask]["a"].index.tolist() == ["p", "s"]
    assert X[mask.reset_index(drop=True)]["a"].index.tolist() == ["p", "s"]
    with pytest.raises(ValueError, match=r"a mask and of the data have different indexes"):
        X[mask[::-1]]
