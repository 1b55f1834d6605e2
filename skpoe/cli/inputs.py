"""Data that the command line names: from files to X, and results back into such files."""

from __future__ import annotations

import argparse
import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..annotation import add_layers, read_annotated
from ..data.alignment import join
from ..estimators.face import BaseMultimodal
from ..io.tables import as_frame, format_of, read_arrays, read_mudata, read_table, split_name
from .command import UsageError

_NO_DATA = "Give data: --modality NAME=FILE, once a modality, or --data FILE."


def add_data(parser: argparse.ArgumentParser, *, fits: bool) -> None:
    """Give a parser the options that name data."""
    group = parser.add_argument_group(
        "data",
        "Files are CSV (.csv, .tsv, also compressed), Parquet (.parquet), arrays of numpy (.npz) "
        "or MuData (.h5mu). The first column of CSV labels the rows, as do the index of Parquet "
        "and an array 'index' of .npz. Modalities are joined by these labels: a row that one "
        "lacks is missing in it. Empty cells and NA are missing.",
    )
    columns = (
        "; of the table --data, NAME=COLUMNS: its columns, with commas, * stands for any letters"
    )
    group.add_argument(
        "--modality",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a modality and its file; again for each" + (columns if fits else ""),
    )
    group.add_argument(
        "--data",
        metavar="FILE",
        help="one file with all: a table, several arrays (.npz) or MuData (.h5mu)",
    )
    group.add_argument(
        "--index", metavar="COLUMN", help="column of CSV and Parquet that labels the rows"
    )
    group.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=LAYER",
        help="layer of a modality of MuData that is read instead of X",
    )


class Data(ABC):
    """X, the labels of its rows, and the form of the files that it came in."""

    X: Any
    labels: pd.Index | None

    @abstractmethod
    def files(self, folder: Path, parts: list[str]) -> list[Path]:
        """Name where results go, by part: "" is what is filled in, others "lower", "draw1", ..."""

    @abstractmethod
    def contents(self, folder: Path, results: Mapping[str, Any]) -> dict[Path, Any]:
        """Give what is written there, of results in the form of X, by part."""


class Tables(Data):
    """A file a modality, or the arrays of one file."""

    def __init__(
        self, sources: dict[str, Path], labels: pd.Index | None, X: dict[str, Any]
    ) -> None:
        self.sources, self.labels, self.X = sources, labels, X

    def _path(self, folder: Path, name: str, part: str) -> Path:
        source = self.sources.get(name) or next(iter(self.sources.values()))
        return file_in(folder, name, split_name(source)[1], part)

    def files(self, folder: Path, parts: list[str]) -> list[Path]:
        return [self._path(folder, name, part) for part in parts for name in self.X]

    def contents(self, folder: Path, results: Mapping[str, Any]) -> dict[Path, Any]:
        return {
            (path := self._path(folder, name, part)): content_of(path, table, self.labels)
            for part, tables in results.items()
            for name, table in tables.items()
        }


class Table(Data):
    """One table, which the estimator cuts into modalities."""

    def __init__(self, source: Path, labels: pd.Index | None, X: Any) -> None:
        self.source, self.labels, self.X = source, labels, X

    def files(self, folder: Path, parts: list[str]) -> list[Path]:
        return [file_in(folder, *split_name(self.source), part) for part in parts]

    def contents(self, folder: Path, results: Mapping[str, Any]) -> dict[Path, Any]:
        paths = self.files(folder, list(results))
        return {
            path: content_of(path, table, self.labels)
            for path, table in zip(paths, results.values(), strict=True)
        }


class MuDataFile(Data):
    """A MuData object: results are layers of a copy of it."""

    def __init__(self, source: Path, mdata: Any, X: Any) -> None:
        self.source, self.mdata, self.X = source, mdata, X
        self.labels = mdata.obs_names

    def files(self, folder: Path, parts: list[str]) -> list[Path]:
        return [folder / self.source.name]

    def contents(self, folder: Path, results: Mapping[str, Any]) -> dict[Path, Any]:
        for part, filled in results.items():
            add_layers(self.mdata, filled, f"skpoe_{part or 'imputed'}")
        return {folder / self.source.name: self.mdata}


def file_in(folder: Path, stem: str, suffix: str, part: str = "") -> Path:
    """Name a file of results in its folder.

    Raises
    ------
    ValueError
        If the stem, which may be what a model calls a modality, leads elsewhere.
    """
    if not stem or set(stem) & set("/\\\0"):
        raise ValueError(f"The modality {stem!r} cannot name a file. Fit it by another name.")
    return folder / (f"{stem}.{part}{suffix}" if part else f"{stem}{suffix}")


def content_of(path: Path, table: Any, labels: pd.Index | None) -> Any:
    """Give a table as ``io.tables.write_files`` takes it for this path."""
    if format_of(path) == "npz":
        return {"X": table}, labels
    return as_frame(table, labels)


def read_data(arguments: argparse.Namespace, estimator: BaseMultimodal | None = None) -> Data:
    """Read what the command line names, in the form that ``estimator`` was fitted on.

    Parameters
    ----------
    arguments : Namespace
    estimator : fitted estimator, default=None
        None before ``fit``.
    """
    named, layers = _pairs(arguments.modality, "--modality"), _pairs(arguments.layer, "--layer")
    if layers and not (arguments.data and format_of(arguments.data) == "h5mu"):
        raise UsageError("--layer is for MuData: --data FILE.h5mu.")
    if arguments.data is None:
        if not named:
            raise UsageError(_NO_DATA)
        return _read_tables({n: Path(path) for n, path in named.items()}, arguments, estimator)
    source = Path(arguments.data)
    kind = format_of(source)
    if named and (estimator is not None or kind in ("npz", "h5mu")):
        what = "the model knows its columns" if estimator else f"{source} names its modalities"
        raise UsageError(f"--modality is not for --data {source}: {what}.")
    if kind == "h5mu":
        mdata = read_mudata(source)
        return MuDataFile(source, mdata, read_annotated(mdata, estimator, layers))
    if kind == "npz":
        arrays, labels = read_arrays(source)
        sources = dict.fromkeys(arrays, source)
        return Tables(sources, labels, _complete(arrays, estimator))
    frame, labels = read_table(source, index=arguments.index)
    return Table(source, labels, _select(frame, source, named, estimator))


def cut(arguments: argparse.Namespace, X: Any) -> dict[str, list[str]] | None:
    """Say which columns of one table each modality has, as ``modalities=`` takes it."""
    named = _pairs(arguments.modality, "--modality")
    if not named or arguments.data is None:
        return None
    return {name: _matching(X, name, columns) for name, columns in named.items()}


def _pairs(said: list[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in said:
        name, equals, value = one.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {one}: write NAME=..., for example rna=rna.csv.")
        if name in pairs:
            raise UsageError(f"{option} {name}=... is given twice.")
        pairs[name] = value
    return pairs


def _read_tables(
    sources: dict[str, Path], arguments: argparse.Namespace, estimator: BaseMultimodal | None
) -> Tables:
    if estimator is not None and estimator._layout.is_table:
        raise ValueError("This model was fitted on one table: give --data FILE, not --modality.")
    read = {name: read_table(path, index=arguments.index) for name, path in sources.items()}
    X, labels = join(
        {name: table for name, (table, _) in read.items()},
        {name: labels for name, (_, labels) in read.items()},
    )
    return Tables(sources, labels, _complete(X, estimator))


def _complete(X: dict[str, Any], estimator: BaseMultimodal | None) -> dict[str, Any]:
    """Bring files to what a model knows: its columns, and None of modalities that no file has."""
    known = [] if estimator is None else estimator.modality_names_
    if estimator is not None and (unknown := [name for name in X if name not in known]):
        raise ValueError(f"The model has no modality {unknown}; it has {known}.")
    columns = {} if estimator is None else dict(zip(known, estimator._layout.columns, strict=True))
    there = {
        name: _known(table, columns[name], f"Modality '{name}'")
        if isinstance(table, pd.DataFrame) and columns.get(name) is not None
        else table
        for name, table in X.items()
    }
    return {**there, **{name: None for name in known if name not in X}}


def _known(frame: pd.DataFrame, columns: pd.Index, what: str) -> pd.DataFrame:
    """Those columns that a model knows, in its order; a file may say 0 as "0"."""
    there = {str(column): column for column in frame.columns}
    if absent := [column for column in columns if str(column) not in there]:
        raise ValueError(f"{what} lacks columns that the model knows: {absent[:20]}.")
    return frame[[there[str(column)] for column in columns]].set_axis(columns, axis=1)


def _select(
    frame: pd.DataFrame, source: Path, named: dict[str, str], estimator: BaseMultimodal | None
) -> Any:
    """Columns that some modality has: as the command line says, or as the model was fitted."""
    if estimator is None:
        wanted = [c for name, said in named.items() for c in _matching(frame, name, said)]
        return frame[list(dict.fromkeys(wanted))] if named else frame
    if not estimator._layout.is_table:
        names = ", ".join(f"--modality {name}=FILE" for name in estimator.modality_names_)
        raise ValueError(f"This model was fitted on several modalities: give {names}.")
    columns = estimator._layout.columns[0]
    if columns is None:
        return frame.to_numpy()
    return _known(frame, columns, str(source))


def _matching(frame: pd.DataFrame, name: str, said: str) -> list[str]:
    found: list[str] = []
    for pattern in said.split(","):
        if pattern in frame.columns:
            found.append(pattern)
            continue
        matching = [c for c in frame.columns if fnmatch.fnmatchcase(str(c), pattern)]
        if not matching:
            raise ValueError(
                f"--modality {name}={said}: no column is called {pattern!r}; there are "
                f"{frame.columns.tolist()[:20]}."
            )
        found += matching
    return found
