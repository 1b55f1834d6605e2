"""Files that take their place as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give a path beside, for a file that takes the place of another when the block has ended.

    Parameters
    ----------
    path : str or path-like
        What is there is replaced; where it is a link, what it leads to. Whoever reads finds the
        old file or the new one, and after an error the old one.

    Yields
    ------
    beside : str
        Of an empty file in the same folder, with the same suffixes.
    """
    path = os.path.realpath(path)
    folder, suffixes = os.path.dirname(path), "".join(Path(path).suffixes[-2:])
    beside = os.path.join(folder, f".{secrets.token_hex(8)}.skpoe-tmp{suffixes}")
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # less the umask
    try:
        yield beside
        _sync(beside, os.O_RDWR)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the rename itself must survive a power cut
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
