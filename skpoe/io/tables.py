"""Tables of users in files: CSV, Parquet and arrays of numpy, with labels of their rows."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..data import tables
from ..data.alignment import is_default
from .whole import replacing

_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".h5mu": "h5mu",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_SEPARATORS = {"csv": ",", "tsv": "\t"}
# before pandas 3.1, numbers were read with an error in the last digit
_EXACT: dict[str, Any] = (
    {"float_precision": "round_trip"}
    if tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
    else {}
)
# the array of a .npz file that labels its rows
_INDEX = "index"


def split_name(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Cut the name of a file: cells.csv.gz into cells and .csv.gz.

    Raises
    ------
    ValueError
        If it does not end as a file of tables does.
    """
    name = Path(path).name
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in _COMPRESSED:
        stem, inner = os.path.splitext(stem)
        suffix = inner + suffix
        known = inner.lower() in (".csv", ".tsv")
    else:
        known = suffix.lower() in _FORMATS
    if not known:
        raise ValueError(
            f"{os.fspath(path)}: tables are files that end in {', '.join(_FORMATS)}; .csv and "
            f".tsv also with {', '.join(_COMPRESSED)} behind."
        )
    return stem, suffix


def format_of(path: str | os.PathLike[str]) -> str:
    """Name the format of a file by how its name ends, and see that its package is there.

    Raises
    ------
    ValueError
        If it does not end as a file of tables does.
    ImportError
        If the package that reads and writes it is absent.
    """
    kind = _FORMATS["." + split_name(path)[1].split(".")[1].lower()]
    if kind == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"{os.fspath(path)}: Parquet files need the package pyarrow: "
                "pip install 'skpoe[parquet]'"
            ) from error
    if kind == "h5mu":
        _mudata()
    return kind


def read_mudata(path: str | os.PathLike[str]) -> Any:
    """Read a MuData object.

    Raises
    ------
    ImportError
        Without mudata.
    OSError
        When the file cannot be read.
    """
    package = _mudata()
    with _quiet():
        return package.read_h5mu(path)


def _mudata() -> ModuleType:
    try:
        import mudata
    except ImportError as error:
        raise ImportError(
            "h5mu files need the package mudata: pip install 'skpoe[mudata]'"
        ) from error
    return mudata


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what mudata says of its own future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def read_table(
    path: str | os.PathLike[str], *, index: str | None = None
) -> tuple[Any, pd.Index | None]:
    """Read one table, and the labels of its rows.

    Parameters
    ----------
    path : str or path-like
        CSV, TSV, Parquet, or a .npz file with one array beside "index".
    index : str, default=None
        Column of the labels. When None: of CSV the first, of Parquet what was stored as index.

    Returns
    -------
    table : DataFrame or ndarray
        Empty cells and NA are missing.
    labels : Index or None
        None where a file has none, or 0, 1, 2, ... as pandas numbers rows by itself. Those of CSV
        are strings, as they stand there.

    Raises
    ------
    ValueError
        If the file is not what its name says, or there is no such column.
    """
    kind = format_of(path)
    if kind == "h5mu":
        raise ValueError(f"{os.fspath(path)}: a h5mu file has several tables, and one is wanted.")
    if kind == "npz":
        arrays, labels = read_arrays(path)
        if len(arrays) != 1:
            raise ValueError(
                f"{os.fspath(path)}: one array is wanted, and there are {list(arrays)}."
            )
        return next(iter(arrays.values())), labels
    try:
        frame = _read_parquet(path, index) if kind == "parquet" else _read_csv(path, kind, index)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error
    if not frame.shape[1]:
        raise ValueError(
            f"{os.fspath(path)}: there is no column beside the labels of the rows, "
            f"{frame.index.name!r}. A .csv file has commas between columns, a .tsv file tabs."
        )
    return frame, None if is_default(frame.index) else frame.index


def _read_csv(path: str | os.PathLike[str], kind: str, index: str | None) -> pd.DataFrame:
    how: dict[str, Any] = {"sep": _SEPARATORS[kind], "index_col": False}
    columns = pd.read_csv(path, nrows=0, **how).columns
    if index is not None:
        _check_there(index, columns)
    name = columns[0] if index is None else index
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # a label stays the text that it is: 007 is not 7, and behind a mark NA is not missing
        try:
            marked = {name: "_".__add__}
            frame = pd.read_csv(path, converters=marked, low_memory=False, **_EXACT, **how)
        except pd.errors.ParserWarning as error:
            raise ValueError(
                "its rows have more cells than its header. Give the column of labels a name."
            ) from error
    labels = pd.Index(frame.pop(name)).str[1:]
    if empty := np.flatnonzero(labels == "").tolist():
        raise ValueError(f"the label of row {empty[0] + 1} is empty, in the column {name!r}.")
    if index is None and _look_measured(labels):
        warnings.warn(
            f"The first column of {os.fspath(path)!r}, {name!r}, is taken for the labels of rows, "
            f"and holds numbers such as {labels[0]}. If these are data, put a column of labels "
            "before it, or name the one that there is (--index).",
            UserWarning,
            stacklevel=3,
        )
    return frame.set_axis(labels.rename(None if str(name).startswith("Unnamed: ") else name))


def _look_measured(labels: pd.Index) -> bool:
    """Whether most labels are numbers that are not whole."""
    try:
        numbers = labels.to_numpy(dtype=float)
    except ValueError:
        return False
    return len(numbers) > 0 and float(np.mean(numbers != np.rint(numbers))) > 0.5


def _read_parquet(path: str | os.PathLike[str], index: str | None) -> pd.DataFrame:
    frame = pd.read_parquet(path, engine="pyarrow")
    if index is None or index == frame.index.name:
        return frame
    _check_there(index, frame.columns)
    return frame.set_index(index)


def _check_there(index: str, columns: pd.Index) -> None:
    if index not in columns:
        raise ValueError(f"there is no column {index!r}; there are {columns.tolist()[:20]}.")


def read_arrays(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], pd.Index | None]:
    """Read the arrays of a .npz file; "index" holds the labels of the rows of all, if it is there.

    Raises
    ------
    ValueError
        If the file is no such file, holds Python objects, or an index of another length.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{os.fspath(path)} is no .npz file of arrays of numbers. Labels of rows are strings "
            "of numpy: np.savez(path, index=index.to_numpy(str), ...)."
        ) from error
    labels = arrays.pop(_INDEX, None)
    for name, array in arrays.items():
        if labels is not None and len(array) != len(labels):
            raise ValueError(
                f"{os.fspath(path)}: 'index' labels {len(labels)} rows, and '{name}' has "
                f"{len(array)}."
            )
    return arrays, None if labels is None else pd.Index(labels)


def write_files(files: Mapping[Path, Any]) -> None:
    """Write files of tables: all of them, or after an error none.

    Parameters
    ----------
    files : mapping of Path to DataFrame, or to (dict of str to table, labels), or MuData
        As the format of the path has it: "csv", "tsv" and "parquet" hold a DataFrame, "npz"
        arrays with the labels of their rows (Index or None), "h5mu" a MuData object.
    """
    with ExitStack() as stack:
        for path, content in files.items():
            _write(stack.enter_context(replacing(path)), content)


def _write(path: str, content: Any) -> None:
    kind = format_of(path)
    if kind == "h5mu":
        # HDF5 wants a lock of its own on what it writes, and this path has one
        beside = tempfile.TemporaryDirectory(dir=os.path.dirname(path), prefix=".skpoe-")
        with beside as folder, _quiet():
            content.write(whole := os.path.join(folder, "whole.h5mu"))
            shutil.copyfile(whole, path)
    elif kind == "parquet":
        content.to_parquet(path, engine="pyarrow")
    elif kind == "npz":
        arrays, labels = content
        labelled = {} if labels is None else {_INDEX: labels.to_numpy(_kind_of(labels))}
        np.savez(path, **{n: _as_array(table) for n, table in arrays.items()}, **labelled)
    else:
        content.to_csv(path, sep=_SEPARATORS[kind])


def _kind_of(labels: pd.Index) -> Any:
    is_number = isinstance(labels.dtype, np.dtype) and labels.dtype.kind in "iuf"
    return labels.dtype if is_number else str


def _as_array(table: Any) -> np.ndarray:
    array = np.asarray(tables.to_array(table))
    return array.astype(str) if array.dtype == object else array


def as_frame(table: Any, labels: pd.Index | None, columns: Sequence[str] | None = None) -> Any:
    """Give an array (N, F) as a DataFrame; one that is a DataFrame stays."""
    if isinstance(table, pd.DataFrame):
        return table
    table = tables.to_array(table)
    if table.ndim != 2:
        raise ValueError(
            f"A table of shape {table.shape} has more than two axes, which only .npz files hold."
        )
    return pd.DataFrame(table, index=labels, columns=columns)
