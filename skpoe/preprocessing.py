"""Transformers of scikit-learn, applied to each modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import check_consistent_length
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ._compat import _clone_parametrized
from .data import tables
from .data.layout import Layout, kind_of
from .data.modalities import Modalities, index_of
from .data.refusals import refuse_what_folds_make
from .data.validation import by_name, check_columns, is_multimodal


def _can_invert(est: PerModality) -> bool:  # for available_if, hence above the class
    children = getattr(est, "transformers_", {**_named(est), "default": est.default})
    return all(isinstance(c, str) or hasattr(c, "inverse_transform") for c in children.values())


class PerModality(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Apply scikit-learn transformers to each modality.

    Each modality gets a clone of its own, fitted on the rows in which the modality is observed;
    the other rows stay NaN. Rows that are observed in part are handed on with their NaN: where a
    transformer refuses NaN, put an imputer before it, in a pipeline.

    Parameters
    ----------
    transformer : transformer, "passthrough", or mapping of str to these
        One for all modalities, or one for each that is named. Nested parameters are called
        ``with_mean`` or ``transformer__with_mean`` in the first case, ``rna__with_mean`` in the
        second.
    default : transformer or "passthrough", default="passthrough"
        For the modalities that the mapping does not name.

    Attributes
    ----------
    transformers_ : dict of str to transformer or "passthrough"
        The fitted transformer of each modality.
    modality_names_ : list of str
        Names of the modalities; "modality_0", "modality_1", ... for a list.
    n_features_in_ : int
        Number of features of all modalities together.

    Notes
    -----
    Tables come back as the transformers give them: arrays, or DataFrames with the index of X after
    ``set_output(transform="pandas")``. Sparse results become dense if any row is missing, because
    such rows are NaN. What passes through is handed on as it is, not copied. Transformers see the
    rows of images flattened; ``inverse_transform`` gives images back.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skpoe import PerModality
    >>> rna = np.array([[1.0, 10.0], [3.0, 30.0], [np.nan, np.nan]])
    >>> adt = np.array([[0.0], [1.0], [1.0]])
    >>> scaler = PerModality({"rna": StandardScaler()}).fit({"rna": rna, "adt": adt})
    >>> scaler.transform({"rna": rna, "adt": None})
    {'rna': array([[-1., -1.], [ 1.,  1.], [nan, nan]]), 'adt': None}
    """

    _is_clone = False
    _output: str | None = None

    def __init__(self, transformer: Any, *, default: Any = "passthrough") -> None:
        self.transformer = transformer
        self.default = default

    def fit(self, X: Any, y: Any = None) -> PerModality:
        """Fit a clone of its transformer to each modality.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities
            Arrays, DataFrames or sparse matrices of shape (n_samples, n_features), NaN where
            missing. None, with its width in Modalities, only for what passes through.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Handed to the transformers, with the rows that they get.

        Returns
        -------
        self : PerModality

        Raises
        ------
        ValueError
            If X is one table, lacks a modality that is named, or shows nothing of one that is to
            be transformed; if a transformer refuses its rows.
        TypeError
            If something that should transform is no transformer.
        """
        self.fit_transform(X, y)  # how wide a result is, is known only once there is one
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Fit to X and transform it, by the ``fit_transform`` of the transformers.

        Parameters and errors are those of ``fit``, the result is that of ``transform``.
        """
        _refuse_one_table(X)
        if isinstance(X, (list, tuple)):
            refuse_what_folds_make(self, X)
        data = X if isinstance(X, Modalities) else Modalities(X)
        if y is not None:
            check_consistent_length(data, y)
            y = y if hasattr(y, "iloc") else np.asarray(y)
        fitted, results = _choose(self, data), {}
        for name, transformer in fitted.items():
            if isinstance(transformer, str):
                continue
            fitted[name] = child = clone(transformer)
            if self._output is not None:
                child.set_output(transform=self._output)
            fit = getattr(child, "fit_transform", lambda *a, c=child: c.fit(*a).transform(a[0]))
            results[name] = _run(name, child, fit, data[name], y)
            if results[name] is None:
                raise ValueError(
                    f"Modality '{name}' shows nothing: every row is missing, so "
                    f"{type(child).__name__} cannot be fitted. Leave the modality out, or let it "
                    "pass: 'passthrough'."
                )
        # set only now, so that a fit that fails changes nothing
        self.transformers_ = fitted
        self.modality_names_ = data.names
        self.n_features_in_ = data.shape[1]
        self._before, self._after = _layout(data, {}), _layout(data, results)
        return _wrap(X, data, results, self._after)

    def transform(self, X: Any) -> Any:
        """Transform the observed rows of each modality; the others are NaN.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities
            As in ``fit``; names decide, a list is read by position. A whole modality may be None.

        Returns
        -------
        X_new : same type as X
            In the order of ``fit``. None stays None; ``Modalities`` know its width all the same.

        Raises
        ------
        ValueError
            If number, names, widths or columns are not those of ``fit``, or a transformer refuses
            its rows.
        """
        check_is_fitted(self)
        return _convert(self, X, "transform", self._before, self._after)

    @available_if(_can_invert)
    def inverse_transform(self, X: Any) -> Any:
        """Undo ``transform`` in the observed rows of each modality, if all transformers can.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities
            As ``transform`` returns it, for example filled by ``predict_missing``.

        Returns
        -------
        X_original : same type as X
            DataFrames get the columns of ``fit`` back; rows that are not observed are NaN.
        """
        check_is_fitted(self)
        return _convert(self, X, "inverse_transform", self._after, self._before)

    def set_output(self, *, transform: str | None = None) -> PerModality:
        """Choose the output of the transformers there are, and of those of a later fit.

        Parameters
        ----------
        transform : {"default", "pandas"}, default=None
            Arrays, or DataFrames. None changes nothing.

        Returns
        -------
        self : PerModality
        """
        if transform not in (None, "default", "pandas"):
            raise ValueError(f"transform must be 'default', 'pandas' or None; got {transform!r}.")
        if transform is not None:
            self._output = transform
            for child in getattr(self, "transformers_", {}).values():
                if not isinstance(child, str):
                    child.set_output(transform=transform)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: D102
        params = super().get_params(deep=deep)
        for name, child in _named(self).items() if deep else ():
            if child is self.transformer:  # one for all: its parameters need no name before them
                params = {**_params(child), **params}
            else:
                nested = {f"{name}__{key}": value for key, value in _params(child).items()}
                params = {name: child, **nested, **params}
        return params

    def set_params(self, **params: Any) -> PerModality:  # noqa: D102
        # first: it decides which other names there are
        given = self.transformer = params.pop("transformer", self.transformer)
        own = self.get_params(deep=False)
        if isinstance(given, Mapping):
            new = {name: params.pop(name) for name in given if name in params and name not in own}
            self.transformer = {**given, **new} if new else given
        else:
            short = _params(given).keys() - own.keys()
            long = {key: f"transformer__{key}" for key in params if key.split("__")[0] in short}
            params = {long.get(key, key): value for key, value in params.items()}
        return super().set_params(**params)

    def __sklearn_clone__(self) -> PerModality:
        twin = _clone_parametrized(self)
        twin._is_clone, twin._output = True, self._output  # a clone refuses lists of modalities
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _named(est: PerModality) -> Mapping[str, Any]:
    single = not isinstance(est.transformer, Mapping)
    return {"transformer": est.transformer} if single else est.transformer


def _params(child: Any) -> dict[str, Any]:
    has = hasattr(child, "get_params") and not isinstance(child, type)
    return child.get_params(deep=True) if has else {}


def _refuse_one_table(X: Any) -> None:
    if not is_multimodal(X):
        raise ValueError(
            "X is one table; PerModality takes a list, tuple or dict of tables, or "
            "skpoe.Modalities. For one table, use the transformer itself."
        )


def _choose(est: PerModality, data: Modalities) -> dict[str, Any]:
    """Check the parameters, and find the transformer of each modality."""
    chosen = dict.fromkeys(data.names, est.transformer)
    if isinstance(est.transformer, Mapping):
        if unknown := [name for name in est.transformer if name not in chosen]:
            raise ValueError(
                f"PerModality has transformers for {unknown}, but X has {len(chosen)} modalities "
                f"{data.names}. Name modalities that X has; default= serves the others."
            )
        chosen = {name: est.transformer.get(name, est.default) for name in chosen}
    for name, child in chosen.items():
        passes = isinstance(child, str) and child == "passthrough"
        if isinstance(child, type) or not (passes or hasattr(child, "transform")):
            raise TypeError(
                f"The transformer of modality '{name}' must be a transformer, not its class, or "
                f"'passthrough'; got {child!r}."
            )
        if passes and data.n_features[name] is None:
            raise ValueError(
                f"Modality '{name}' is None, so its number of features is unknown. Pass "
                f"skpoe.Modalities(X, n_features={{'{name}': ...}}), or NaN of its shape."
            )
    return chosen


def _convert(est: PerModality, X: Any, method: str, known: Layout, new: Layout) -> Any:
    """Apply a method of the fitted transformers; ``known`` is what X must look like."""
    _refuse_one_table(X)
    data = by_name(est, X, known)
    check_columns(est, data.columns, known)
    results = {}
    for m, name in enumerate(data.names):
        child, labels, size = est.transformers_[name], new.columns[m], data._sizes[name]
        if size not in (None, known.sizes[m]):
            raise ValueError(
                f"Modality '{name}' has {tables.describe(size)} features, but PerModality is "
                f"expecting {tables.describe(known.sizes[m])} features as input."
            )
        table = None if isinstance(child, str) else data[name]
        if table is None:
            continue
        result = _run(name, child, getattr(child, method), table)
        # what has no names by itself: no row, and most results of inverse_transform
        unnamed = result is None if method == "transform" else tables.is_frame(table)
        if result is None:
            result = np.full((table.shape[0], new.widths[m]), np.nan, _with_nan(table))
        if labels is not None and unnamed:
            result = pd.DataFrame(result, getattr(table, "index", None)).set_axis(labels, axis=1)
        shape = new.event_shapes[m]
        results[name] = result if shape is None else np.asarray(result).reshape(-1, *shape)
    return _wrap(X, data, results, new)


def _run(name: str, child: Any, method: Callable, table: Any, y: Any = None) -> Any:
    """Apply a method to the rows that show anything, if any, and put the result where they are."""
    if table is not None and not tables.is_sparse(table):
        table = tables.flatten(tables.to_array(table))
    observed = np.zeros(0, bool) if table is None else tables.missing(table) < table.shape[1]
    if not observed.any():  # transformers refuse to see no row at all
        return None
    # a mask copies, so the caller's data are safe from transformers with copy=False
    rows = (table.tocsr() if tables.is_sparse(table) else table)[observed]
    try:
        result = method(rows) if y is None else method(rows, y[observed])
        if len(result.shape) != 2 or result.shape[0] != rows.shape[0]:
            raise ValueError(f"the result for {rows.shape[0]} rows has the shape {result.shape}.")
    except (ValueError, TypeError) as error:
        kind, who = TypeError if isinstance(error, TypeError) else ValueError, type(child).__name__
        hint = (
            f"{who} refuses rows that are observed in part. Put an imputer before it, for example "
            f"make_pipeline(SimpleImputer(), {who}(...)). "
        )
        is_nan = "NaN" in str(error) and tables.missing(rows).any()
        raise kind(f"Modality '{name}': {hint if is_nan else ''}{error}") from error
    if isinstance(result, pd.DataFrame):
        n_samples = len(observed)
        if not observed.all():
            result = result.set_axis(np.flatnonzero(observed)).reindex(np.arange(n_samples))
        return result.set_axis(getattr(table, "index", pd.RangeIndex(n_samples)))
    if observed.all():
        return result
    full = np.full((len(observed), result.shape[1]), np.nan, _with_nan(result))
    full[observed] = result.toarray() if tables.is_sparse(result) else result
    return full


def _with_nan(table: Any) -> np.dtype:
    return tables.with_nan(getattr(table, "dtype", np.dtype(float)))


def _layout(data: Modalities, changed: Mapping[str, Any]) -> Layout:
    """Describe data once some tables have changed."""
    labels, widths, shapes = data.columns, data.n_features, data.event_shapes
    for name, table in changed.items():
        labels[name] = table.columns if tables.is_frame(table) else None
        widths[name], shapes[name] = table.shape[1], None
    columns, events = tuple(labels.values()), tuple(shapes.values())
    return Layout(Modalities, tuple(widths), tuple(widths.values()), columns, event_shapes=events)


def _wrap(X: Any, data: Modalities, changed: Mapping[str, Any], layout: Layout) -> Any:
    """Put changed tables in their place, in the form of X; the others are handed on unread."""
    index = index_of(data)
    if index is not None:  # a DataFrame made of an array belongs to the rows of those beside it
        was_frame = {name for name, labels in data.columns.items() if labels is not None}
        changed = {
            name: table.set_axis(index)
            if tables.is_frame(table) and name not in was_frame
            else table
            for name, table in changed.items()
        }
    data = data._rebased(changed)
    data._sizes = dict(zip(layout.names, layout.sizes, strict=True))
    kind = kind_of(X)
    if kind is Modalities:
        return data
    return dict(data.items()) if kind is dict else kind(table for _, table in data.items())
