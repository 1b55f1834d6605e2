"""Cross-validation that deals the patterns of missing modalities out evenly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseCrossValidator, StratifiedKFold
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import type_of_target

from .data.modalities import Modalities
from .data.validation import is_multimodal
from .datasets.missingness import generator, named_tables

__all__ = ["MissingnessSplit"]


class MissingnessSplit(BaseCrossValidator):
    """K folds, each with nearly the same share of each pattern of observed modalities.

    A modality is observed in a row if any of its entries is. With plain folds a rare pattern may
    be absent from training or from testing, and scores of folds differ for that reason alone.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=True
        Deal the rows of a stratum out at random; else in blocks, in the order of the rows.
    stratify_y : bool, default=False
        Make strata of pattern and class of y together.
    random_state : int, RandomState or None, default=None
        An int repeats the folds. None draws fresh ones; the global state of numpy is neither
        read nor moved. Leave it None if ``shuffle`` is False.

    See Also
    --------
    sklearn.model_selection.StratifiedKFold : Folds that are even in the classes of y.

    Notes
    -----
    The folds partition the rows, and their sizes differ by at most 1. The number of rows of a
    stratum differs by at most 1 between folds. A pattern is a stratum if at least ``n_splits``
    rows have it; all rarer patterns are one stratum together. With ``stratify_y``, these are
    cut by class, and pieces of fewer than ``n_splits`` rows are one stratum together.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import Modalities
    >>> from skpoe.model_selection import MissingnessSplit
    >>> rna, adt = np.ones((9, 3)), np.ones((9, 2))
    >>> adt[:3] = np.nan
    >>> X = Modalities({"rna": rna, "adt": adt})
    >>> for train, test in MissingnessSplit(3, random_state=0).split(X):
    ...     print(len(train), len(test), int(np.isnan(X[test]["adt"]).all(axis=1).sum()))
    6 3 1
    6 3 1
    6 3 1
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = True,
        stratify_y: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        # its messages about these three are clear
        StratifiedKFold(n_splits, shuffle=shuffle, random_state=random_state)
        if not isinstance(stratify_y, (bool, np.bool_)):
            raise TypeError(f"stratify_y must be True or False; got {stratify_y!r}.")
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.stratify_y = stratify_y
        self.random_state = random_state

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Generate the rows to train and to test on.

        Parameters
        ----------
        X : Modalities; list, tuple or dict of tables; array or DataFrame
            Patterns are over the modalities, or over the columns of one table. The samples of a
            list of modalities are the rows of its tables.
        y : array-like of shape (n_samples,), default=None
            Classes, used if ``stratify_y`` is True.
        groups : array-like of shape (n_samples,), default=None
            Not supported; other than None warns.

        Yields
        ------
        train : int ndarray of shape (n_train,)
        test : int ndarray of shape (n_test,)

        Raises
        ------
        ValueError
            If there are fewer rows than folds, or ``stratify_y`` is True and y is not discrete.
        TypeError
            If X is one table that is sparse, or neither an array nor a DataFrame.
        """
        if groups is not None:
            warnings.warn(
                "The groups parameter is ignored by MissingnessSplit", UserWarning, stacklevel=2
            )
        yield from self._folds(X, y)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        n_splits : int
        """
        return self.n_splits

    def _folds(self, X: Any, y: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        strata = _pool(_patterns(X), self.n_splits)
        if self.stratify_y:
            strata = _pool(strata * len(strata) + _classes(y, len(strata)), self.n_splits)
        if len(strata) < self.n_splits:
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number "
                f"of samples: {len(strata)}."
            )
        seed = self.random_state
        if self.shuffle and seed is None:  # StratifiedKFold would use the global state
            seed = int(generator(None).integers(2**32))
        folds = StratifiedKFold(self.n_splits, shuffle=self.shuffle, random_state=seed)
        with warnings.catch_warnings():  # of few rows in a stratum, which is what pooling leaves
            warnings.simplefilter("ignore", UserWarning)
            return list(folds.split(strata, strata))


def _patterns(X: Any) -> np.ndarray:
    """Return a number of what each row shows, shape (n_samples,)."""
    if is_multimodal(X):
        # a modality that is None is missing in all rows, which tells no two of them apart
        shown = (X if isinstance(X, Modalities) else Modalities(X)).observed
    else:
        shown = ~np.asarray(pd.isna(Modalities(named_tables(X))["X"]))
    bits = np.packbits(shown, axis=1)
    return np.unique(bits, axis=0, return_inverse=True)[1].reshape(-1)


def _classes(y: Any, n_samples: int) -> np.ndarray:
    """Return a number of the class of each row, shape (n_samples,)."""
    kind = "None" if y is None else type_of_target(y)
    if kind not in ("binary", "multiclass"):
        raise ValueError(
            f"stratify_y=True needs a y of classes, 'binary' or 'multiclass'. Got {kind!r} "
            "instead."
        )
    y = column_or_1d(y)
    check_consistent_length(np.empty(n_samples), y)
    return np.unique(y, return_inverse=True)[1]


def _pool(strata: np.ndarray, n_splits: int) -> np.ndarray:
    """Count strata from 1; those of fewer than n_splits rows together are 0."""
    _, strata, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(sizes[strata] < n_splits, 0, strata + 1)
