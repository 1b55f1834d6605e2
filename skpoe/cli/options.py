"""Options that several commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..io.tables import format_of


def add_model(parser: argparse.ArgumentParser, *, draws: bool = False) -> None:
    """Name the fitted model; and, with ``draws``, how many draws its estimates take."""
    parser.add_argument("model", metavar="MODEL", help="file that fit wrote")
    if draws:
        parser.add_argument(
            "--n-importance-samples",
            type=positive,
            metavar="K",
            help="draws for each row (default: as fitted)",
        )


def set_draws(est: Any, arguments: argparse.Namespace) -> None:
    """Do as ``--n-importance-samples`` says; what is exact has no draws."""
    n_draws = arguments.n_importance_samples
    if n_draws is not None and "n_importance_samples" in est.get_params():
        est.set_params(n_importance_samples=n_draws)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Name the folder of results."""
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="for the files; made if it is not there"
    )


def add_common(parser: argparse.ArgumentParser, *, writes: bool = True) -> None:
    """Say how results are told, and whether files are replaced."""
    group = parser.add_argument_group("how it is told")
    if writes:
        group.add_argument("--force", action="store_true", help="replace files that are there")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout")
    group.add_argument("--quiet", action="store_true", help="no progress on stderr")
    group.add_argument("--debug", action="store_true", help="errors with their traceback")


def refuse_old(
    paths: Sequence[Path], force: bool, *, tables: bool = False, folder: Path | None = None
) -> None:
    """See before long work that files can be written.

    Parameters
    ----------
    paths : sequence of Path
    force : bool
        Whether files that are there may be replaced.
    tables : bool, default=False
        Whether they are tables, in the format that their names say.
    folder : Path, default=None
        Where they are, if it is made for them.

    Raises
    ------
    OSError
        If one is there and may not be replaced, or there is no folder for it.
    ValueError, ImportError
        If a table cannot be written so.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, and a folder is to be there.")
    if twice := sorted({str(path) for path in paths if list(paths).count(path) > 1}):
        raise FileExistsError(f"Several results would be written to {twice[0]}.")
    for path in paths:
        if tables:
            format_of(path)
        if folder is None and not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: there is no folder {path.parent}.")
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder, and a file is to be there.")
        if path.exists() and not force:
            raise FileExistsError(f"{path} is there already; --force replaces it.")


def positive(text: str) -> int:
    """Read a positive integer."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive integer")
    return number


def share(text: str) -> float:
    """Read a number between 0 and 1."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie between 0 and 1")
    return number
