"""Simulated missingness as steps of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from ..data.validation import is_multimodal
from .missingness import drop_entries, drop_modalities, named_tables

__all__ = ["DropEntries", "DropModalities"]


class _Drop(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """A transformer without state that applies a function with its own parameters."""

    def fit(self, X: Any, y: Any = None) -> _Drop:
        """Check X; there is nothing to learn.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
        y : any, default=None
            Ignored.

        Returns
        -------
        self : object
        """
        self._checked(X, reset=True)
        return self

    def transform(self, X: Any) -> Any:
        """Copy X and drop from it.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame

        Returns
        -------
        X_new : same form as X
        """
        return self._drop(self._checked(X, reset=False), **self.get_params(deep=False))

    def _checked(self, X: Any, *, reset: bool) -> Any:
        """Hold one table against that of fit, if there was one; several are checked in use."""
        if is_multimodal(X):
            return X
        if isinstance(X, np.ma.MaskedArray):
            named_tables(X)  # refuses it, and says what to do
        seen = reset or hasattr(self, "n_features_in_")
        how = {"dtype": None, "ensure_all_finite": "allow-nan"}
        table = validate_data(self, X, reset=reset, **how) if seen else check_array(X, **how)
        if table.dtype.kind == "O":  # numbers and None
            table = check_array(table, dtype="numeric", ensure_all_finite="allow-nan")
        return X if isinstance(X, pd.DataFrame) else table

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.requires_fit = False
        tags.non_deterministic = True  # which entries are dropped depends on their neighbours
        return tags


class DropModalities(_Drop):
    """Make whole modalities of some rows NaN, as a step of a pipeline.

    It does so whenever the pipeline transforms, in ``predict`` and ``score`` too. To hide
    something in training only, call `drop_modalities` before ``fit``.

    Parameters
    ----------
    rate : float or dict of str to float, default=0.1
        Share of the rows, in [0, 1), for all chosen modalities or for each.
    modalities : str or sequence of str, default=None
        Which may be dropped; None means those that a dict ``rate`` names, else all.
    mechanism : {"mcar", "mar", "mnar"}, default="mcar"
        What the dropping depends on, as in `drop_modalities`.
    keep_one : bool, default=True
        Leave each row that shows something at least one modality.
    random_state : int, RandomState or None, default=None
        An int gives the same result at each call.

    See Also
    --------
    drop_modalities : The function, where the parameters are explained.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from skpoe import MVAE
    >>> from skpoe.datasets import DropModalities
    >>> X = [np.eye(10), np.eye(10)]
    >>> drop = DropModalities(rate=0.3, random_state=0)
    >>> int(np.isnan(drop.fit_transform(X)[1]).all(axis=1).sum())
    3
    >>> make_pipeline(drop, MVAE(latent_dim=2, max_iter=2)).fit(X).transform(X).shape
    (10, 2)
    """

    _drop = staticmethod(drop_modalities)

    def __init__(
        self,
        *,
        rate: float | Mapping[str, float] = 0.1,
        modalities: str | Sequence[str] | None = None,
        mechanism: str = "mcar",
        keep_one: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.rate = rate
        self.modalities = modalities
        self.mechanism = mechanism
        self.keep_one = keep_one
        self.random_state = random_state


class DropEntries(_Drop):
    """Make single entries NaN, an exact share of each column, as a step of a pipeline.

    It does so whenever the pipeline transforms, in ``predict`` and ``score`` too. To hide
    something in training only, call `drop_entries` before ``fit``.

    Parameters
    ----------
    rate : float, default=0.1
        Share of the entries of a column, in [0, 1).
    mechanism : {"mcar", "mar", "mnar"}, default="mcar"
        What the dropping depends on, as in `drop_entries`.
    random_state : int, RandomState or None, default=None
        An int gives the same result at each call.

    See Also
    --------
    drop_entries : The function, where the parameters are explained.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import DropEntries
    >>> drop = DropEntries(rate=0.5, random_state=0)
    >>> np.isnan(drop.fit_transform(np.ones((4, 2)))).sum(axis=0)
    array([2, 2])
    """

    _drop = staticmethod(drop_entries)

    def __init__(
        self,
        *,
        rate: float = 0.1,
        mechanism: str = "mcar",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.rate = rate
        self.mechanism = mechanism
        self.random_state = random_state
