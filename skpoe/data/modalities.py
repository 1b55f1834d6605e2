"""A container of modalities that is as long as the samples, so that it can be cross-validated."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


class Modalities:
    """Several tables about the same rows, indexed by row.

    scikit-learn splits its X by rows. A list ``[X1, X2]`` would be split into modalities; this
    container is split into rows, so it works in ``GridSearchCV``, ``cross_val_score`` and
    ``train_test_split``. The tables are shared, not copied, until a modality is asked for.

    Parameters
    ----------
    data : mapping of str to table, or sequence of tables
        Each an array or DataFrame of shape (n_samples, n_features), NaN where missing, or None
        for a modality that no row shows. The items of a sequence are named "modality_0",
        "modality_1", ...
    n_features : mapping of str to int, default=None
        Widths of the modalities that are None; needed to fit on them.

    Attributes
    ----------
    names : list of str
        Names of the modalities.
    shape : tuple of int
        Number of samples, and number of features of all modalities together.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import train_test_split
    >>> from skpoe import Modalities
    >>> X = Modalities({"rna": np.zeros((8, 3)), "adt": np.ones((8, 2))})
    >>> X
    Modalities(8 samples, rna: 3, adt: 2)
    >>> train, test = train_test_split(X, random_state=0)
    >>> len(train), test["adt"].shape
    (6, (2, 2))
    """

    ndim = 2
    # rows or modalities? Neither is what everyone would expect: see items() and names
    __iter__ = None

    def __init__(
        self,
        data: Mapping[str, Any] | Sequence[Any],
        n_features: Mapping[str, int] | None = None,
    ) -> None:
        if isinstance(data, Modalities):
            n_features = {**{n: w for n, w in data.n_features.items() if w}, **(n_features or {})}
            data = dict(data.items())
        if not isinstance(data, Mapping):
            data = {f"modality_{m}": table for m, table in enumerate(data)}
        if not data:
            raise ValueError("There is no modality. Give at least one array or DataFrame.")
        widths = dict(n_features or {})
        if unknown := set(widths) - set(data):
            raise ValueError(f"n_features names {sorted(unknown)}, which are not in the data.")
        lengths = {}
        for name, table in data.items():
            if not isinstance(name, str):
                raise TypeError(f"Names of modalities must be str; got {name!r}.")
            if table is None:
                widths.setdefault(name, None)
                continue
            if getattr(table, "ndim", None) != 2:
                shape = getattr(table, "shape", type(table).__name__)
                raise ValueError(
                    f"Modality '{name}' must be an array or DataFrame with two axes (samples, "
                    f"features); got {shape}."
                )
            if widths.setdefault(name, table.shape[1]) != table.shape[1]:
                raise ValueError(
                    f"Modality '{name}' has {table.shape[1]} features, but n_features says "
                    f"{widths[name]}."
                )
            lengths[name] = table.shape[0]
        if not lengths:
            raise ValueError("All modalities are None, so the number of samples is unknown.")
        if len(set(lengths.values())) > 1:
            raise ValueError(
                "All modalities must have the same number of samples; got "
                + ", ".join(f"'{name}': {n}" for name, n in lengths.items())
                + ". Fill rows in which a modality is not measured with NaN."
            )
        _check_indexes(data)
        self._tables = dict(data)
        self._widths = {name: widths[name] for name in data}
        self._n_base = next(iter(lengths.values()))
        self._rows: np.ndarray | None = None

    @property
    def names(self) -> list[str]:  # noqa: D102
        return list(self._tables)

    @property
    def n_features(self) -> dict[str, int | None]:
        """Width of each modality; None where it is not known."""
        return dict(self._widths)

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return len(self), sum(width or 0 for width in self._widths.values())

    @property
    def dtype(self) -> np.dtype:
        """The dtype that holds every modality."""
        dtypes = []
        for table in self._tables.values():
            if hasattr(table, "dtypes"):
                dtypes += list(table.dtypes)
            elif table is not None:
                dtypes.append(table.dtype)
        plain = [d if isinstance(d, np.dtype) else np.dtype(object) for d in dtypes]
        return np.result_type(*plain)

    def __len__(self) -> int:
        return self._n_base if self._rows is None else len(self._rows)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and table of each modality, in the form that it came in."""
        return ((name, self._table(name)) for name in self._tables)

    def _table(self, name: str) -> Any:
        table = self._tables[name]
        if table is None or self._rows is None:
            return table
        return table.iloc[self._rows] if hasattr(table, "iloc") else table[self._rows]

    def __getitem__(self, key: Any) -> Any:
        """Return a modality for a name; rows, still a container, for anything else."""
        if isinstance(key, str):
            if key not in self._tables:
                raise KeyError(f"There is no modality '{key}'; there are {self.names}.")
            return self._table(key)
        if isinstance(key, tuple):  # scikit-learn writes X[rows, ...]
            if len(key) != 2 or not (key[1] is Ellipsis or key[1] == slice(None)):
                raise IndexError("Modalities are indexed by rows, or by the name of a modality.")
            key = key[0]
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"Row {key} is out of range for {len(self)} samples.")
            key = [key]
        if not isinstance(key, slice):
            key = np.asarray(key, dtype=np.intp if len(key) == 0 else None)
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._rows = (np.arange(self._n_base) if self._rows is None else self._rows)[key]
        return part

    def take(self, indices: Any, axis: int = 0) -> Modalities:
        """Rows at the given positions."""
        if axis != 0:
            raise ValueError("Only rows (axis=0) can be taken from Modalities.")
        return self[np.asarray(indices)]

    @property
    def iloc(self) -> Modalities:
        """Itself: rows are indexed by position."""
        return self

    @property
    def loc(self) -> Modalities:
        """Itself: rows have no labels, and boolean masks work."""
        return self

    @classmethod
    def from_pandas(cls, frame: pd.DataFrame, columns: Mapping[str, Any]) -> Modalities:
        """Cut a DataFrame into modalities.

        Parameters
        ----------
        frame : DataFrame of shape (n_samples, n_columns)
        columns : mapping of str to (sequence of column labels, or callable)
            A callable takes the frame and returns labels, as ``make_column_selector`` does.
            Columns that no modality names are left out.
        """
        chosen = {n: which(frame) if callable(which) else which for n, which in columns.items()}
        for name, labels in chosen.items():
            if absent := [label for label in labels if label not in frame.columns]:
                raise ValueError(f"columns['{name}'] names columns that frame lacks: {absent}.")
        return cls({name: frame[list(labels)] for name, labels in chosen.items()})

    @classmethod
    def concat(cls, parts: Sequence[Modalities]) -> Modalities:
        """Put the rows of several containers below each other.

        A modality that a part lacks, or that is None in it, is missing in its rows. Widths (and
        columns, of DataFrames) must agree.
        """
        names = list(dict.fromkeys(name for part in parts for name in part.names))
        widths = {}
        for part in parts:
            for name, width in part.n_features.items():
                if widths.setdefault(name, width) is None:
                    widths[name] = width
                if width not in (None, widths[name]):
                    raise ValueError(
                        f"Modality '{name}' has {widths[name]} features in one part and {width} "
                        "in another."
                    )
        return cls({name: _stack(name, parts, widths[name]) for name in names}, widths)

    @property
    def observed(self) -> np.ndarray:
        """Whether a row shows any entry of a modality: bool (n_samples, n_modalities)."""
        shown = np.zeros((len(self), len(self._tables)), dtype=bool)
        for m, (_, table) in enumerate(self.items()):
            if table is not None:
                shown[:, m] = ~np.asarray(pd.isna(table)).all(axis=1)
        return shown

    def select(self, names: Sequence[str]) -> Modalities:
        """Keep some modalities, in the order given; the rows stay."""
        if unknown := [name for name in names if name not in self._tables]:
            raise KeyError(f"There are no modalities {unknown}; there are {self.names}.")
        return self._with({name: name for name in names})

    def drop(self, names: Sequence[str]) -> Modalities:
        """Leave out some modalities; the rows stay."""
        if unknown := [name for name in names if name not in self._tables]:
            raise KeyError(f"There are no modalities {unknown}; there are {self.names}.")
        return self.select([name for name in self.names if name not in names])

    def rename(self, names: Mapping[str, str]) -> Modalities:
        """Give some modalities other names."""
        if unknown := [name for name in names if name not in self._tables]:
            raise KeyError(f"There are no modalities {unknown}; there are {self.names}.")
        new = {names.get(name, name): name for name in self.names}
        if len(new) < len(self._tables):
            raise ValueError(f"Two modalities would have the same name: {dict(names)}.")
        return self._with(new)

    def _with(self, names: Mapping[str, str]) -> Modalities:
        """Share rows and tables under new names: new -> old."""
        if not names:
            raise ValueError("There is no modality left. Keep at least one.")
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        part._tables = {new: self._tables[old] for new, old in names.items()}
        part._widths = {new: self._widths[old] for new, old in names.items()}
        return part

    def to_pandas(self) -> pd.DataFrame:
        """Columns of all modalities side by side, named "modality__column", NaN where missing."""
        labels = [
            f"{name}__{label}"
            for name, table in self.items()
            for label in getattr(table, "columns", range(self._widths[name] or 0))
        ]
        return pd.DataFrame(self.to_numpy(), index=index_of(self), columns=labels)

    def to_numpy(self) -> np.ndarray:
        """Columns of all modalities side by side, NaN where missing."""
        if unknown := [name for name, width in self._widths.items() if width is None]:
            raise ValueError(f"The widths of {unknown} are not known: pass n_features.")
        columns = [
            np.full((len(self), self._widths[name]), np.nan)
            if table is None
            else np.asarray(table)
            for name, table in self.items()
        ]
        return np.concatenate(columns, axis=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(
            "Modalities do not turn into one array by themselves, because a step that flattens "
            "them loses what belongs to which modality. Wrap a transformer in skpoe.PerModality, "
            "or call .to_numpy() for the columns side by side."
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{width}</td><td>{1 - shown.mean():.1%}</td></tr>"
            for (name, width), shown in zip(self._widths.items(), self.observed.T, strict=True)
        )
        return (
            f"<table><caption>Modalities: {len(self)} samples</caption><thead><tr><th></th>"
            f"<th>features</th><th>rows missing</th></tr></thead><tbody>{rows}</tbody></table>"
        )

    def __repr__(self) -> str:
        widths = ", ".join(f"{name}: {width}" for name, width in self._widths.items())
        return f"{type(self).__name__}({len(self)} samples, {widths})"


def _stack(name: str, parts: Sequence[Modalities], width: int | None) -> Any:
    """Rows of one modality in several containers, NaN where a part lacks it."""
    tables = [part[name] if name in part.names else None for part in parts]
    given = [table for table in tables if table is not None]
    if not given:
        return None
    if all(isinstance(table, pd.DataFrame) for table in given):
        columns = given[0].columns
        if not all(table.columns.equals(columns) for table in given):
            raise ValueError(f"The columns of modality '{name}' differ between the parts.")
        return pd.concat(
            [
                _nothing(part, columns) if t is None else t
                for part, t in zip(parts, tables, strict=True)
            ]
        )
    return np.concatenate(
        [
            np.full((len(part), width), np.nan) if t is None else np.asarray(t)
            for part, t in zip(parts, tables, strict=True)
        ]
    )


def _nothing(part: Modalities, columns: pd.Index) -> pd.DataFrame:
    index = index_of(part)
    return pd.DataFrame(np.nan, pd.RangeIndex(len(part)) if index is None else index, columns)


def index_of(X: Any) -> pd.Index | None:
    """Index of the first DataFrame in any form of X."""
    if isinstance(X, (Mapping, Modalities)):
        X = [table for _, table in X.items()]
    tables = X if isinstance(X, (list, tuple)) else [X]
    return next((table.index for table in tables if isinstance(table, pd.DataFrame)), None)


def _check_indexes(data: Mapping[str, Any]) -> None:
    """Refuse DataFrames whose rows are about different things, or in different orders."""
    first: tuple[str, pd.Index] | None = None
    for name, table in data.items():
        if not isinstance(table, pd.DataFrame) or isinstance(table.index, pd.RangeIndex):
            continue
        if first is not None and not table.index.equals(first[1]):
            raise ValueError(
                f"The rows of modalities '{first[0]}' and '{name}' have different indexes. Align "
                "them first, for example with .reindex on the union of their indexes: rows in "
                "which a modality is not measured become NaN."
            )
        first = first or (name, table.index)
