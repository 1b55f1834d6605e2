"""Tables in files: what is read is what pandas and numpy wrote, and rows are joined by label."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skpoe.data.alignment import join
from skpoe.io import tables
from skpoe.io.tables import read_arrays, read_table, write_files

SUFFIXES = [".csv", ".tsv", ".csv.gz", ".csv.xz", ".parquet"]


def mixed():
    """Columns of every kind, with holes, and labels that look like numbers."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": np.where(rng.uniform(size=6) < 0.3, np.nan, rng.normal(size=6) * 1e-7),
            "n": rng.integers(0, 9, 6),
            "town": ["Oslo", "Rome", None, "Oslo", 'a "b", c', "Rome"],
            "flag": [True, False, True, True, False, True],
        },
        index=pd.Index(["007", "7", "1e3", "b", "ä", "-"], name="patient"),
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_again(suffix, tmp_path):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"a.b{suffix}"
    write_files({path: mixed()})
    table, labels = read_table(path)
    told, wanted = (frame.fillna({"town": "missing"}) for frame in (table, mixed()))
    pd.testing.assert_frame_equal(told, wanted, check_index_type=False)
    assert labels.tolist() == mixed().index.tolist()
    assert labels.name == "patient"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_numbers_are_read_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000) * 10.0 ** rng.integers(-20, 20, 5000)
    pd.DataFrame({"x": x}).to_csv(tmp_path / "x.csv")
    table, _ = read_table(tmp_path / "x.csv")
    np.testing.assert_array_equal(table["x"], x)


def test_another_column_may_be_the_index(tmp_path):
    mixed().reset_index()[["n", "patient", "flag"]].to_csv(tmp_path / "x.csv", index=False)
    table, labels = read_table(tmp_path / "x.csv", index="patient")
    assert list(table) == ["n", "flag"]
    assert labels.tolist() == mixed().index.tolist()
    with pytest.raises(ValueError, match=r"x\.csv: there is no column 'id'; there are \['n', "):
        read_table(tmp_path / "x.csv", index="id")


def test_labels_are_text_whatever_they_say(tmp_path):
    (tmp_path / "x.csv").write_text("id,n\nNA,1\n007,NA\nNone,3\nnan,4\n")
    table, labels = read_table(tmp_path / "x.csv")
    assert labels.tolist() == ["NA", "007", "None", "nan"]
    assert table["n"].isna().tolist() == [False, True, False, False]
    (tmp_path / "x.csv").write_text("id,n\nNA,1\n,2\n")
    with pytest.raises(ValueError, match="the label of row 2 is empty, in the column 'id'"):
        read_table(tmp_path / "x.csv")


def test_labels_that_look_like_data_are_told(tmp_path):
    (tmp_path / "x.csv").write_text("p,q\n0.25,1.5\n-1.5,2\n")
    with pytest.warns(UserWarning, match="x.csv', 'p', is taken for the labels of rows"):
        read_table(tmp_path / "x.csv")
    assert read_table(tmp_path / "x.csv", index="p")[1].tolist() == ["0.25", "-1.5"]
    (tmp_path / "x.csv").write_text("id,q\n1.0,1.5\n2,2\n")  # numbers of rows
    assert read_table(tmp_path / "x.csv")[1].tolist() == ["1.0", "2"]


def test_parquet_without_an_index_has_no_labels(tmp_path):
    pytest.importorskip("pyarrow")
    mixed().reset_index().to_parquet(tmp_path / "x.parquet")
    table, labels = read_table(tmp_path / "x.parquet")
    assert labels is None
    assert table.columns[0] == "patient"
    table, labels = read_table(tmp_path / "x.parquet", index="patient")
    assert labels.tolist() == mixed().index.tolist()


def test_parquet_with_rows_of_a_larger_table_keeps_their_numbers(tmp_path):
    pytest.importorskip("pyarrow")
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    pd.DataFrame({"n": range(4)}).to_parquet(whole)
    pd.DataFrame({"n": range(4)}).iloc[2:].to_parquet(part)
    read = {"whole": read_table(whole), "part": read_table(part)}
    assert read["part"][1].tolist() == [2, 3]
    X, labels = join(*({name: of[i] for name, of in read.items()} for i in (0, 1)))
    assert labels.tolist() == [0, 1, 2, 3]
    assert X["part"]["n"].isna().tolist() == [True, True, False, False]


@pytest.mark.parametrize("labels", [["r1", "r2", "r3"], [3, 1, 2], None])
def test_arrays_with_and_without_labels(labels, tmp_path):
    arrays = {"a": np.arange(6.0).reshape(3, 2), "images": np.ones((3, 1, 2, 2), np.float32)}
    index = None if labels is None else pd.Index(labels)
    write_files({tmp_path / "x.npz": (arrays, index)})
    again, found = read_arrays(tmp_path / "x.npz")
    assert (found if found is None else found.tolist()) == labels
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    with pytest.raises(ValueError, match=r"one array is wanted, and there are \['a', 'images'\]"):
        read_table(tmp_path / "x.npz")


BAD = {
    "empty.csv": ("", "empty.csv: No columns to parse from file"),
    "bare.csv": (
        "id\n1\n2\n",
        "bare.csv: there is no column beside the labels of the rows, 'id'. A .csv file",
    ),
    "short.csv": ("a,b\nr1,1,2\nr2,3,4\n", "short.csv: its rows have more cells than its header."),
    "hole.csv": ("id,a\nr1,1\n,2\n", "hole.csv: the label of row 2 is empty, in the column 'id'."),
    "no.npz": ("what", "no.npz is no .npz file of arrays of numbers."),
    "no.parquet": ("what", "no.parquet: Could not open Parquet"),
    "x.xlsx": ("what", "x.xlsx: tables are files that end in .csv, .tsv, .parquet"),
    "x.npz.gz": ("what", "x.npz.gz: tables are files that end in"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_not_what_their_names_say(name, tmp_path):
    text, message = BAD[name]
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="x|no|hole|short|bare|empty") as info:
        read_table(tmp_path / name)
    assert str(info.value).startswith(f"{tmp_path}/{message}")


def test_objects_of_python_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{"code": 1}], dtype=object))
    with pytest.raises(ValueError, match="is no .npz file of arrays of numbers"):
        read_arrays(tmp_path / "x.npz")


def test_an_index_of_another_length_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones((3, 1)), index=np.array(["r1"]))
    with pytest.raises(ValueError, match="'index' labels 1 rows, and 'a' has 3"):
        read_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("pyarrow", "x.parquet", "parquet"), ("mudata", "x.h5mu", "mudata")],
)
def test_absent_packages_are_named_with_their_extra(module, name, extra, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"need the package {module}: .*'skpoe\[{extra}\]'"):
        tables.format_of(tmp_path / name)


def test_several_files_are_written_or_none(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(AttributeError):  # the second has no form of a table
        write_files({tmp_path / "a.csv": mixed(), tmp_path / "b.csv": object()})
    assert (tmp_path / "a.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def joined(frames):
    return join(frames, {name: frame.index for name, frame in frames.items()})


def test_join_is_the_outer_join_of_pandas():
    rng = np.random.default_rng(0)
    labels = np.array([f"r{i}" for i in range(12)])
    a, b, c = (
        pd.DataFrame(rng.normal(size=(n, 2)), index=rng.permutation(labels)[:n]) for n in (7, 5, 9)
    )
    before = a.copy()
    X, index = joined({"a": a, "b": b, "c": c})
    expected = pd.concat([a, b, c], axis=1, keys=list("abc"), join="outer", sort=False)
    assert index.tolist() == expected.index.tolist()
    for name in X:
        pd.testing.assert_frame_equal(X[name], expected[name], check_names=False)
    pd.testing.assert_frame_equal(a, before)


def test_rows_that_are_lacking_leave_kinds_of_columns_alone():
    a = mixed()
    a["size"] = pd.Categorical(list("sml" * 2), ["s", "m", "l"], ordered=True)
    X, index = joined({"a": a, "b": pd.DataFrame({"y": [1.0, 2.0]}, index=["b", "new"])})
    assert index.tolist() == [*a.index, "new"]
    assert index.name == "patient"
    assert X["a"].dtypes[["n", "flag"]].astype(str).tolist() == ["Int64", "boolean"]
    assert X["a"]["size"].dtype == a["size"].dtype
    assert X["a"].iloc[:-1]["n"].tolist() == a["n"].tolist()
    assert X["a"].iloc[-1].isna().all()
    assert X["b"]["y"].isna().tolist() == [True] * 3 + [False] + [True] * 2 + [False]


def test_arrays_are_joined_too():
    images, index = np.arange(8.0).reshape(2, 2, 2), pd.Index(["b", "a"])
    frame = pd.DataFrame({"y": [1.0, 2.0]}, index=["a", "c"])
    X, every = join({"f": frame, "i": images}, {"f": frame.index, "i": index})
    assert every.tolist() == ["a", "c", "b"]
    np.testing.assert_array_equal(X["i"][[0, 2]], images[[1, 0]])
    assert np.isnan(X["i"][1]).all()


class Written:
    """Stands for a MuData object: HDF5 locks the file that it writes."""

    def write(self, path):
        import h5py

        with h5py.File(path, "w", locking=True) as file:
            file["x"] = np.arange(5)


def test_files_that_hdf5_writes_are_whole(tmp_path, monkeypatch):
    import h5py

    monkeypatch.setattr(tables, "_mudata", lambda: None)  # it need not be there
    write_files({tmp_path / "a.h5mu": Written(), tmp_path / "b.h5mu": Written()})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5mu", "b.h5mu"]
    with h5py.File(tmp_path / "b.h5mu") as file:
        np.testing.assert_array_equal(file["x"], np.arange(5))


def test_labels_of_several_kinds_are_read_as_text():
    a = pd.DataFrame({"x": [1.0, 2.0]}, index=["1", "2"])
    X, index = joined({"a": a, "b": pd.DataFrame({"y": [3.0, 4.0]}, index=[2, 3])})
    assert index.tolist() == ["1", "2", "3"]
    assert X["b"]["y"].tolist()[1:] == [3.0, 4.0]


def test_tables_without_labels_go_by_position():
    a = np.ones((2, 1))
    X, index = join({"a": a, "b": a}, {"a": None, "b": None})
    assert index is None
    assert X["a"] is a
    with pytest.raises(ValueError, match=r"The rows of the modalities \['b'\] have no labels"):
        join({"a": a, "b": a}, {"a": pd.Index(["x", "y"]), "b": None})


def test_labels_must_tell_rows_apart():
    a = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=["r", "s", "r"])
    with pytest.raises(ValueError, match=r"Modality 'a': the labels \['r'\] stand in several"):
        joined({"a": a})
    a.index = ["r", None, "s"]
    with pytest.raises(ValueError, match="Modality 'a': the label of row 1 is missing"):
        joined({"a": a})


def test_no_row_in_common_is_told():
    a, b = (pd.DataFrame({"x": [1.0]}, index=[label]) for label in ("r", "s"))
    with pytest.warns(UserWarning, match="No two modalities have a row in common: 'a'"):
        joined({"a": a, "b": b})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joined({"a": a})
