"""Results that are written, chunk by chunk, into arrays that the caller has."""

import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import zarr
from containers import COLUMNS, N_ROWS, WIDTHS, build
from small import FAST, KINDS, small

from skpoe import MVAE, Modalities
from skpoe.estimators import predicting

MAKERS = {
    "ndarray": lambda folder, shape, dtype: np.zeros(shape, dtype),
    "strided": lambda folder, shape, dtype: np.zeros((2 * shape[0], *shape[1:]), dtype)[::2],
    "memory map": lambda folder, shape, dtype: np.memmap(folder / "x", dtype, "w+", shape=shape),
    "h5py": lambda folder, shape, dtype: h5py.File(folder / "x", "w").create_dataset(
        "x", shape, dtype
    ),
    "zarr": lambda folder, shape, dtype: zarr.create_array(
        store=folder / "x", shape=shape, dtype=dtype, chunks=shape
    ),
}


@pytest.fixture(autouse=True)
def chunks(monkeypatch):
    monkeypatch.setattr(predicting, "_CHUNK", 7 * 8)  # few rows at a time


@pytest.fixture
def make(tmp_path):
    numbers = map(str, itertools.count())

    def make(form, shape, dtype=np.float64):
        folder = tmp_path / next(numbers)
        folder.mkdir()
        return MAKERS[form](folder, shape, dtype)

    return make


def fitted(X, cls=MVAE, **params):
    return small(cls, **FAST, **params).fit(X)


@pytest.mark.parametrize("form", MAKERS)
def test_out_has_the_numbers_of_the_result(make, form):
    X = build("modalities of arrays", "both")
    est = fitted(X)
    out = make(form, (N_ROWS, 2))
    assert est.transform(X, out=out) is out
    np.testing.assert_array_equal(out[:], est.transform(X))
    np.testing.assert_array_equal(
        est.transform(X, given="adt", out=out)[:], est.transform(X, given="adt")
    )
    scores = make(form, (N_ROWS,))
    assert est.score_samples(X, out=scores) is scores
    np.testing.assert_array_equal(scores[:], est.score_samples(X))
    for method in ("predict_missing", "reconstruct"):
        into = {name: make(form, (N_ROWS, width)) for name, width in WIDTHS.items()}
        assert getattr(est, method)(X, out=into) is into
        for name, table in getattr(est, method)(X).items():
            np.testing.assert_array_equal(into[name][:], table)


@pytest.mark.parametrize("cls", KINDS)
@pytest.mark.parametrize("form", ["modalities on disk", "a sparse matrix and a tensor"])
def test_of_every_kind_of_estimator(make, cls, form):
    X = build(form, "both")[:20]
    est = fitted(X, cls)
    expected = est.predict_missing(X).to_numpy()
    for kind in (list, tuple):
        into = kind(make("ndarray", (20, width)) for width in WIDTHS.values())
        est.predict_missing(X, out=into)
        np.testing.assert_array_equal(np.hstack(into), expected)


def test_one_table_has_one_array(make):
    for form, cut in (("one array", list(WIDTHS.values())), ("one DataFrame", COLUMNS)):
        X = build(form, "entries")
        est = fitted(X, modalities=cut)
        out = make("ndarray", X.shape)
        assert est.predict_missing(X, out=out) is out
        np.testing.assert_array_equal(out, np.asarray(est.predict_missing(X)))


def test_images_keep_their_shape(make):
    images = np.random.default_rng(0).normal(size=(20, 1, 2, 2))
    images[3:6] = np.nan
    X = Modalities({"image": images, "other": np.ones((20, 1))})
    est = fitted(X)
    out = {"image": make("zarr", images.shape), "other": None}
    est.predict_missing(X, out=out)
    np.testing.assert_array_equal(out["image"][:], est.predict_missing(X)["image"])


def test_what_is_not_wanted_is_not_decoded(make, monkeypatch):
    X = build("modalities of arrays", "both")
    est = fitted(X)
    expected = est.predict_missing(X)["adt"]
    decode, decoded = type(est.model_).mean, []
    monkeypatch.setattr(
        type(est.model_), "mean", lambda self, z, m: decoded.append(m) or decode(self, z, m)
    )
    out = make("ndarray", (N_ROWS, WIDTHS["adt"]))
    est.predict_missing(X, out=[None, out])
    np.testing.assert_array_equal(out, expected)
    assert set(decoded) == {1}


def test_x_may_be_filled_in_place(make):
    X = build("modalities of arrays", "both")
    est = fitted(X)
    expected = est.predict_missing(X).to_numpy()
    given = dict(X.items())
    est.predict_missing(given, out=given)
    np.testing.assert_array_equal(np.hstack(list(given.values())), expected)


def test_single_precision_is_rounded(make):
    X = build("modalities of arrays", "both")
    est = fitted(X)
    out = make("memory map", (N_ROWS, 2), np.float32)
    np.testing.assert_array_equal(est.transform(X, out=out), est.transform(X).astype(np.float32))


def frozen(shape):
    array = np.full(shape, 7.0)
    array.flags.writeable = False
    return array


GOOD = (N_ROWS, 2)
SINGLE = {
    "rows": (np.full((N_ROWS + 1, 2), 7.0), ValueError, "out has the shape (61, 2), but the "
             "result has (60, 2)."),
    "axes": (np.full(N_ROWS, 7.0), ValueError, "out has the shape (60,), but the result has (60"),
    "integers": (np.full(GOOD, 7), TypeError, "out has the dtype int64, which cannot hold the "
                 "result, of float64."),
    "read-only": (frozen(GOOD), ValueError, "out is read-only. Open the file with mode 'r+'"),
    "tensor": (torch.full(GOOD, 7.0), TypeError, "out must be an array that rows can be written"),
    "list": ([[7.0, 7.0]] * N_ROWS, TypeError, "out must be an array that rows can be written to"),
    "frame": (pd.DataFrame(np.full(GOOD, 7.0)), TypeError, "out must be an array that rows can"),
    "sparse": (scipy.sparse.csr_array(np.full(GOOD, 7.0)), TypeError, "out must be an array"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", SINGLE)
def test_what_cannot_be_written_to(mistake):
    out, kind, words = SINGLE[mistake]
    X = build("modalities of arrays", "both")
    est = fitted(X)
    with pytest.raises(kind) as info:
        est.transform(X, out=out)
    assert str(info.value).startswith(words)
    assert (np.asarray(out.toarray() if mistake == "sparse" else out) == 7).all()


def test_a_file_that_is_open_for_reading_cannot_be_written_to(tmp_path):
    zarr = pytest.importorskip("zarr")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.full(GOOD, 7.0)
    zarr.open(tmp_path / "x.zarr", mode="w", shape=GOOD, dtype=float)[:] = 7
    X = build("modalities of arrays", "both")
    with h5py.File(tmp_path / "x.h5", "r") as file:
        for out in (file["x"], zarr.open(tmp_path / "x.zarr", mode="r")):
            with pytest.raises(
                ValueError, match=r"out is read-only. Open the file with mode 'r\+'"
            ):
                fitted(X).transform(X, out=out)
            assert (out[:] == 7).all()


SEVERAL = {
    "names": ({"rna": None, "atac": None}, ValueError, "out has ['rna', 'atac'], but the "
              "modalities are ['rna', 'adt']."),
    "number": ([None], ValueError, "out has 1 arrays, but the modalities are ['rna', 'adt']."),
    "nothing": ([None, None], ValueError, "Every array of out is None"),
    "an array": (np.ones((60, 9)), TypeError, "out must be a list or dict with an array, or None"),
    "width": ({"rna": np.full((60, 5), 7.0), "adt": np.ones((60, 5))}, ValueError, "out['adt'] "
              "has the shape (60, 5), but the result has (60, 4)."),
}  # fmt: skip


@pytest.mark.parametrize("mistake", SEVERAL)
def test_what_modalities_cannot_be_written_to(mistake):
    out, kind, words = SEVERAL[mistake]
    X = build("modalities of arrays", "both")
    with pytest.raises(kind) as info:
        fitted(X).predict_missing(X, out=out)
    assert str(info.value).startswith(words)
    if mistake == "width":
        assert (out["rna"] == 7).all(), "something was written"


def test_columns_that_are_no_numbers_have_no_array():
    frame = pd.DataFrame({"kind": pd.Categorical(list("abcabc")), "size": np.arange(6.0)})
    est = small(MVAE, **FAST, likelihood="auto").fit(frame)
    with pytest.raises(ValueError, match="has columns that are not plain numbers"):
        est.predict_missing(frame, out=np.ones((6, 2)))


def test_out_is_no_metadata_and_no_frame():
    X = build("modalities of arrays", "both")
    est = fitted(X)
    assert "out" not in est.get_metadata_routing().transform.requests
    for container in ("pandas", "polars"):
        est.set_output(transform=container)
        with pytest.raises(ValueError, match=f"set_output asks for {container}"):
            est.transform(X, out=np.ones((N_ROWS, 2)))


def test_memory_does_not_grow_with_rows(tmp_path, monkeypatch):
    """What numpy allocates at most, by tracemalloc, over 16 times as many rows."""
    import tracemalloc

    monkeypatch.setattr(predicting, "_CHUNK", 2**14)
    peaks = []
    for n_rows in (1000, 16_000):
        rna = np.memmap(tmp_path / f"{n_rows}", np.float32, "w+", shape=(n_rows, 50))
        rna[:] = np.random.default_rng(0).normal(size=rna.shape)
        rna[::3] = np.nan
        adt = np.memmap(tmp_path / f"adt {n_rows}", np.float32, "w+", shape=(n_rows, 2))
        X = Modalities({"rna": rna, "adt": adt})
        if n_rows == 1000:
            est = fitted(X[:100])
        out = {
            name: np.memmap(tmp_path / f"{name} out", np.float32, "w+", shape=table.shape)
            for name, table in X.items()
        }
        tracemalloc.start()
        est.predict_missing(X, out=out)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    result = sum(table.nbytes for table in out.values())
    assert peaks[1] < peaks[0] + result / 10, peaks


def test_a_mistake_in_the_last_row_leaves_all_as_it_was(make):
    counts = np.random.default_rng(0).poisson(3.0, (N_ROWS, 4)).astype(float)
    est = fitted(counts, likelihood="poisson")
    counts[-1, 0] = -1.0
    for method, width in (("transform", 2), ("reconstruct", 4), ("score_samples", None)):
        out = make("memory map", (N_ROWS,) if width is None else (N_ROWS, width))
        out[:] = 7.0
        with pytest.raises(ValueError, match=f"has -1 in row {N_ROWS - 1}"):
            getattr(est, method)(counts, out=out)
        assert (out == 7.0).all()
