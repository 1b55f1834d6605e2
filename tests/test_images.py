"""Modalities with more than two axes: the model reads flat rows, people get images back."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import StandardScaler

from skpoe import MVAE, Modalities, PerModality
from skpoe.datasets import drop_entries, drop_modalities
from skpoe.estimators import reading
from skpoe.model_selection import MissingnessSplit
from skpoe.scorers import CrossModal

SHAPE = (2, 3, 4)
N_ROWS = 30


def fast():
    return MVAE(max_iter=2, n_importance_samples=8, latent_dim=2, random_state=0)


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(N_ROWS, *SHAPE)).astype(np.float32)
    rna = rng.normal(size=(N_ROWS, 3)).astype(np.float32)
    image[3, 1, 2, 3] = image[4, 0, 0, 0] = image[5:9] = np.nan
    rna[7:11] = np.nan
    return {"image": image, "rna": rna}


def flat(X):
    return {"image": np.asarray(X["image"]).reshape(-1, 24), "rna": X["rna"]}


def mapped(image, path):
    image.tofile(path / "image")
    return np.memmap(path / "image", image.dtype, "r", shape=image.shape)


def in_h5py(image, path):
    with h5py.File(path / "image.h5", "w") as file:
        file["image"] = image
    return h5py.File(path / "image.h5", "r")["image"]


FORMS = {
    "array": lambda image, path: image,
    "reversed": lambda image, path: np.asarray(image[..., ::-1], order="F")[..., ::-1],
    "memory map": mapped,
    "h5py": in_h5py,
    "zarr": lambda image, path: zarr.array(image, store=zarr.storage.MemoryStore()),
    "tensor": lambda image, path: torch.from_numpy(image),
    "masked": lambda image, path: np.ma.masked_array(np.nan_to_num(image), np.isnan(image)),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_an_image_is_read_as_its_flat_rows_and_comes_back_as_an_image(X, form, tmp_path):
    reference, image = fast().fit(flat(X)), FORMS[form](X["image"], tmp_path)
    before = np.array(X["image"])
    for made in ([image, X["rna"]], {"image": image, "rna": X["rna"]}):
        for Y in (made, Modalities(made)):
            est = fast().fit(Y)
            assert est.n_features_in_ == 27
            np.testing.assert_array_equal(est.transform(Y), reference.transform(flat(X)))
            np.testing.assert_array_equal(est.score_samples(Y), reference.score_samples(flat(X)))
            for method in ("predict_missing", "reconstruct"):
                new = getattr(est, method)(Y)
                assert type(new) is type(Y)
                got = new[0] if isinstance(new, list) else new[new_name(new)]
                assert tuple(got.shape) == (N_ROWS, *SHAPE)
                assert isinstance(got, torch.Tensor) == (form == "tensor")
                expected = getattr(reference, method)(flat(X))["image"]
                np.testing.assert_array_equal(np.asarray(got).reshape(N_ROWS, 24), expected)
    np.testing.assert_array_equal(X["image"], before)


def new_name(X):
    return "image" if "image" in (X.names if isinstance(X, Modalities) else X) else "modality_0"


def test_draws_and_decoded_means_are_images(X):
    est = fast().fit(X)
    assert est._layout.event_shapes == (SHAPE, None)
    for new in (est.sample(5), est.inverse_transform(np.zeros((5, 2)))):
        assert new["image"].shape == (5, *SHAPE)
        assert new["rna"].shape == (5, 3)
    expected = fast().fit(flat(X)).sample(5)["image"].reshape(5, *SHAPE)
    np.testing.assert_array_equal(est.sample(5)["image"], expected)


def test_an_image_that_is_none_comes_back_as_an_image(X):
    hidden = {**X, "image": np.full_like(X["image"], np.nan)}
    est = fast().fit(X)
    filled = est.predict_missing({**X, "image": None})["image"]
    np.testing.assert_array_equal(filled, est.predict_missing(hidden)["image"])
    none = Modalities({**X, "image": None}, n_features={"image": list(SHAPE)})
    assert none.event_shapes == {"image": SHAPE, "rna": None}
    with pytest.warns(UserWarning, match="no observed value"):
        assert fast().fit(none).predict_missing(none)["image"].shape == (N_ROWS, *SHAPE)


def test_uint8_images_and_images_of_any_rank(X):
    series = np.arange(N_ROWS * 6, dtype=np.uint8).reshape(N_ROWS, 2, 3)
    video = np.random.default_rng(0).random((N_ROWS, 2, 1, 3, 2))
    est = fast().fit([series, video])
    filled = est.predict_missing([series, video])
    np.testing.assert_array_equal(filled[0], series)
    assert filled[0].dtype == np.uint8
    assert est.predict_missing([None, video])[0].shape == (N_ROWS, 2, 3)
    assert est.reconstruct([series, video])[1].shape == video.shape


@pytest.mark.parametrize("wrong", [(2, 4, 3), (24,), (4, 6), (2, 3, 5)])
@pytest.mark.parametrize("method", ["transform", "predict_missing", "score", "partial_fit"])
def test_another_shape_than_in_fit_is_refused(X, wrong, method):
    got = {(2, 4, 3): "2x4x3", (24,): "24", (4, 6): "4x6", (2, 3, 5): "2x3x5"}[wrong]
    with pytest.raises(ValueError) as info:  # noqa: PT011
        getattr(fast().fit(X), method)({**X, "image": np.ones((N_ROWS, *wrong))})
    assert str(info.value) == (
        f"Modality 'image' has {got} features, but MVAE is expecting 2x3x4 features as input."
    )


def test_an_image_in_place_of_a_table_is_refused(X):
    with pytest.raises(ValueError) as info:  # noqa: PT011
        fast().fit(X).transform({**X, "rna": X["rna"][:, :, None]})
    assert str(info.value).startswith("Modality 'rna' has 3x1 features, but MVAE is expecting 3 ")


def test_infinity_in_an_image_is_named(X):
    X["image"][0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="Modality 'image': Input contains infinity"):
        fast().fit(X)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_container_of_images(X, form, tmp_path):
    image = FORMS[form](X["image"], tmp_path)
    M = Modalities({"image": image, "rna": X["rna"]})
    assert M.shape == (N_ROWS, 27)
    assert M.n_features == {"image": 24, "rna": 3}
    assert M.event_shapes == {"image": SHAPE, "rna": None}
    assert "image: 2x3x4 float32" in repr(M)
    assert "<td>2x3x4</td>" in M._repr_html_()
    rows = np.array([8, 3, 3, -1])
    got = np.asarray(M[rows]["image"]) if form != "masked" else M[rows]["image"].filled(np.nan)
    np.testing.assert_array_equal(got, X["image"][rows])
    assert M[::-1][2:4]["image"].shape == (2, *SHAPE)
    np.testing.assert_array_equal(M.observed[:, 0], ~np.isnan(flat(X)["image"]).all(axis=1))
    both = np.hstack([flat(X)["image"], X["rna"]])
    np.testing.assert_array_equal(M.to_numpy(), both)
    np.testing.assert_array_equal(M.to_pandas(), both)
    assert M.to_pandas().columns[23] == "image__23"
    if form != "zarr":  # in memory alone, it cannot be pickled
        again = pickle.loads(pickle.dumps(M[2:9]))
        assert again.event_shapes == M.event_shapes
        np.testing.assert_array_equal(again.to_numpy(), both[2:9])
    shown = np.arange(N_ROWS) % 2 == 0
    hidden = Modalities(M, mask={"image": shown})
    np.testing.assert_array_equal(hidden.observed[:, 0], M.observed[:, 0] & shown)


def test_repr_of_images_that_are_complete():
    images = np.zeros((3, 1, 28, 28), np.float32)
    assert repr(Modalities({"image": images})) == "Modalities(3 samples, image: 1x28x28 float32)"


def test_parts_below_each_other(X):
    M = Modalities(X)
    again = Modalities.concat([M[:4], M[4:].drop(["image"]), M[:1].drop(["rna"])])
    assert again.event_shapes == M.event_shapes
    np.testing.assert_array_equal(again["image"][:4], X["image"][:4])
    assert np.isnan(again["image"][4:-1]).all()
    other = Modalities({"image": np.ones((2, 24))})
    with pytest.raises(ValueError, match="'image' has 2x3x4 features in one part and 24 in anoth"):
        Modalities.concat([M, other])
    names = M.rename({"image": "scan"}).select(["scan"])
    assert names.event_shapes == {"scan": SHAPE}
    assert Modalities(names).event_shapes == {"scan": SHAPE}
    with pytest.raises(ValueError, match="'image' has 2x3x4 features, but n_features says 4x3x2"):
        Modalities(X, n_features={"image": (4, 3, 2)})


def test_tools_of_scikit_learn_split_images(X):
    M = Modalities(X)
    train, test = train_test_split(M, random_state=0)
    assert train["image"].shape[1:] == test["image"].shape[1:] == SHAPE
    search = GridSearchCV(
        fast(), {"latent_dim": [1, 2]}, cv=2, scoring=CrossModal("rna", given="image")
    )
    assert search.fit(M).best_estimator_.predict_missing(M)["image"].shape == (N_ROWS, *SHAPE)
    assert clone(fast()).fit(M)._layout.sizes == (SHAPE, 3)


def test_widths_in_the_parameter_count_all_numbers(X):
    est = fast().set_params(modalities=[24, 3]).fit(list(X.values()))
    assert est.predict_missing(list(X.values()))[0].shape == (N_ROWS, *SHAPE)
    with pytest.raises(
        ValueError, match="'modality_0' has 2x3x4 features, but MVAE is expecting 2"
    ):
        est.set_params(modalities=[2, 3]).fit(list(X.values()))


def test_transformers_see_flat_rows_and_their_inverse_gives_images(X):
    scaler = PerModality({"image": StandardScaler()}).fit(X)
    scaled = scaler.transform(X)
    expected = StandardScaler().fit_transform(flat(X)["image"])
    np.testing.assert_allclose(scaled["image"], expected, atol=1e-6)
    back = scaler.inverse_transform(scaled)["image"]
    np.testing.assert_allclose(back, X["image"], atol=1e-5)
    framed = PerModality(StandardScaler()).set_output(transform="pandas").fit(X)
    back = framed.inverse_transform(framed.transform(X))["image"]
    np.testing.assert_allclose(back, X["image"], atol=1e-5)
    passed = PerModality({"rna": StandardScaler()}).fit_transform(Modalities(X))
    assert passed.event_shapes == {"image": SHAPE, "rna": None}
    with pytest.raises(ValueError, match="PerModality is expecting 2x3x4 features"):
        scaler.transform({**X, "image": X["image"][:, :1]})


def test_missingness_is_simulated_in_images():
    X = {"image": np.ones((10, *SHAPE)), "rna": np.ones((10, 2))}
    dropped = drop_modalities(X, {"image": 0.3}, random_state=0)["image"]
    assert dropped.shape == (10, *SHAPE)
    assert sorted(np.isnan(dropped).sum(axis=(1, 2, 3))) == [0] * 7 + [24] * 3
    pixels = drop_entries(Modalities(X), 0.3, random_state=0)["image"]
    np.testing.assert_array_equal(np.isnan(pixels).sum(axis=0), np.full(SHAPE, 3))
    folds = MissingnessSplit(3, random_state=0).split({**X, "image": dropped})
    assert [np.isnan(dropped[test]).any(axis=(1, 2, 3)).sum() for _, test in folds] == [1, 1, 1]
    for call in (drop_entries, lambda x, rate: next(MissingnessSplit(2).split(x))):
        with pytest.raises(ValueError, match=r"X is one array of shape \(10, 2, 3, 4\), but one"):
            call(X["image"], 0.1)


def test_frames_beside_images_keep_their_labels(X):
    X["rna"] = pd.DataFrame(X["rna"], [f"r{i}" for i in range(N_ROWS)], ["a", "b", "c"])
    filled = fast().fit(X).predict_missing(X)
    assert filled["rna"].index.equals(X["rna"].index)
    assert filled["image"].shape == (N_ROWS, *SHAPE)


@pytest.mark.parametrize("form", ["memory map", "h5py", "zarr"])
def test_images_on_disk_are_streamed(X, form, tmp_path, monkeypatch):
    held = fast().fit(X)
    monkeypatch.setattr(reading, "_HELD_FROM_ELSEWHERE", 0)
    M = Modalities({**X, "image": FORMS[form](X["image"], tmp_path)})
    rows = np.random.default_rng(1).permutation(N_ROWS)
    streamed = fast().fit(M[rows][np.argsort(rows)])
    np.testing.assert_array_equal(streamed.transform(M), held.transform(X))
