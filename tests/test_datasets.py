"""Data sets: exact numbers of holes, every form of MNIST's files, and answers against scipy."""

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits

from skpoe import MVAE, Modalities
from skpoe.datasets import (
    LinearGaussianWorld,
    load_digits_halves,
    load_digits_pixels,
    load_mnist_halves,
    load_mnist_pixels,
    make_linear_gaussian,
)

N_TRAIN, N_TEST = 60, 20


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    made = {}
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        made[f"x_{part}"] = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        made[f"y_{part}"] = rng.permutation(np.arange(n, dtype=np.uint8) % 10)
    return made


def as_npz(arrays, folder):
    np.savez(folder / "mnist.npz", **arrays)
    return folder / "mnist.npz"


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.tobytes()


def as_idx(arrays, folder, dash="-", pack=lambda content: content, ending=""):
    for part, name in (("train", "train"), ("test", "t10k")):
        for key, kind in (("x", "images-idx3"), ("y", "labels-idx1")):
            path = folder / f"{name}-{kind.replace('-', dash)}-ubyte{ending}"
            path.write_bytes(pack(idx(arrays[f"{key}_{part}"])))
    return folder


SOURCES = {
    "npz": as_npz,
    "npz by str": lambda arrays, folder: str(as_npz(arrays, folder)),
    "folder": as_idx,
    "folder with dots": lambda arrays, folder: as_idx(arrays, folder, "."),
    "folder of gz": lambda arrays, folder: as_idx(arrays, folder, "-", gzip.compress, ".gz"),
}
PAIRS = {
    "arrays": lambda arrays, folder: (arrays["x_train"], arrays["y_train"]),
    "flat": lambda arrays, folder: (arrays["x_train"].reshape(-1, 784), arrays["y_train"]),
    "strings and floats": lambda arrays, folder: (
        pd.DataFrame(arrays["x_train"].reshape(-1, 784).astype(float)),
        arrays["y_train"].astype(str).astype(object),
    ),
    "files": lambda arrays, folder: [
        as_idx(arrays, folder) / "train-images-idx3-ubyte",
        str(folder / "train-labels-idx1-ubyte"),
    ],
}


@pytest.mark.parametrize(
    ("form", "subset"),
    [
        *((form, subset) for form in SOURCES for subset in ("train", "valid", "test")),
        *((form, subset) for form in PAIRS for subset in ("train", "valid")),
    ],
)
def test_every_source_gives_the_same_images(arrays, form, subset, tmp_path):
    source = {**SOURCES, **PAIRS}[form](arrays, tmp_path)
    before = {name: array.copy() for name, array in arrays.items()}
    part = "test" if subset == "test" else "train"
    rows = {"train": slice(0, 50), "valid": slice(50, 60), "test": slice(0, 20)}[subset]
    binary = (arrays[f"x_{part}"].reshape(-1, 784)[rows] > 127).astype(float)
    mnist = load_mnist_halves(source, subset=subset, random_state=0)
    np.testing.assert_array_equal(mnist.complete.to_numpy(), binary)
    np.testing.assert_array_equal(mnist.target, arrays[f"y_{part}"][rows])
    assert mnist.target.dtype == int
    pixels = load_mnist_pixels(source, subset=subset, random_state=0)
    np.testing.assert_array_equal(pixels.complete, binary)
    assert pixels.data.dtype == mnist.data.dtype == np.float32
    assert f"({subset})" in mnist.DESCR
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])


def check_halves(made, n, half, n_missing):
    assert made.data.shape == made.complete.shape == (n, 2 * half)
    assert made.data.names == made.complete.names == ["upper", "lower"]
    np.testing.assert_array_equal(made.data["upper"], made.complete["upper"])
    hidden = np.isnan(made.data["lower"])
    assert hidden.all(axis=1).sum() == hidden.any(axis=1).sum() == n_missing
    np.testing.assert_array_equal(made.data["lower"][~hidden], made.complete["lower"][~hidden])
    assert not np.isnan(made.complete.to_numpy()).any()
    assert f"missing in {n_missing} rows" in made.DESCR


def check_pixels(made, n, n_pixels, n_missing):
    hidden = np.isnan(made.data)
    assert made.data.shape == made.complete.shape == (n, n_pixels)
    assert (hidden.sum(axis=1) == n_missing).all()
    np.testing.assert_array_equal(made.data[~hidden], made.complete[~hidden])
    assert not np.isnan(made.complete).any()
    assert f"{n_missing} of which" in made.DESCR


@pytest.mark.parametrize("missing", [0, 0.13, 0.5, 0.9])
def test_holes_are_of_exact_number(arrays, missing):
    pair = arrays["x_train"], arrays["y_train"]
    check_halves(load_mnist_halves(pair, missing=missing), 50, 392, round(missing * 50))
    check_pixels(load_mnist_pixels(pair, missing=missing), 50, 784, round(missing * 784))
    check_halves(load_digits_halves(missing=missing), 1797, 32, round(missing * 1797))
    check_pixels(load_digits_pixels(missing=missing), 1797, 64, round(missing * 64))


def test_digits_are_those_of_scikit_learn():
    images, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(load_digits_pixels().complete, images)
    halves = load_digits_halves(digits=3)
    np.testing.assert_array_equal(halves.complete.to_numpy(), images[labels == 3])
    assert set(halves.target) == {3}


def test_some_digits_are_chosen_before_the_cut(arrays):
    pair = arrays["x_train"], arrays["y_train"]
    wanted = np.isin(arrays["y_train"], [2, 7])
    binary = (arrays["x_train"].reshape(-1, 784) > 127)[wanted]
    train = load_mnist_pixels(pair, digits=[2, 7])
    valid = load_mnist_pixels(pair, digits=(2, 7), subset="valid")
    assert (len(train.complete), len(valid.complete)) == (10, 2)
    np.testing.assert_array_equal(np.vstack([train.complete, valid.complete]), binary)
    assert set(load_mnist_halves(pair, digits=np.int64(2)).target) == {2}


@pytest.mark.parametrize("load", [load_digits_halves, load_digits_pixels, make_linear_gaussian])
def test_random_state_says_where_the_holes_are(load):
    np.random.seed(1)
    state = np.random.get_state()[1].copy()

    def holes(random_state):
        data = load(missing=0.5, random_state=random_state).data
        return np.isnan(data.to_numpy() if isinstance(data, Modalities) else data)

    np.testing.assert_array_equal(holes(0), holes(0))
    assert (holes(0) != holes(1)).any()
    assert (holes(None) != holes(None)).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_pixels_are_missing_evenly():
    share = np.isnan(load_digits_pixels(missing=0.5, random_state=0).data).mean(axis=0)
    assert abs(share - 0.5).max() < 5 * 0.5 / np.sqrt(1797)


def test_bunches_pickle_and_fit(arrays):
    mnist = load_mnist_halves((arrays["x_train"], arrays["y_train"]), random_state=0)
    again = pickle.loads(pickle.dumps(mnist))
    np.testing.assert_array_equal(again.data.to_numpy(), mnist.data.to_numpy())
    vae = MVAE(likelihood="bernoulli", latent_dim=2, max_iter=1).fit(mnist.data)
    assert vae.predict_missing(mnist.data)["lower"].shape == (50, 392)


IMAGES, LABELS = np.full((12, 28, 28), 200), np.arange(12) % 3
MISTAKES = {
    "subset": (
        lambda: load_mnist_halves((IMAGES, LABELS), subset="dev"),
        ValueError,
        "The 'subset' parameter of load_mnist_halves must be one of ['train', 'valid', 'test']. "
        "Got 'dev' instead.",
    ),
    "missing of one": (
        lambda: load_mnist_pixels((IMAGES, LABELS), missing=1.0),
        ValueError,
        "The 'missing' parameter of load_mnist_pixels must be a number in the range [0, 1). Got "
        "1.0 instead.",
    ),
    "missing below zero": (
        lambda: load_digits_halves(missing=-0.1),
        ValueError,
        "The 'missing' parameter of load_digits_halves must be a number in the range [0, 1). Got ",
    ),
    "missing NaN": (
        lambda: load_digits_pixels(missing=float("nan")),
        ValueError,
        "The 'missing' parameter of load_digits_pixels must be a number in the range [0, 1). Got ",
    ),
    "missing entries": (
        lambda: make_linear_gaussian(missing="half"),
        ValueError,
        "The 'missing' parameter of make_linear_gaussian must be a number in the range [0, 1). ",
    ),
    "digits": (
        lambda: load_mnist_halves((IMAGES, LABELS), digits=[2, 9]),
        ValueError,
        "The 'digits' parameter of load_mnist_halves must name labels of the images, which are "
        "[0, 1, 2]. Got [2, 9] instead.",
    ),
    "nothing left": (
        lambda: load_mnist_halves((IMAGES[:1], LABELS[:1]), subset="valid"),
        ValueError,
        "The subset 'valid' of 1 images is empty.",
    ),
    "shape": (
        lambda: load_mnist_halves((IMAGES[:, :20], LABELS)),
        ValueError,
        "The images of MNIST must be of shape (n, 28, 28) or (n, 784); got (12, 20, 28).",
    ),
    "labels": (
        lambda: load_mnist_halves((IMAGES, LABELS[:5])),
        ValueError,
        "There must be one label for each of the 12 images; got labels of shape (5,).",
    ),
    "scaled": (
        lambda: load_mnist_halves((IMAGES / 255, LABELS)),
        ValueError,
        "The images of MNIST must have values from 0 to 255; got 0.78431",
    ),
    "no source": (
        lambda: load_mnist_halves(3),
        TypeError,
        "MNIST is read from a file .npz, from a folder with IDX files, or from a pair of (images, "
        "labels). Got int instead.",
    ),
    "no file": (
        lambda: load_mnist_halves("nowhere/mnist.npz"),
        FileNotFoundError,
        "There is no file or folder 'nowhere/mnist.npz'. MNIST is not downloaded: get it first",
    ),
    "samples": (
        lambda: make_linear_gaussian(0),
        ValueError,
        "The 'n_samples' parameter of make_linear_gaussian must be positive integers. Got 0",
    ),
    "features": (
        lambda: make_linear_gaussian(n_features=(3, 0)),
        ValueError,
        "The 'n_features' parameter of make_linear_gaussian must be positive integers. Got (3, 0)",
    ),
    "latent": (
        lambda: make_linear_gaussian(latent_dim=1.5),
        ValueError,
        "The 'latent_dim' parameter of make_linear_gaussian must be positive integers. Got 1.5",
    ),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_mistakes(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error) as info:
        call()
    assert str(info.value).startswith(message)


def test_files_that_are_not_of_mnist(arrays, tmp_path):
    np.savez(tmp_path / "half.npz", x_train=IMAGES, y_train=LABELS)
    with pytest.raises(
        ValueError, match=r"lacks the arrays \['x_test', 'y_test'\]; it has \['x_tr"
    ):
        load_mnist_halves(tmp_path / "half.npz", subset="test")
    (tmp_path / "mnist.csv").write_text("1,2")
    with pytest.raises(
        ValueError, match=r"mnist.csv' is not a file .npz, which would hold \['x_t"
    ):
        load_mnist_halves(tmp_path / "mnist.csv")
    with pytest.raises(FileNotFoundError, match="no file 'train-images-idx3-ubyte', nor one with"):
        load_mnist_halves(tmp_path)
    folder = as_idx(arrays, tmp_path)
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-3])
    with pytest.raises(ValueError, match="cut off: its head promises 60 bytes, and 57 follow"):
        load_mnist_halves(folder)
    for content in (b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\1", b"\0\0\x08\x03\0\0\0\1"):
        labels.write_bytes(content)
        with pytest.raises(ValueError, match="labels-idx1-ubyte' is not an IDX file of unsigned"):
            load_mnist_halves(folder)


# the world, by brute force: the joint Gaussian of (z, x), conditioned by its blocks
def joint(world):
    n_latent = world.loadings.shape[1]
    root = np.vstack([np.eye(n_latent), world.loadings])
    noise = np.concatenate([np.zeros(n_latent), world.variances])
    return np.concatenate([np.zeros(n_latent), world.offset]), root @ root.T + np.diag(noise)


@pytest.fixture(scope="module")
def made():
    made = make_linear_gaussian(40, (4, 2, 3), 2, missing=0.3, random_state=0)
    x = made.data.to_numpy()
    x[0], x[1] = np.nan, made.complete.to_numpy()[1]  # nothing, and everything
    x[2, :4] = np.nan
    return made, x


def test_exact_answers_agree_with_the_joint_gaussian(made):
    made, x = made
    mean, covariance = joint(made.world)
    likelihood = made.world.log_likelihood(x)
    means, covariances = made.world.posterior(x)
    filled = made.world.conditional_mean(x)
    for n, row in enumerate(x):
        seen = 2 + np.flatnonzero(~np.isnan(row))
        expected, spread = mean, covariance
        if len(seen):
            block = covariance[np.ix_(seen, seen)]
            gap = row[seen - 2] - mean[seen]
            expected = mean + covariance[:, seen] @ np.linalg.solve(block, gap)
            spread = covariance - covariance[:, seen] @ np.linalg.solve(block, covariance[seen])
            density = multivariate_normal(mean[seen], block).logpdf(row[seen - 2])
            np.testing.assert_allclose(likelihood[n], density, rtol=1e-10)
        np.testing.assert_allclose(means[n], expected[:2], atol=1e-10)
        np.testing.assert_allclose(covariances[n], spread[:2, :2], atol=1e-10)
        np.testing.assert_allclose(
            filled[n], np.where(np.isnan(row), expected[2:], row), atol=1e-9
        )
    assert likelihood[0] == 0
    np.testing.assert_array_equal(means[0], 0)
    np.testing.assert_array_equal(filled[1], x[1])


def test_the_world_reads_what_an_estimator_reads(made):
    made, x = made
    world, tables = made.world, np.split(x, [4, 6], axis=1)
    named = dict(zip(world.names, tables, strict=True))
    expected, filled = world.log_likelihood(x), world.conditional_mean(x)
    before = x.copy()
    frames = {name: pd.DataFrame(table) for name, table in named.items()}
    for X in (tables, tuple(tables), named, Modalities(named), frames, pd.DataFrame(x)):
        np.testing.assert_array_equal(world.log_likelihood(X), expected)
        new = world.conditional_mean(X)
        assert type(new) is type(X)
        if isinstance(X, Modalities):
            new = new.to_numpy()
        elif not isinstance(X, pd.DataFrame):
            new = np.hstack(list(new.values() if isinstance(new, dict) else new))
        np.testing.assert_array_equal(new, filled)
    turned = {name: named[name] for name in reversed(world.names)}
    np.testing.assert_array_equal(world.log_likelihood(turned), expected)
    hidden = [np.full_like(tables[0], np.nan), *tables[1:]]
    np.testing.assert_array_equal(
        world.posterior([None, *tables[1:]])[0], world.posterior(hidden)[0]
    )
    assert world.conditional_mean([None, *tables[1:]])[0].shape == (40, 4)
    np.testing.assert_array_equal(x, before)


def test_data_that_are_not_of_the_world_are_refused(made):
    made, x = made
    for X, message in (
        (x[:, :5], "X has 5 features, but this world has 9, in modalities of [4, 2, 3]."),
        ([x[:, :4], x[:, 4:]], "X has 2 modalities, but this world has 3."),
        (
            {"a": x[:, :4], "modality_1": x[:, 4:6], "modality_2": x[:, 6:]},
            "X has the modalities ['a', 'modality_1', 'modality_2'], but this world has "
            "['modality_0', 'modality_1', 'modality_2'].",
        ),
        (
            [x[:, :3], x[:, 4:6], x[:, 6:]],
            "Modality 'modality_0' has 3 features, but n_features says 4.",
        ),
    ):
        with pytest.raises(ValueError) as info:  # noqa: PT011
            made.world.posterior(X)
        assert str(info.value) == message


def test_what_is_drawn_follows_the_world():
    made = make_linear_gaussian(20_000, (2, 3), 2, random_state=3)
    world, x = made.world, made.complete.to_numpy()
    covariance = world.loadings @ world.loadings.T + np.diag(world.variances)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.15)
    np.testing.assert_allclose(x.mean(axis=0), world.offset, atol=0.1)
    rest = x - made.target @ world.loadings.T - world.offset
    np.testing.assert_allclose(rest.var(axis=0), world.variances, rtol=0.05)
    np.testing.assert_array_equal(made.data.to_numpy(), x)


def test_holes_of_the_world_are_of_exact_number():
    made = make_linear_gaussian(50, (3, 2), missing=0.3, random_state=0)
    np.testing.assert_array_equal(np.isnan(made.data.to_numpy()).sum(axis=0), 15)
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(
        again.world.log_likelihood(again.data), made.world.log_likelihood(made.data)
    )
    assert make_linear_gaussian(5, 3).data.names == ["modality_0"]
    assert isinstance(made.world, LinearGaussianWorld)
