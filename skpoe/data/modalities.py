"""A container of modalities that is as long as the samples, so that it can be cross-validated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from . import tables
from .alignment import (
    check_index_of_mask,
    check_indexes,
    name_items,
    read_mask,
    read_shapes,
    stack,
)
from .showing import as_html, as_text
from .tables import Rows

# numbers of a table that are looked at together when all of it is
_CHUNK = 2**20


class Modalities:
    """Several tables about the same rows, indexed by row.

    scikit-learn splits its X by rows. A list ``[X1, X2]`` would be split into modalities; this
    container is split into rows, so it works in ``GridSearchCV``, ``cross_val_score`` and
    ``train_test_split``. The tables are shared, not copied, until a modality is asked for.

    Parameters
    ----------
    data : mapping of str to table, sequence of tables, or map-style torch Dataset
        Each of shape (n_samples, n_features), NaN where missing, or None for a modality that no
        row shows: an array, also a memory-mapped one, a DataFrame, a sparse matrix of scipy, a
        torch tensor, or a dataset of h5py or zarr. Arrays may have more axes: images are of shape
        (n_samples, channels, height, width). The items of a sequence are named "modality_0", ...
    n_features : mapping of str to (int or tuple of int), default=None
        Widths of the modalities that are None, or shapes of images; needed to fit on them.
    mask : mapping of str to array-like of bool (n_samples,), or array-like of bool \
            (n_samples, n_modalities), default=None
        False where a row does not show a modality, whatever the table says there. A modality that
        a mapping leaves out is shown.

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
    Modalities(8 samples, rna: 3 float64, adt: 2 float64)
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
        n_features: Mapping[str, tables.Size] | None = None,
        mask: Any = None,
    ) -> None:
        if isinstance(data, Modalities):
            n_features = {**{n: s for n, s in data._sizes.items() if s}, **(n_features or {})}
            data = dict(data.items())
        data = name_items(data)
        self._sizes, self._n_base = read_shapes(data, n_features or {})
        data = check_indexes(data)
        # rows of any other sparse format cannot be read
        self._tables = {n: tables.to_csr(t) if tables.is_sparse(t) else t for n, t in data.items()}
        self._rows: Rows = range(self._n_base)
        self._shown = read_mask(mask, data, len(self))
        # which row of its table each sample has, where that is not its own number
        self._at: dict[str, np.ndarray] = {}

    @property
    def names(self) -> list[str]:  # noqa: D102
        return list(self._tables)

    @property
    def n_features(self) -> dict[str, int | None]:
        """Width of each modality, all numbers of an image; None where it is not known."""
        return {n: None if s is None else tables.n_numbers(s) for n, s in self._sizes.items()}

    @property
    def event_shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Shape of one row of each modality with more than two axes; None for others."""
        return {n: s if isinstance(s, tuple) else None for n, s in self._sizes.items()}

    @property
    def columns(self) -> dict[str, pd.Index | None]:
        """Column labels of each modality that is a DataFrame; None for others."""
        return {n: t.columns if tables.is_frame(t) else None for n, t in self._tables.items()}

    @property
    def shape(self) -> tuple[int, int]:  # noqa: D102
        return len(self), sum(width or 0 for width in self.n_features.values())

    @property
    def dtype(self) -> np.dtype:
        """The dtype that holds every modality."""
        kinds = [d for t in self._tables.values() if t is not None for d in tables.dtypes(t)]
        return np.result_type(*kinds)

    def __len__(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and table of each modality, in the form that it came in."""
        return ((name, self._table(name)) for name in self._tables)

    def _table(self, name: str) -> Any:
        table = self._tables[name]
        if table is None:
            return None
        part = tables.take(table, self._where(name))
        shown = tables.take(self._shown[name], self._rows) if name in self._shown else None
        return part if shown is None or shown.all() else tables.hide(part, shown)

    def _where(self, name: str) -> Rows:
        """Where the rows stand in the table of a modality."""
        at = self._at.get(name)
        return self._rows if at is None else tables.take(at, self._rows)

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
        if isinstance(key, pd.Series) and key.dtype == bool:
            check_index_of_mask(key, index_of(self), "a mask")
        part = self._twin()
        part._rows = tables.compose(self._rows, key)
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
        chosen = {}
        for name, which in columns.items():
            labels = which(frame) if callable(which) else which
            chosen[name] = [labels] if isinstance(labels, str) else list(labels)
            if absent := [label for label in chosen[name] if label not in frame.columns]:
                raise ValueError(f"columns['{name}'] names columns that frame lacks: {absent}.")
        return cls({name: frame[labels] for name, labels in chosen.items()})

    @classmethod
    def concat(cls, parts: Sequence[Modalities]) -> Modalities:
        """Put the rows of several containers below each other.

        A modality that a part lacks, or that is None in it, is missing in its rows. Widths (and
        columns, of DataFrames) must agree.
        """
        if others := [type(part).__name__ for part in parts if not isinstance(part, cls)]:
            raise TypeError(f"Modalities.concat takes Modalities; got {others[0]}.")
        names = list(dict.fromkeys(name for part in parts for name in part.names))
        sizes: dict[str, tables.Size | None] = {}
        for part in parts:
            for name, size in part._sizes.items():
                if sizes.setdefault(name, size) is None:
                    sizes[name] = size
                if size not in (None, sizes[name]):
                    raise ValueError(
                        f"Modality '{name}' has {tables.describe(sizes[name])} features in one "
                        f"part and {tables.describe(size)} in another."
                    )
        lengths, indexes = [len(part) for part in parts], [index_of(part) for part in parts]
        stacked = {}
        for name in names:
            given = [part[name] if name in part.names else None for part in parts]
            stacked[name] = stack(name, given, lengths, indexes, sizes[name])
        return cls(stacked, sizes)

    @classmethod
    def from_mudata(cls, mdata: Any, layers: Mapping[str, str] | None = None) -> Modalities:
        """Read the matrices of a MuData object; its cells are the rows.

        A cell that a modality lacks is missing there: nothing is padded, and sparse matrices stay
        sparse.

        Parameters
        ----------
        mdata : MuData
            Or whatever has ``obs_names`` and ``mod``, a mapping of str to AnnData.
        layers : mapping of str to str, default=None
            Which layer to read, by modality; ``X`` where none is named.
        """
        layers = layers or {}
        if unknown := set(layers) - set(mdata.mod):
            raise ValueError(f"layers names {sorted(unknown)}, which are not in mdata.mod.")
        X = object.__new__(cls)
        X._n_base, X._rows = mdata.n_obs, range(mdata.n_obs)
        X._tables, X._sizes, X._shown, X._at = {}, {}, {}, {}
        for name, part in mdata.mod.items():
            table = part.layers[layers[name]] if name in layers else part.X
            X._tables[name] = tables.to_csr(table) if tables.is_sparse(table) else table
            X._sizes[name] = tables.size_of(table)
            if not table.shape[0]:  # no cell has it
                X._tables[name] = None
                continue
            at = part.obs_names.get_indexer(mdata.obs_names)
            X._at[name], X._shown[name] = np.maximum(at, 0), at >= 0
        return X

    @property
    def observed(self) -> np.ndarray:
        """Whether a row shows any entry of a modality: bool (n_samples, n_modalities)."""
        widths = [width or 0 for width in self.n_features.values()]
        return self._n_missing() < np.array(widths)

    def _n_missing(self) -> np.ndarray:
        """Count the missing entries of each row and modality: (n_samples, n_modalities)."""
        count = np.zeros((len(self), len(self._tables)), dtype=int)
        for m, (name, table) in enumerate(self._tables.items()):
            width = self.n_features[name] or 0
            count[:, m] = width
            size = max(1, _CHUNK // max(1, width))
            for start in range(0, len(self) if table is not None else 0, size):
                chunk = slice(start, start + size)
                count[chunk, m] = tables.missing(self[chunk]._table(name))
        return count

    def select(self, names: Sequence[str]) -> Modalities:
        """Keep some modalities, in the order given; the rows stay."""
        return self._with({name: name for name in self._know(names)})

    def drop(self, names: Sequence[str]) -> Modalities:
        """Leave out some modalities; the rows stay."""
        left_out = self._know(names)
        return self.select([name for name in self.names if name not in left_out])

    def rename(self, names: Mapping[str, str]) -> Modalities:
        """Give some modalities other names."""
        self._know(names)
        new = {names.get(name, name): name for name in self.names}
        if len(new) < len(self._tables):
            raise ValueError(f"Two modalities would have the same name: {dict(names)}.")
        return self._with(new)

    def _know(self, names: Iterable[str]) -> list[str]:
        """List names of modalities; one may come alone."""
        listed = [names] if isinstance(names, str) else list(names)
        if unknown := [name for name in listed if name not in self._tables]:
            raise KeyError(f"There are no modalities {unknown}; there are {self.names}.")
        return listed

    def _with(self, names: Mapping[str, str]) -> Modalities:
        """Share rows and tables under new names: new -> old."""
        if not names:
            raise ValueError("There is no modality left. Keep at least one.")
        part = self._twin()
        for field in ("_tables", "_sizes", "_shown", "_at"):
            old_ones = getattr(self, field)
            renamed = {new: old_ones[old] for new, old in names.items() if old in old_ones}
            setattr(part, field, renamed)
        return part

    def to_pandas(self) -> pd.DataFrame:
        """Columns of all modalities side by side, named "modality__column", NaN where missing."""
        index = index_of(self)
        frames = [
            table if tables.is_frame(table) else pd.DataFrame(self._flat(name, table), index)
            for name, table in self.items()
        ]
        named = zip(self.names, frames, strict=True)
        labels = [f"{name}__{label}" for name, frame in named for label in frame]
        return pd.concat(frames, axis=1).set_axis(labels, axis=1)

    def to_numpy(self) -> np.ndarray:
        """Columns of all modalities side by side, NaN where missing."""
        return np.concatenate([self._flat(name, table) for name, table in self.items()], axis=1)

    def _flat(self, name: str, table: Any) -> np.ndarray:
        """Write a table as an array with two axes; one that is not there is all NaN."""
        if table is not None:
            return tables.flatten(np.asarray(tables.to_array(table)))
        width = self.n_features[name]
        if width is None:
            raise ValueError(f"The width of '{name}' is not known: pass n_features.")
        return np.full((len(self), width), np.nan)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError(
            "Modalities do not turn into one array by themselves, because a step that flattens "
            "them loses what belongs to which modality. Wrap a transformer in skpoe.PerModality, "
            "or call .to_numpy() for the columns side by side."
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the rows there are, and what can be read again by its place."""
        part = self
        if not tables.is_all(self._rows, self._n_base):
            here = [n for n, t in self._tables.items() if t is not None and not tables.is_store(t)]
            given = {n: tables.take(self._tables[n], self._where(n)) for n in here}
            part = self._rebased(given)
            part._shown = {n: tables.take(s, self._rows) for n, s in self._shown.items()}
        frozen = {name: tables.freeze(table) for name, table in part._tables.items()}
        return {**part.__dict__, "_tables": frozen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tables = {name: tables.thaw(table) for name, table in self._tables.items()}

    def _twin(self) -> Modalities:
        """Share everything; not copy.copy, which would go by way of __getstate__."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _rebased(self, given: Mapping[str, Any]) -> Modalities:
        """Put tables that have just these rows in the place of some; others are read as before."""
        part = self._twin()
        part._rows, part._n_base = range(len(self)), len(self)
        part._tables, part._at, part._shown = {**self._tables, **given}, {}, {}
        part._sizes = {**self._sizes, **{n: tables.size_of(t) for n, t in given.items()}}
        for name, table in self._tables.items():
            if name in given or table is None:
                continue
            where = self._where(name)
            if not tables.is_all(where, table.shape[0]):
                part._at[name] = np.asarray(where)
            if name in self._shown:
                part._shown[name] = tables.take(self._shown[name], self._rows)
        return part

    def _repr_html_(self) -> str:
        return as_html(self)

    def __repr__(self) -> str:
        return as_text(self)


def index_of(X: Any) -> pd.Index | None:
    """Index of the first DataFrame in any form of X."""
    if isinstance(X, Modalities):  # other tables stay unread
        X = [X[name] for name, table in X._tables.items() if tables.is_frame(table)][:1]
    if isinstance(X, Mapping):
        X = list(X.values())
    given = X if isinstance(X, (list, tuple)) else [X]
    return next((table.index for table in given if tables.is_frame(table)), None)
