"""scikit-learn's small digits, as halves and as pixels: the tasks of MNIST without a file."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from . import holes
from .holes import Digits
from .missingness import generator

_ABOUT = (
    "The handwritten digits of sklearn.datasets.load_digits, 8 x 8 pixels with values 0 to 16. "
    "https://archive.ics.uci.edu/dataset/80"
)


def load_digits_halves(
    *,
    missing: float = 0.5,
    digits: Digits = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Load scikit-learn's digits as two modalities, the upper and the lower half of images.

    Parameters
    ----------
    missing : float, default=0.5
        Share of the rows, in [0, 1), whose lower half is missing.
    digits : int or sequence of int, default=None
        Keep images of these digits only; None keeps all.
    random_state : int, RandomState or None, default=None
        Chooses the rows that lose their lower half.

    Returns
    -------
    bunch : Bunch
        ``data``, Modalities of "upper" and "lower", float64 (n, 32), values 0 to 16, with exactly
        ``round(missing * n)`` rows of "lower" NaN; ``complete``, the same without holes;
        ``target``, the digits (n,); ``DESCR``, a description.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from skpoe.datasets import load_digits_halves
    >>> load_digits_halves(missing=0.25, digits=[0, 1], random_state=0).data
    Modalities(360 samples, upper: 32 float64, lower: 32 float64 (25.0% missing))
    """
    images, labels = _load("load_digits_halves", missing, digits)
    return holes.halves(images, labels, missing, generator(random_state), _ABOUT)


def load_digits_pixels(
    *,
    missing: float = 0.5,
    digits: Digits = None,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch:
    """Load scikit-learn's digits as one table, the same number of pixels missing in each image.

    Parameters
    ----------
    missing : float, default=0.5
        Share of the pixels of each image, in [0, 1), that is missing.
    digits : int or sequence of int, default=None
        Keep images of these digits only; None keeps all.
    random_state : int, RandomState or None, default=None
        Chooses the pixels.

    Returns
    -------
    bunch : Bunch
        ``data``, float64 (n, 64), values 0 to 16, with exactly ``round(missing * 64)`` NaN a row;
        ``complete``, the same without holes; ``target``, the digits (n,); ``DESCR``, a
        description.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import load_digits_pixels
    >>> digits = load_digits_pixels(missing=0.25, random_state=0)
    >>> digits.data.shape, np.unique(np.isnan(digits.data).sum(axis=1))
    ((1797, 64), array([16]))
    """
    images, labels = _load("load_digits_pixels", missing, digits)
    return holes.pixels(images, labels, missing, generator(random_state), _ABOUT)


def _load(function: str, missing: float, digits: Digits) -> tuple[np.ndarray, np.ndarray]:
    holes.check_missing(function, missing)
    return holes.keep_digits(function, *load_digits(return_X_y=True), digits)
