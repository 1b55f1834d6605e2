"""Every form that a table may have: read in place, it means what the dense array means."""

import functools
import pickle
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from small import FAST, KINDS, small

from skpoe import MVAE, Modalities, PerModality, PoEVAE
from skpoe.data import tables
from skpoe.data.rows import Streamed
from skpoe.estimators import reading


def dense():
    rng = np.random.default_rng(0)
    table = rng.poisson(0.7, size=(60, 5)).astype(np.float64)
    table[rng.random(table.shape) < 0.1] = np.nan
    table[::7] = np.nan
    return table


def as_map(table, folder):
    path = folder / "table.f64"
    table.tofile(path)
    return np.memmap(path, table.dtype, "r", shape=table.shape)


def as_h5py(table, folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "table.h5", "w") as file:
        file["deep/table"] = table
    return h5py.File(folder / "table.h5", "r")["deep/table"]


def as_zarr(table, folder):
    zarr = pytest.importorskip("zarr", minversion="3")
    store = zarr.create_array(
        store=folder / "table.zarr", shape=table.shape, chunks=(16, 3), dtype=table.dtype
    )
    store[:] = table
    return store


class RowByRow:
    """A map-style dataset of one table."""

    def __init__(self, table):
        self.table = table

    def __len__(self):
        return len(self.table)

    def __getitem__(self, row):
        return {"table": None if np.isnan(self.table[row]).all() else self.table[row]}


FORMS = {
    "memory map": as_map,
    "h5py": as_h5py,
    "dataset": lambda table, folder: Modalities(RowByRow(table))["table"],
    "zarr": as_zarr,
    "tensor": lambda table, folder: torch.from_numpy(table.copy()),
    **{
        f"sparse {kind}": lambda table, folder, kind=kind: getattr(scipy.sparse, kind)(table)
        for kind in ("csr_array", "csc_array", "coo_array", "csr_matrix", "lil_matrix")
    },
    "masked array": lambda table, folder: np.ma.masked_invalid(table),
    "Fortran order": lambda table, folder: np.asfortranarray(table),
    "objects": lambda table, folder: table.astype(object),
    "DataFrame": lambda table, folder: pd.DataFrame(table),
}
ELSEWHERE = ["memory map", "h5py", "dataset", "zarr", "sparse csr_array", "sparse csc_array"]
every_form = pytest.mark.parametrize("form", FORMS)
elsewhere = pytest.mark.parametrize("form", ELSEWHERE)


@pytest.fixture
def make(tmp_path):
    return lambda form: FORMS[form](dense(), tmp_path)


def beside(table):
    """The container of a table and another in memory."""
    other = np.random.default_rng(1).normal(size=(60, 3))
    other[5:20] = np.nan
    return Modalities({"a": table, "b": other})


def numbers(table):
    return np.asarray(tables.to_array(table), dtype=float)


@every_form
@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(3, 20),
        slice(50, 2, -3),
        np.array([3, 3, 50, 0]),
        np.arange(0, 60, 2),
        np.random.default_rng(0).permutation(60),
        np.arange(60) % 3 == 0,
        np.array([], dtype=int),
    ],
    ids=["all", "slice", "backwards", "list", "spread", "shuffled", "mask", "none"],
)
def test_rows_are_those_of_the_array(make, form, rows):
    X, expected = beside(make(form)), dense()
    np.testing.assert_array_equal(numbers(X[rows]["a"]), expected[rows])
    once = X[10:50]
    np.testing.assert_array_equal(numbers(once[::3]["a"]), expected[10:50][::3])
    chosen = X[np.arange(59, 0, -2)]
    np.testing.assert_array_equal(numbers(chosen[4:9]["a"]), expected[59:0:-2][4:9])
    np.testing.assert_array_equal(X.observed[:, 0], ~np.isnan(expected).all(1))
    np.testing.assert_array_equal(X[rows].to_numpy()[:, :5].astype(float), expected[rows])


@functools.cache
def fitted_on_dense(cls):
    """It must not be changed."""
    return small(cls, **FAST).fit(beside(dense()))


@every_form
@pytest.mark.parametrize("cls", KINDS)
def test_every_form_gives_the_numbers_of_the_array(make, form, cls):
    X, same = beside(dense()), beside(make(form))
    est, twin = fitted_on_dense(cls), small(cls, **FAST).fit(same)
    assert twin.loss_curve_ == est.loss_curve_
    np.testing.assert_array_equal(twin.transform(same), est.transform(X))
    np.testing.assert_array_equal(twin.score_samples(same[7:]), est.score_samples(X[7:]))
    for method in ("predict_missing", "reconstruct"):
        result, expected = getattr(twin, method)(same), getattr(est, method)(X)
        for name in ("a", "b"):
            np.testing.assert_array_equal(numbers(result[name]), expected[name])
    assert np.isnan(numbers(same["a"])).any(), "the caller's data were written to"


@elsewhere
@pytest.mark.parametrize("early_stopping", [False, True])
def test_streaming_changes_no_number(make, form, early_stopping, monkeypatch):
    X, rows = beside(dense()), np.random.default_rng(2).permutation(60)[:50]
    weights = np.arange(50) % 4 + 0.5
    # a start at factor analysis reads the rows in a way of its own, the same for all forms
    starts = form in ("memory map", "sparse csr_array")
    est = PoEVAE(
        **FAST,
        batch_size=16,
        early_stopping=early_stopping,
        init="factor_analysis" if starts else "random",
    )
    held = est.fit(X[rows], sample_weight=weights).transform(X)
    streams = []
    monkeypatch.setattr(reading, "_HELD_FROM_ELSEWHERE", 0)
    monkeypatch.setattr(reading, "Streamed", lambda *what: streams.append(what) or Streamed(*what))
    same = beside(make(form))
    streamed = est.fit(same[rows], sample_weight=weights).transform(same)
    assert streams
    np.testing.assert_array_equal(streamed, held)


def test_what_a_form_gives_back(make):
    est = MVAE(**FAST).fit(beside(dense()))
    tensor = est.predict_missing({"a": make("tensor"), "b": None})["a"]
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype is torch.float64
    matrix = make("sparse csr_matrix")
    filled = est.predict_missing({"a": matrix, "b": None})["a"]
    assert scipy.sparse.issparse(filled)
    assert filled.nnz == matrix.nnz
    assert not np.isnan(filled.data).any()
    assert isinstance(est.reconstruct({"a": matrix, "b": None})["a"], np.ndarray)
    assert isinstance(est.predict_missing({"a": make("h5py"), "b": None})["a"], np.ndarray)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.int32, torch.float32])
def test_tensors_of_any_kind(kind):
    whole = torch.arange(40).reshape(20, 2)
    expected = MVAE(**FAST).fit(Modalities([whole.to(torch.float32), np.ones((20, 1))]))
    est = MVAE(**FAST).fit(Modalities([whole.to(kind), np.ones((20, 1))]))
    if kind is torch.float32:
        np.testing.assert_array_equal(est.loss_curve_, expected.loss_curve_)
    np.testing.assert_allclose(est.loss_curve_, expected.loss_curve_, rtol=1e-2)


@pytest.mark.parametrize("kind", ["csr_array", "dok_array", "coo_matrix"])
def test_one_sparse_table(kind):
    table = np.nan_to_num(dense())
    table[:4, 0] = np.nan
    sparse = getattr(scipy.sparse, kind)(table)
    est = MVAE(**FAST, modalities=[3, 2])
    np.testing.assert_array_equal(
        est.fit(sparse).transform(sparse), est.fit(table).transform(table)
    )
    filled = est.predict_missing(sparse)
    np.testing.assert_array_equal(filled.toarray(), est.predict_missing(table))


@every_form
def test_pickles_come_back(make, form):
    X = beside(make(form))
    for part in (X, X[3:9], X[np.array([5, 2, 2])]):
        again = pickle.loads(pickle.dumps(part))
        for one, other in ((again, part), (again[:2], part[:2])):
            np.testing.assert_array_equal(numbers(one["a"]), numbers(other["a"]))
            np.testing.assert_array_equal(one["b"], other["b"])
        if form != "memory map":  # plainly pickled, it comes back as an array in memory
            assert type(again["a"]) is type(part["a"])


def test_a_pickle_holds_its_rows_alone_and_stores_go_by_path(tmp_path):
    X = Modalities({"a": np.zeros((10_000, 10))})
    assert len(pickle.dumps(X[5:8])) < 2000
    assert len(pickle.dumps(X[np.array([5, 8])])) < 2000
    big = np.zeros((10_000, 10))
    for form in ("h5py", "zarr"):
        store = FORMS[form](big, tmp_path)
        assert len(pickle.dumps(Modalities({"a": store}))) < 4000


@every_form
def test_a_mask_hides_rows(make, form):
    shown = np.arange(60) % 4 > 0
    X = Modalities({"a": make(form), "b": np.ones((60, 2), dtype=int)}, mask={"a": shown})
    expected = dense()
    expected[~shown] = np.nan
    for rows in (slice(None), slice(2, 9), np.array([8, 0, 3])):
        np.testing.assert_array_equal(numbers(X[rows]["a"]), expected[rows])
        np.testing.assert_array_equal(
            numbers(pickle.loads(pickle.dumps(X[rows]))["a"]), expected[rows]
        )
    np.testing.assert_array_equal(X.observed[:, 0], ~np.isnan(expected).all(1))
    est = small(PoEVAE, **FAST)
    plain = Modalities({"a": expected, "b": np.ones((60, 2), dtype=int)})
    np.testing.assert_array_equal(est.fit(X).transform(X), est.fit(plain).transform(plain))
    assert X["b"].dtype.kind == "i"


def test_masks_by_column_rename_and_keep_labels():
    frame = pd.DataFrame({"g": [1, 2, 3]}, index=["x", "y", "z"])
    mask = np.array([[True, False], [False, True], [True, True]])
    X = Modalities({"a": frame, "b": np.ones((3, 1))}, mask=mask)
    assert X.rename({"a": "c"})["c"]["g"].isna().tolist() == [False, True, False]
    assert X["a"].index.tolist() == ["x", "y", "z"]
    assert X.select(["b"]).observed[:, 0].tolist() == [False, True, True]
    assert (
        repr(X)
        == "Modalities(3 samples, a: 1 int64 (33.3% missing), b: 1 float64 (33.3% missing))"
    )
    both = Modalities.concat([X[:2], X[2:]])
    np.testing.assert_array_equal(both.observed, mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"c": [True]}, "mask names ['c'], which are not in the data."),
        ({"a": [1, 0, 1]}, "The mask of modality 'a' must be bool, one for each of the 3 samples"),
        ({"a": [True]}, "The mask of modality 'a' must be bool, one for each of the 3 samples; "),
        ([[True]] * 3, "mask must have one column for each of the 2 modalities; got the shape"),
    ],
)
def test_masks_that_are_refused(mask, message):
    with pytest.raises(ValueError, match="mask") as info:
        Modalities({"a": np.ones((3, 1)), "b": np.ones((3, 1))}, mask=mask)
    assert str(info.value).startswith(message)


def stand_in(parts, names, layers=None):
    """What Modalities.from_mudata reads of a MuData object, without the package."""
    mod = {
        name: types.SimpleNamespace(X=X, obs_names=pd.Index(cells), layers=layers or {})
        for name, (X, cells) in parts.items()
    }
    return types.SimpleNamespace(mod=mod, obs_names=pd.Index(names), n_obs=len(names))


@pytest.mark.parametrize("make_x", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.csc_array])
def test_mudata_needs_no_padding(make_x):
    rna, adt = np.arange(6.0).reshape(3, 2), np.arange(4.0)[:, None]
    parts = {"rna": (make_x(rna), ["c", "a", "b"]), "adt": (adt, ["a", "c", "d", "e"])}
    X = Modalities.from_mudata(stand_in(parts, ["a", "b", "c", "d", "e"]))
    nan = np.nan
    expected = [[2, 3, 0], [4, 5, nan], [0, 1, 1], [nan, nan, 2], [nan, nan, 3]]
    np.testing.assert_array_equal(X.to_numpy(), expected)
    np.testing.assert_array_equal(X[[4, 2, 2]].to_numpy(), np.array(expected)[[4, 2, 2]])
    np.testing.assert_array_equal(X.observed[:, 1], [True, False, True, True, True])
    assert X._tables["adt"] is adt
    again = pickle.loads(pickle.dumps(X[1:4]))
    np.testing.assert_array_equal(again.to_numpy(), expected[1:4])
    assert MVAE(**FAST).fit(X).transform(X).shape == (5, 2)


def test_layers_of_mudata():
    mdata = stand_in({"a": (np.ones((2, 1)), ["x", "y"])}, ["x", "y"], {"raw": np.eye(2)[:, :1]})
    assert Modalities.from_mudata(mdata, layers={"a": "raw"}).to_numpy().tolist() == [[1], [0]]
    with pytest.raises(ValueError, match=r"layers names \['b'\], which are not in mdata.mod"):
        Modalities.from_mudata(mdata, layers={"b": "raw"})


def test_real_mudata():
    mudata, anndata = pytest.importorskip("mudata"), pytest.importorskip("anndata")

    def part(table, cells, columns):
        return anndata.AnnData(
            table, obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=columns)
        )

    rna = part(scipy.sparse.csr_matrix(np.eye(2)), ["a", "b"], ["g0", "g1"])
    adt = part(np.full((2, 1), 7.0), ["b", "c"], ["p0"])
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData({"rna": rna, "adt": adt})
    X = Modalities.from_mudata(mdata)
    found = dict(zip(mdata.obs_names, X.to_numpy().tolist(), strict=True))
    np.testing.assert_array_equal(found["b"], [0, 1, 7])
    np.testing.assert_array_equal(found["a"], [1, 0, np.nan])


def test_what_passes_per_modality_is_not_read(make):
    X = beside(make("memory map"))[np.arange(50)]
    out = PerModality({"b": "passthrough"}).fit_transform(X)
    assert tables.is_mapped(out._tables["a"])
    np.testing.assert_array_equal(out.to_numpy(), X.to_numpy())


def test_reprs_are_short_and_do_not_read_files(make):
    text = "Modalities(60 samples, a: 5 float64, b: 3 float64 (25.0% missing))"
    assert repr(beside(make("h5py"))) == text
    assert repr(beside(dense())).startswith("Modalities(60 samples, a: 5 float64 (")


def test_a_masked_array_keeps_its_own_mask_under_another():
    inner = np.ma.masked_equal(np.array([[1, -9], [-9, 2], [3, 4]]), -9)
    X = Modalities({"a": inner}, mask={"a": np.array([True, True, False])})
    nan = np.nan
    np.testing.assert_array_equal(X.to_numpy(), [[1, nan], [nan, 2], [nan, nan]])


def test_row_numbers_of_any_integer_kind():
    X = Modalities({"a": np.arange(240.0)[:, None]})
    assert X[::2][np.array([100], np.int8)]["a"] == 200
    assert X[np.array([1, 200], np.uint8)]["a"].tolist() == [[1], [200]]
    assert X[::-1][np.array([1], np.uint64)]["a"] == 238
    assert X[::-1][240:]["a"].shape == (0, 1)
    with pytest.raises(IndexError, match="indexed by rows"):
        X[[1, 2, 3]][[[0, 1], [1, 2]]]


def test_entries_that_are_stored_twice_are_one_entry():
    nan = np.nan
    twice = scipy.sparse.csr_array(([nan, nan, 1.0, 1.0], [0, 0, 1, 1], [0, 2, 4]), shape=(2, 2))
    X = Modalities({"a": twice, "b": np.ones((2, 1))})
    np.testing.assert_array_equal(X.observed[:, 0], [True, True])
    est = MVAE(**FAST).fit(Modalities({"a": twice.toarray(), "b": np.ones((2, 1))}))
    expected = est.predict_missing({"a": twice.toarray(), "b": np.ones((2, 1))})["a"]
    found = est.predict_missing({"a": twice, "b": np.ones((2, 1))})["a"].toarray()
    np.testing.assert_array_equal(found, expected)
    assert twice.nnz == 4


@pytest.mark.parametrize("all_sparse", [True, False])
def test_a_frame_of_sparse_columns_in_a_dict(all_sparse):
    plain = pd.DataFrame(np.round(dense()), columns=list("abcde"))
    frame = plain.astype(pd.SparseDtype(float, 0.0))
    frame = frame if all_sparse else frame.assign(a=plain["a"])
    est = small(PoEVAE, **FAST)
    expected = est.fit({"x": plain, "y": plain}).predict_missing({"x": plain, "y": plain})["x"]
    filled = est.fit({"x": frame, "y": plain}).predict_missing({"x": frame, "y": plain})["x"]
    np.testing.assert_array_equal(filled.to_numpy(float), expected.to_numpy())


def test_frames_without_labels_get_those_of_the_others():
    X = Modalities(
        {"a": pd.DataFrame({"x": [1.0, 2, 3]}, list("uvw")), "b": pd.DataFrame([4.0, 5, 6])}
    )
    both = Modalities.concat([X[[2, 0]], X[[1]]])
    assert both["b"].index.tolist() == ["w", "u", "v"]
    est = MVAE(**FAST).fit(X)
    assert est.predict_missing(X[[2, 0, 1]])["b"].index.tolist() == ["w", "u", "v"]


def test_a_mask_that_is_a_frame_goes_by_name():
    mask = pd.DataFrame({"b": [True, True], "a": [False, True]})
    X = Modalities({"a": np.ones((2, 1)), "b": np.ones((2, 1))}, mask=mask)
    assert X.observed.tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("labels", [["x", "y", "z"], [5, 3, 9], None])
def test_a_mask_with_other_labels_than_the_data_is_refused(labels):
    data = pd.DataFrame({"g": [1.0, 2, 3]}, labels)
    mask = pd.Series([True, False, True], data.index)
    assert Modalities({"a": data}, mask={"a": mask})["a"]["g"].isna().tolist() == [0, 1, 0]
    for wrong in ({"a": mask[::-1]}, mask[::-1].to_frame("a")):
        with pytest.raises(ValueError, match="mask of modality 'a' and .* different indexes"):
            Modalities({"a": data}, mask=wrong)
    Modalities({"a": data.to_numpy()}, mask={"a": mask[::-1]})  # rows go by position


def test_a_pickle_of_hidden_rows_is_small():
    X = Modalities({"a": scipy.sparse.csr_array((1000, 5000))}, mask={"a": np.arange(1000) < 10})
    assert len(pickle.dumps(X[:999])) < 50_000


def test_a_file_that_is_open_for_writing_is_not_sent(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.ones((4, 2))
        with pytest.raises(pickle.PicklingError, match="with mode 'r'"):
            pickle.dumps(Modalities({"a": file["a"]}))
