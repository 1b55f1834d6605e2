"""MNIST, from files or arrays that the user has: halves and pixels, as in the original study."""

from __future__ import annotations

import gzip
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from . import holes
from .holes import Digits
from .missingness import generator

_SUBSETS = ["train", "valid", "test"]
_ABOUT = (
    "MNIST ({subset}), handwritten digits of 28 x 28 pixels, binarised: 1 above 127, else 0. "
    "http://yann.lecun.com/exdb/mnist"
)


def load_mnist_halves(
    source: Any,
    *,
    subset: str = "train",
    missing: float = 0.5,
    digits: Digits = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Load MNIST as two modalities, the upper and the lower half of binarised images.

    Parameters
    ----------
    source : path, or pair of (images, labels)
        A file .npz with x_train, y_train, x_test and y_test; a folder with the IDX files of MNIST
        (``train-images-idx3-ubyte``, ...), compressed or not; or images of shape (n, 28, 28) or
        (n, 784), with values 0 to 255, and labels (n,), as arrays or as IDX files. A pair is taken
        for the training part, or for the test part if ``subset`` is "test". Nothing is downloaded.
    subset : {"train", "valid", "test"}, default="train"
        "valid" is the last sixth of the training part, "train" the rest of it.
    missing : float, default=0.5
        Share of the rows, in [0, 1), whose lower half is missing.
    digits : int or sequence of int, default=None
        Keep images of these digits only, before the training part is cut; None keeps all.
    random_state : int, RandomState or None, default=None
        Chooses the rows that lose their lower half.

    Returns
    -------
    bunch : Bunch
        ``data``, Modalities of "upper" and "lower", float32 (n, 392), with exactly
        ``round(missing * n)`` rows of "lower" NaN; ``complete``, the same without holes;
        ``target``, the digits (n,); ``DESCR``, a description.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or an IDX file is not in the folder.
    ValueError
        If a file is not of MNIST, images and labels do not fit, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import load_mnist_halves
    >>> images = np.random.default_rng(0).integers(256, size=(60, 28, 28))
    >>> mnist = load_mnist_halves((images, np.arange(60) % 10), missing=0.3, random_state=0)
    >>> mnist.data
    Modalities(50 samples, upper: 392 float32, lower: 392 float32 (30.0% missing))
    """
    function = "load_mnist_halves"
    images, labels = _load(function, source, subset, missing, digits)
    return holes.halves(
        images, labels, missing, generator(random_state), _ABOUT.format(subset=subset)
    )


def load_mnist_pixels(
    source: Any,
    *,
    subset: str = "train",
    missing: float = 0.5,
    digits: Digits = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Load MNIST as one table of binarised pixels, the same number missing in each image.

    Parameters
    ----------
    source : path, or pair of (images, labels)
        As in `load_mnist_halves`.
    subset : {"train", "valid", "test"}, default="train"
        "valid" is the last sixth of the training part, "train" the rest of it.
    missing : float, default=0.5
        Share of the pixels of each image, in [0, 1), that is missing.
    digits : int or sequence of int, default=None
        Keep images of these digits only, before the training part is cut; None keeps all.
    random_state : int, RandomState or None, default=None
        Chooses the pixels.

    Returns
    -------
    bunch : Bunch
        ``data``, float32 (n, 784), with exactly ``round(missing * 784)`` NaN a row; ``complete``,
        the same without holes; ``target``, the digits (n,); ``DESCR``, a description.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder, or an IDX file is not in the folder.
    ValueError
        If a file is not of MNIST, images and labels do not fit, or a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import load_mnist_pixels
    >>> images = np.random.default_rng(0).integers(256, size=(60, 28, 28))
    >>> mnist = load_mnist_pixels((images, np.arange(60) % 10), missing=0.25, random_state=0)
    >>> mnist.data.shape, np.unique(np.isnan(mnist.data).sum(axis=1))
    ((50, 784), array([196]))
    """
    function = "load_mnist_pixels"
    images, labels = _load(function, source, subset, missing, digits)
    return holes.pixels(
        images, labels, missing, generator(random_state), _ABOUT.format(subset=subset)
    )


def _load(
    function: str, source: Any, subset: str, missing: float, digits: Digits
) -> tuple[np.ndarray, np.ndarray]:
    """Give binarised images (n, 784), float32, and labels (n,) of a subset."""
    if subset not in _SUBSETS:
        raise ValueError(
            f"The 'subset' parameter of {function} must be one of {_SUBSETS}. "
            f"Got {subset!r} instead."
        )
    holes.check_missing(function, missing)
    images, labels = _check(*_read(source, "test" if subset == "test" else "train"))
    images, labels = holes.keep_digits(function, images, labels, digits)
    cut = round(5 / 6 * len(images))
    part = {"train": slice(cut), "valid": slice(cut, None), "test": slice(None)}[subset]
    if not len(labels[part]):
        raise ValueError(f"The subset {subset!r} of {len(images)} images is empty.")
    return (images[part] > 127).astype(np.float32), labels[part]


def _check(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring images to (n, 784), and refuse what is not of MNIST."""
    if images.ndim < 2 or not len(images) or math.prod(images.shape[1:]) != 784:
        raise ValueError(
            f"The images of MNIST must be of shape (n, 28, 28) or (n, 784); got {images.shape}."
        )
    if labels.shape != (len(images),):
        raise ValueError(
            f"There must be one label for each of the {len(images)} images; got labels of shape "
            f"{labels.shape}."
        )
    least, most = images.min(), images.max()
    if not (least >= 0 and 1 < most <= 255):
        raise ValueError(
            f"The images of MNIST must have values from 0 to 255; got {least} to {most}. Multiply "
            "images that are scaled to [0, 1] by 255."
        )
    return images.reshape(len(images), 784), labels.astype(int)


def _read(source: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images and labels of the training or the test part, as they are stored."""
    if isinstance(source, (tuple, list)) and len(source) == 2:
        images, labels = (
            _read_idx(Path(item)) if isinstance(item, (str, os.PathLike)) else np.asarray(item)
            for item in source
        )
        return images, labels
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "MNIST is read from a file .npz, from a folder with IDX files, or from a pair of "
            f"(images, labels). Got {type(source).__name__} instead."
        )
    path = Path(source)
    if path.is_dir():
        name = "t10k" if part == "test" else "train"
        return _read_idx(_find(path, f"{name}-images")), _read_idx(_find(path, f"{name}-labels"))
    _refuse_absent(path)
    keys = [f"x_{part}", f"y_{part}"]
    if not zipfile.is_zipfile(path):
        raise ValueError(f"'{path}' is not a file .npz, which would hold {keys} as arrays.")
    with np.load(path) as file:
        if absent := [key for key in keys if key not in file]:
            raise ValueError(f"'{path}' lacks the arrays {absent}; it has {list(file)}.")
        return file[keys[0]], file[keys[1]]


def _refuse_absent(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file or folder '{path}'. MNIST is not downloaded: get it first, and "
            "give the path of the file .npz or of the folder with IDX files."
        )


def _find(folder: Path, name: str) -> Path:
    """Find the file of a name such as train-images, with any ending."""
    found = sorted(folder.glob(f"{name}[-.]idx?-ubyte*"))
    if not found:
        kind = "idx3" if name.endswith("images") else "idx1"
        raise FileNotFoundError(
            f"There is no file '{name}-{kind}-ubyte', nor one with .gz, in the folder '{folder}'."
        )
    return found[0]


def _read_idx(path: Path) -> np.ndarray:
    """Read the bytes of an IDX file, in their shape; its first bytes tell if it is compressed."""
    _refuse_absent(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    # two zeros, 8 for unsigned bytes, the number of axes; then their lengths, big-endian
    n_axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * n_axes
    if content[:3] != b"\x00\x00\x08" or not n_axes or len(content) < start:
        raise ValueError(f"'{path}' is not an IDX file of unsigned bytes.")
    shape = tuple(int(length) for length in np.frombuffer(content[4:start], ">u4"))
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"'{path}' is cut off: its head promises {math.prod(shape)} bytes, and "
            f"{len(content) - start} follow."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
