"""The only reader of a user's data: list, dict, Modalities, array or DataFrame to a source."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from . import tables
from .coding import Codings, codings_of, encode
from .items import is_dataset, tables_of
from .layout import Layout, kind_of
from .modalities import Modalities
from .refusals import refuse_columns, refuse_what_folds_make, refuse_what_is_no_table
from .source import CHUNK, Source

_DTYPES = [np.float64, np.float32]


def read(estimator: Any, X: Any, known: Layout | None = None) -> tuple[Source, Layout]:
    """Check X, all of it, and make it readable as float arrays, NaN where missing.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``modalities`` parameter says how one table is cut. Fitting sets ``n_features_in_``,
        and ``feature_names_in_`` where X is one DataFrame.
    X : list, tuple or dict of tables; Modalities; Dataset; array or DataFrame
    known : Layout, default=None
        What fit saw, to compare X with; None in fit itself.

    Returns
    -------
    source : Source
        In float64, or all in float32. It shares memory with X; what is on disk stays there.
    layout : Layout
        Of X in fit, else ``known``.
    """
    if known is None and estimator.modalities is not None and not len(estimator.modalities):
        raise ValueError(
            f"modalities={estimator.modalities} names no modality. Name some, or leave it None."
        )
    if is_dataset(X):
        source, layout = _read_modalities(estimator, tables_of(X), known)
    elif not is_multimodal(X):
        try:
            source, layout = _read_table(estimator, X, known)
        except OverflowError as error:
            raise ValueError(f"X holds a number that is too large: {error}.") from error
    else:
        if known is None and isinstance(X, (list, tuple)):
            refuse_what_folds_make(estimator, X)
        source, layout = _read_modalities(estimator, X, known)
    if known is None:
        _check_observed(source, layout.names)
    return source, layout


def is_multimodal(X: Any) -> bool:
    """Tell several modalities from one table."""
    if isinstance(X, Modalities):
        return True
    if isinstance(X, Mapping):
        return not hasattr(X, "tocsr")  # a sparse dok_array is a dict too
    return isinstance(X, (list, tuple)) and all(
        table is None or getattr(table, "ndim", 0) >= 2 for table in X
    )


def _read_modalities(estimator: Any, X: Any, known: Layout | None) -> tuple[Source, Layout]:
    if known is not None and known.is_table:
        raise ValueError(
            f"X is a {type(X).__name__} of modalities, but {type(estimator).__name__} was fitted "
            "on one table. Pass one table with the same columns."
        )
    named = by_name(estimator, X, known)
    if known is not None:
        sizes: dict[str, tables.Size] = dict(zip(known.names, known.sizes, strict=True))
    elif isinstance(estimator.modalities, (list, tuple)):
        sizes = dict(zip(named.names, estimator.modalities, strict=True))
    else:
        sizes = {}
    if isinstance(X, Modalities):
        sizes = {**{n: s for n, s in X._sizes.items() if s is not None}, **sizes}
    arrays: dict[str, np.ndarray] = {}
    stay = [name for name, table in named._tables.items() if tables.is_elsewhere(table)]
    dtypes = _check_by_chunks(named.select(stay), known is None) if stay else []
    codings: dict[str, Codings] = dict.fromkeys(named.names)
    if known is not None:
        check_columns(estimator, named.columns, known)
        codings = {name: known.coding(m) for m, name in enumerate(known.names)}
    for name, table in named._tables.items():
        if table is None:
            if name not in sizes:
                raise ValueError(
                    f"Modality '{name}' is None, so its number of features is unknown. Pass "
                    f"skpoe.Modalities(X, n_features={{'{name}': ...}}), or NaN of its shape."
                )
            continue
        if name not in stay:
            with _about(name):
                here = named[name]
                refuse_columns(here)
                if tables.is_frame(here):
                    if known is None:
                        codings[name] = codings_of(here)
                    here = encode(here, codings[name], name)
                arrays[name] = _check(here, known is None)
                dtypes.append(arrays[name].dtype)
        size = tables.size_of(table)
        same = {size, tables.n_numbers(size)} if known is None else {size}  # modalities=: widths
        if sizes.setdefault(name, size) not in same:
            raise ValueError(
                f"Modality '{name}' has {tables.describe(size)} features, but "
                f"{type(estimator).__name__} is expecting {tables.describe(sizes[name])} features "
                "as input."
            )
        sizes[name] = size
    if known is None:
        ordered = [sizes[name] for name in named.names]
        layout = Layout(
            kind_of(X),
            tuple(named.names),
            tuple(tables.n_numbers(size) for size in ordered),
            tuple(named.columns.values()),
            event_shapes=tuple(s if isinstance(s, tuple) else None for s in ordered),
            codings=tuple(codings.values()),
        )
        estimator.n_features_in_ = sum(layout.widths)
        if hasattr(estimator, "feature_names_in_"):  # of an earlier fit on one table
            del estimator.feature_names_in_
    else:
        layout = known
    return Source(named._rebased(arrays), layout.widths, np.result_type(*dtypes)), layout


def _check(table: Any, fits: bool) -> np.ndarray:
    """Check a table that is in memory, and give it as floats."""
    return check_array(
        tables.flatten(tables.to_array(table)),
        dtype=_DTYPES,
        ensure_all_finite="allow-nan",
        ensure_min_samples=2 if fits else 1,
    )


def _check_by_chunks(X: Modalities, fits: bool) -> list[np.dtype]:
    """Check tables that stay where they are, and say in which dtypes they are read."""
    size = max(1, CHUNK // max(1, X.shape[1]))
    dtypes = []
    for start in range(0, max(1, len(X)), size):  # all modalities of some rows: see items
        chunk = X[start : start + size]
        for name in X.names:
            here = tables.to_array(chunk[name])
            with _about(name):
                dtypes.append(_check(here, fits and len(X) < 2).dtype)
    return dtypes[: len(X.names)]


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Say of which modality an error is."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Modality '{name}': {error}") from error


def by_name(estimator: Any, X: Any, known: Layout | None) -> Modalities:
    """Name the modalities and put them in the order of fit; check their lengths."""
    expected = list(known.names) if known else _names_from_parameter(estimator, X)
    if isinstance(X, (list, tuple)):
        if expected is not None and len(X) != len(expected):
            _refuse_names(estimator, f"{len(X)} modalities", expected)
        names = expected or _positional_names(len(X))
        X = dict(zip(names, X, strict=True))
    else:
        got = X.names if isinstance(X, Modalities) else list(X)
        if expected is not None and set(got) != set(expected):
            _refuse_names(estimator, f"{len(got)} modalities {got}", expected)
    if not isinstance(X, Modalities):
        X = Modalities(X)
    return X.select(expected or X.names)


def _names_from_parameter(estimator: Any, X: Any) -> list[str] | None:
    """Names that ``modalities=`` gives to the items of X, which fixes their number too."""
    modalities = estimator.modalities
    if modalities is None:
        return None
    if isinstance(modalities, Mapping):
        return list(modalities)
    _check_widths(modalities)
    names = _positional_names(len(modalities))
    if isinstance(X, (list, tuple)):
        return names
    got = X.names if isinstance(X, Modalities) else list(X)
    return got if len(got) == len(names) else names  # widths name nothing, but count


def _refuse_names(estimator: Any, got: str, expected: list[str]) -> None:
    raise ValueError(
        f"X has {got}, but {type(estimator).__name__} is expecting {len(expected)} {expected}. "
        "Pass NaN rows (or None) for a modality that is not measured."
    )


def check_columns(estimator: Any, columns: Mapping[str, pd.Index | None], known: Layout) -> None:
    """Refuse DataFrames whose columns are not those of fit."""
    for (name, now), then in zip(columns.items(), known.columns, strict=True):
        if now is not None and then is not None and not now.equals(then):
            unseen, lost = list(now.difference(then)), list(then.difference(now))
            what = f"unseen {unseen}, missing {lost}" if unseen or lost else "another order"
            whose = "X" if known.is_table else f"modality '{name}'"
            raise ValueError(
                f"The columns of {whose} differ from those that "
                f"{type(estimator).__name__} was fitted on: {what}."
            )


def _read_table(estimator: Any, X: Any, known: Layout | None) -> tuple[Source, Layout]:
    name = type(estimator).__name__
    if known is not None and not known.is_table:
        raise ValueError(
            f"X is one table, but {name} was fitted on {len(known.names)} modalities "
            f"{list(known.names)}. Pass them the same way: a list, a dict or skpoe.Modalities."
        )
    refuse_what_is_no_table(X)
    if isinstance(X, torch.Tensor):
        X = tables.to_array(X)
    is_frame = isinstance(X, pd.DataFrame)
    refuse_columns(X)
    codings: Codings = None
    frame = X
    if is_frame and known is None:
        codings = codings_of(X)
        frame = encode(X, codings, "X")
    elif is_frame and known.columns[0] is not None:
        if not hasattr(estimator, "feature_names_in_"):  # else scikit-learn looks at the names
            check_columns(estimator, {"X": X.columns}, known)
        if X.columns.equals(known.columns[0]):
            frame = encode(X, known.codings[0], "X")
    table = validate_data(
        estimator,
        tables.unmask(frame),
        accept_sparse="csr",
        reset=known is None,
        dtype=_DTYPES,
        ensure_all_finite="allow-nan",
        ensure_min_samples=2 if known is None else 1,
    )
    if known is None:
        where = _positions(estimator, X if is_frame else None, table.shape[1])
        known = Layout(
            pd.DataFrame if is_frame else np.ndarray,
            tuple(where),
            tuple(len(w) for w in where.values()),
            (X.columns if is_frame else None,),
            tuple(where.values()),
            codings=(codings,),
        )
    dtype = np.result_type(table.dtype)  # in the byte order of this machine: torch knows no other
    return Source(Modalities({"X": table}), known.widths, dtype, known.positions), known


def _positions(
    estimator: Any, frame: pd.DataFrame | None, n_features: int
) -> dict[str, np.ndarray]:
    """Where the columns of each modality stand in the one table."""
    modalities = estimator.modalities
    everything = np.arange(n_features)
    if modalities is None:
        return {"X": everything}
    if isinstance(modalities, Mapping):
        where = {n: _resolve(n, which, frame, everything) for n, which in modalities.items()}
    else:
        _check_widths(modalities)
        if sum(modalities) != n_features:
            raise ValueError(
                f"modalities={list(modalities)} are the widths of {sum(modalities)} columns, but "
                f"X has {n_features}."
            )
        cuts = np.split(everything, np.cumsum(modalities)[:-1])
        where = dict(zip(_positional_names(len(cuts)), cuts, strict=True))
    for name, columns in where.items():
        if not len(columns):
            raise ValueError(f"modalities['{name}'] selects no column of X.")
    times = np.bincount(np.concatenate(list(where.values())), minlength=n_features)
    if (times != 1).any():
        labels = everything if frame is None else frame.columns
        raise ValueError(
            "Each column of X must be in one modality. "
            f"In none: {labels[times == 0].tolist()}. In several: {labels[times > 1].tolist()}."
        )
    return where


def _check_widths(modalities: Sequence[Any]) -> None:
    if not all(isinstance(width, Integral) and width > 0 for width in modalities):
        raise ValueError(
            "modalities must be a dict (name -> columns) or a list of widths, positive integers; "
            f"got {list(modalities)}."
        )


def _resolve(
    name: str, which: Any, frame: pd.DataFrame | None, everything: np.ndarray
) -> np.ndarray:
    """Positions of the columns that one entry of ``modalities=`` selects."""
    if callable(which):
        if frame is None:
            raise ValueError(
                f"modalities['{name}'] is a callable, which needs a DataFrame; X is an array. "
                "Give positions, or widths such as modalities=[3, 2]."
            )
        which = which(frame)
    if isinstance(which, str) or not isinstance(which, (slice, Iterable)):
        raise ValueError(
            f"modalities['{name}'] must be a list of columns, a slice or a callable; "
            f"got {which!r}."
        )
    labels = [] if isinstance(which, slice) else list(which)
    named = any(isinstance(label, str) for label in labels)
    if frame is None and named:
        raise ValueError(
            f"modalities['{name}'] names columns, but X is an array without names. Pass a "
            "DataFrame, or positions."
        )
    if frame is not None and labels and (named or not _has_names(frame)):
        try:
            absent = [label for label in labels if label not in frame.columns]
        except TypeError as error:  # what cannot be hashed is no label
            raise ValueError(
                f"modalities['{name}'] must be a list of labels of columns; got {labels!r}."
            ) from error
        if absent:
            raise ValueError(f"modalities['{name}'] names columns that X lacks: {absent}.")
        return frame.columns.get_indexer(labels)
    if frame is not None and _has_names(frame):
        warnings.warn(
            f"modalities['{name}'] gives positions although X has column names: a step before "
            "this one that drops or moves columns would change the modality silently. "
            "Name the columns.",
            UserWarning,
            stacklevel=2,
        )
    try:  # a list of positions, a boolean mask or a slice
        if isinstance(which, slice):
            return everything[which]
        positions = np.asarray(labels, dtype=None if labels else int)
        if positions.ndim != 1:
            raise IndexError(f"positions have one axis, not {positions.ndim}")
        return everything[positions]
    except (IndexError, ValueError, TypeError) as error:
        raise ValueError(
            f"modalities['{name}'] must select columns by position or mask; X has "
            f"{len(everything)} columns, and {labels} does not fit."
        ) from error


def _has_names(frame: pd.DataFrame) -> bool:
    """Whether columns have names by scikit-learn's rule; other labels are looked up as given."""
    return all(isinstance(label, str) for label in frame.columns)


def _positional_names(n_modalities: int) -> list[str]:
    return [f"modality_{m}" for m in range(n_modalities)]


def _check_observed(source: Source, names: Sequence[str]) -> None:
    """Refuse data that show nothing, and warn once of columns that no row shows."""
    never = [np.ones(width, dtype=bool) for width in source.widths]
    for rows in source.chunks():
        for column, array in zip(never, source[rows], strict=True):
            column &= np.isnan(array).all(axis=0)
    if all(n.all() for n in never):
        raise ValueError("X shows nothing: every entry of every modality is missing (NaN).")
    if any(n.any() for n in never):
        what = ", ".join(
            f"'{name}': {np.flatnonzero(n).tolist() if n.sum() <= 10 else int(n.sum())}"
            for name, n in zip(names, never, strict=True)
            if n.any()
        )
        warnings.warn(
            f"Some columns have no observed value ({what}). Nothing can be learned about them; "
            "they will be filled with the mean under the prior.",
            UserWarning,
            stacklevel=2,
        )
