"""Strategies of hypothesis: rows with any holes, in any form that X may have, and junk.

A form of a table is one line in TABLES: a function of a float array with NaN where missing. What
reads it back is ``dense``, and it shares nothing with the library.
"""

import datetime
import decimal
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skpoe import Modalities

MOST_ROWS, MOST_MODALITIES, MOST_COLUMNS = 12, 4, 5
widths = st.lists(st.integers(1, MOST_COLUMNS), min_size=1, max_size=MOST_MODALITIES)

_folder = tempfile.TemporaryDirectory()  # until the tests end
_files = itertools.count()


# --- rows


@st.composite
def rows(draw, widths, n_rows=None, largest=1e6, dtype=np.float64):
    """Arrays (n, width) in which entries, whole modalities and whole rows may be missing."""
    n = draw(st.integers(1, MOST_ROWS)) if n_rows is None else n_rows
    bits = np.dtype(dtype).itemsize * 8
    odd = [0.0, -0.0, 1.0, np.nan, largest, -largest, float(np.finfo(dtype).tiny)]
    values = st.floats(-100, 100, width=bits) | st.sampled_from(odd)
    arrays = [draw(hnp.arrays(dtype, (n, width), elements=values)) for width in widths]
    absent = draw(hnp.arrays(bool, (n, len(widths))))
    if draw(st.booleans()):  # whole rows, and one whole modality
        absent[draw(st.integers(0, n - 1))] = True
        absent[:, draw(st.integers(0, len(widths) - 1))] = True
    if draw(st.booleans()):
        absent[:] = False
    for array, gone in zip(arrays, absent.T, strict=True):
        array[gone] = np.nan
    return arrays


# --- forms of one table


def _on_disk(x):
    path = Path(_folder.name) / f"{next(_files)}"
    x.tofile(path)
    return np.memmap(path, x.dtype, "r", shape=x.shape)


def _read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _objects(x):
    x = x.astype(object)
    x[pd.isna(x)] = None
    return x


TABLES = {
    "array": np.array,
    "read-only array": _read_only,
    "array of columns": np.asfortranarray,
    "turned view": lambda x: np.array(x[::-1, ::-1])[::-1, ::-1],
    "masked array": lambda x: np.ma.masked_invalid(np.array(x)),
    "objects": _objects,
    "memmap": _on_disk,
    "tensor": lambda x: torch.from_numpy(np.array(x)),
    "DataFrame": lambda x: pd.DataFrame(x.copy()),
    "nullable DataFrame": lambda x: pd.DataFrame(x).astype("Float64"),
    "csr": lambda x: scipy.sparse.csr_array(x),
    "csc": lambda x: scipy.sparse.csc_matrix(x),
    "coo": lambda x: scipy.sparse.coo_array(x),
}
KEEP_DTYPE = [form for form in TABLES if form not in ("objects", "nullable DataFrame")]


def dense(table):
    """Read any form of one table as float64 with NaN."""
    if isinstance(table, pd.DataFrame):
        return table.to_numpy(dtype=float, na_value=np.nan)
    if isinstance(table, torch.Tensor):
        return table.numpy().astype(float)
    if hasattr(table, "tocsr"):
        return table.toarray().astype(float)
    if isinstance(table, np.ma.MaskedArray):
        return table.astype(float).filled(np.nan)
    return np.asarray(table).astype(float)


def parts(X):
    """Tables of several modalities, by name or position."""
    if isinstance(X, (list, tuple)):
        return dict(enumerate(X))
    return dict(X.items())


def picture(X):
    """All bytes of X, to be compared with those of later."""
    if isinstance(X, (list, tuple, dict, Modalities)):
        return [(name, picture(part)) for name, part in parts(X).items()]
    if X is None:
        return None
    if hasattr(X, "tocsr"):
        kept = X.tocoo()
        return X.format, kept.data.tobytes(), kept.row.tobytes(), kept.col.tobytes()
    if isinstance(X, pd.DataFrame):
        return repr(X.to_dict("tight")), X.dtypes.tolist()  # NaN is not itself
    if isinstance(X, np.ma.MaskedArray):
        return X.data.tobytes(), X.mask.tobytes()
    x = np.asarray(X)
    return str(x.dtype), x.shape, repr(x.tolist()) if x.dtype == object else x.tobytes()


# --- forms of several


def _turned(named):
    return dict(reversed(named.items()))


def _masked(named):
    """Rows of a modality that are missing as a whole have numbers, which a mask hides."""
    tables = {name: np.array(x) for name, x in named.items()}
    gone = {name: np.isnan(x).all(axis=1) for name, x in tables.items()}
    for name, x in tables.items():
        x[gone[name]] = 7.0
    return Modalities(tables, mask={name: ~where for name, where in gone.items()})


CONTAINERS = {
    "list": lambda named: list(named.values()),
    "tuple": lambda named: tuple(named.values()),
    "dict": dict,
    "dict, turned": _turned,
    "Modalities": Modalities,
    "Modalities, turned": lambda named: Modalities(_turned(named)),
    "rows of Modalities": lambda named: Modalities(
        {name: np.vstack([np.full((2, x.shape[1]), 5.0, x.dtype), x]) for name, x in named.items()}
    )[2:],
    "Modalities with a mask": _masked,
}
OF_ARRAYS = ["rows of Modalities", "Modalities with a mask"]  # these make tables themselves


@st.composite
def containers(draw, arrays, names, tables=tuple(TABLES)):
    """Build X of float arrays: any container, tables of any form, None for a whole hole."""
    named = dict(zip(names, arrays, strict=True))
    form = draw(st.sampled_from(list(CONTAINERS)))
    if form in OF_ARRAYS:
        return CONTAINERS[form](named)
    made = {name: TABLES[draw(st.sampled_from(tables))](x) for name, x in named.items()}
    empty = [name for name, x in named.items() if np.isnan(x).all()]
    if len(empty) < len(named):  # of None alone nobody knows the number of rows
        made |= {name: None for name in empty if draw(st.booleans())}
    return CONTAINERS[form](made)


# --- junk

_words = st.text(max_size=4) | st.sampled_from(["a", "b", "nan", "1"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(2**63), 2**64]),
    st.floats(),
    st.complex_numbers(),
    _words,
    st.binary(max_size=4),
    st.dates(),
    st.timedeltas(),
    st.sampled_from([decimal.Decimal("1.5"), decimal.Decimal("sNaN"), object(), len, int, ...]),
    st.sampled_from([datetime.datetime(2000, 1, 1), pd.NaT, pd.NA, np.float64(1), np.str_("a")]),
)
# ragged, nested, named
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_words | st.integers(0, 3), inner, max_size=3),
        st.sets(st.integers(0, 5), max_size=3),
    ),
    max_leaves=8,
)
dtypes = st.one_of(
    st.sampled_from([np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int64)]),
    hnp.scalar_dtypes(),
    st.just(np.dtype(object)),
    st.just(np.dtype([("x", float), ("y", int)])),
)


# those that scipy and torch know too
_PLAIN = [np.dtype(name) for name in ("bool", "int8", "uint8", "int64", "float32", "float64")]


@st.composite
def odd_arrays(draw, shapes=None, dtypes=dtypes):
    """Arrays of any dtype and up to four axes; objects are anything."""
    if shapes is None:
        shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    dtype = draw(dtypes)
    elements = scalars if dtype.kind == "O" else None
    return draw(hnp.arrays(dtype, draw(shapes), elements=elements))


@st.composite
def odd_frames(draw):
    """DataFrames with columns of anything, under labels of anything."""
    n = draw(st.integers(0, 5))
    of_numpy = odd_arrays(st.just((n,)), st.sampled_from(_PLAIN))
    column = st.lists(scalars, min_size=n, max_size=n) | of_numpy
    columns = draw(st.lists(column, max_size=3))
    frame = pd.DataFrame({j: pd.Series(list(column)) for j, column in enumerate(columns)})
    kinds = st.sampled_from(["category", "string", object, None])
    for j in range(len(columns)):
        if (kind := draw(kinds)) is not None:
            frame[j] = frame[j].map(repr).astype(kind)
    label = _words | st.integers(0, 3) | st.none()
    labels = draw(st.lists(label, min_size=len(columns), max_size=len(columns)))
    return frame.set_axis(pd.Index(labels, dtype=object), axis=1)


odd_tables = st.one_of(
    odd_arrays(),
    odd_frames(),
    odd_arrays(hnp.array_shapes(min_dims=2, max_dims=2, max_side=4), st.sampled_from(_PLAIN)).map(
        scipy.sparse.csr_array
    ),
    odd_arrays(dtypes=st.sampled_from(_PLAIN)).map(lambda x: torch.from_numpy(np.array(x))),
    nested,
)
junk = st.one_of(
    odd_tables,
    st.lists(odd_tables, max_size=3),
    st.dictionaries(st.sampled_from(["a", "b"]) | _words, odd_tables, max_size=3),
)


# --- DataFrames with columns of several kinds

KINDS_OF_COLUMNS = {
    "dose": ("float64", st.floats(-100, 100)),
    "weight": ("float32", st.floats(0, 100, width=32)),
    "visits": ("Int64", st.integers(0, 20)),
    "smokes": ("boolean", st.booleans()),
    "town": (pd.CategoricalDtype(["oslo", "rome", "bonn"]), st.sampled_from(["oslo", "bonn"])),
    "grade": (
        pd.CategoricalDtype(["low", "mid", "high"], ordered=True),
        st.sampled_from(["low", "mid", "high"]),
    ),
    "word": (object, st.sampled_from(["yes", "no"])),
}
INDEXES = {
    "numbers": pd.RangeIndex,
    "from below zero": lambda n: pd.Index(np.arange(n)[::-1] - 3),
    "words": lambda n: pd.Index([f"row {i}" for i in range(n)], name="who"),
    "one word": lambda n: pd.Index(["x"] * n),
    "days": lambda n: pd.date_range("2000-01-01", periods=n),
    "pairs": lambda n: pd.MultiIndex.from_product([["a"], range(n)]),
}


@st.composite
def frames(draw, n_rows=None, holes=True):
    """DataFrames of numbers, counts, flags, levels and words, with holes and under any index."""
    n = draw(st.integers(1, MOST_ROWS)) if n_rows is None else n_rows
    columns = {}
    for name, (dtype, values) in KINDS_OF_COLUMNS.items():
        values = values | st.none() if holes else values
        column = draw(st.lists(values, min_size=n, max_size=n))
        columns[name] = pd.Series(column, dtype=dtype)
    frame = pd.DataFrame(columns)
    return frame.set_axis(INDEXES[draw(st.sampled_from(list(INDEXES)))](n))
