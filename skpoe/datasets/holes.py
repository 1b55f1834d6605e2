"""Images with holes: lower halves or single pixels are missing, in exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ..data.modalities import Modalities

Digits = int | Sequence[int] | None


def check_missing(function: str, missing: Any) -> None:
    """Refuse what is no share."""
    if isinstance(missing, bool) or not isinstance(missing, Real) or not 0 <= missing < 1:
        raise ValueError(
            f"The 'missing' parameter of {function} must be a number in the range [0, 1). "
            f"Got {missing!r} instead."
        )


def keep_digits(
    function: str, images: np.ndarray, labels: np.ndarray, digits: Digits
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the images of some digits, in their order; all if ``digits`` is None."""
    if digits is None:
        return images, labels
    wanted = [digits] if isinstance(digits, Integral) else list(digits)
    there = np.unique(labels).tolist()
    if not wanted or any(digit not in there for digit in wanted):
        raise ValueError(
            f"The 'digits' parameter of {function} must name labels of the images, which are "
            f"{there}. Got {digits!r} instead."
        )
    kept = np.isin(labels, wanted)
    return images[kept], labels[kept]


def halves(
    images: np.ndarray, labels: np.ndarray, missing: float, rng: np.random.Generator, about: str
) -> Bunch:
    """Cut flat images (N, F) into halves; hide the lower one in a share of the rows."""
    half = images.shape[1] // 2
    upper, lower = images[:, :half], images[:, half:]
    shown = lower.copy()
    n_missing = round(missing * len(images))
    shown[rng.permutation(len(images))[:n_missing]] = np.nan
    return Bunch(
        data=Modalities({"upper": upper, "lower": shown}),
        complete=Modalities({"upper": upper, "lower": lower}),
        target=labels,
        DESCR=f"{about}\n\n{len(images)} images, cut into halves: 'upper' and 'lower', {half} "
        f"pixels each. 'lower' is missing in {n_missing} rows, chosen at random.",
    )


def pixels(
    images: np.ndarray, labels: np.ndarray, missing: float, rng: np.random.Generator, about: str
) -> Bunch:
    """Hide the same number of pixels in each of the flat images (N, F)."""
    n_pixels = images.shape[1]
    n_missing = round(missing * n_pixels)
    hidden = np.zeros(images.shape, dtype=bool)
    hidden[:, :n_missing] = True
    rng.permuted(hidden, axis=1, out=hidden)
    return Bunch(
        data=np.where(hidden, np.array(np.nan, dtype=images.dtype), images),
        complete=images,
        target=labels,
        DESCR=f"{about}\n\n{len(images)} images of {n_pixels} pixels, {n_missing} of which are "
        "missing in each image, chosen at random.",
    )
