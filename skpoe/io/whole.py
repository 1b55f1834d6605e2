"""Files that are written as a whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import PurePath

try:
    import fcntl
except ImportError:  # Windows: a file that is open cannot be removed there, which does as well
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give a path beside, for a file that takes the place of another when the block has ended.

    Whoever reads finds the old file or the new one. What writers of the same path left there that
    were killed is removed.

    Parameters
    ----------
    path : str or path-like
        What is there is replaced; where it is a link, what it leads to.

    Yields
    ------
    beside : str
        Of an empty file in the same folder, with the same suffixes.

    Raises
    ------
    OSError
        When the folder does not take the file; an old one stays as it was.
    """
    path = os.path.realpath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "A folder stands there, not a file", path)
    folder, name = os.path.split(path)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, "A file stands there, not a folder", folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", folder)
    # of one length, whatever the name: file systems limit names
    mark = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}-"
    ending = ".skpoe-tmp" + "".join(PurePath(name).suffixes[-2:])
    try:
        descriptor, beside = _make(folder, mark, ending)
    except OSError as error:  # of the file that was asked for, not of the one beside it
        raise type(error)(error.errno, error.strerror, path) from None
    try:
        try:
            yield beside
            _sync(beside, os.O_RDWR)
            if fcntl is not None:  # while it is locked, nobody takes it for left behind
                os.replace(beside, path)
        finally:
            os.close(descriptor)
        if fcntl is None:
            os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the rename itself must survive a power cut
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    _sweep(folder, mark, ending)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: str, mark: str, ending: str) -> tuple[int, str]:
    """Make a file that is locked for as long as its writer lives; give descriptor and path."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        beside = os.path.join(folder, f"{mark}{secrets.token_hex(8)}{ending}")
        descriptor = os.open(beside, flags, 0o666)  # less what the umask takes away
        if fcntl is not None:
            with contextlib.suppress(OSError):  # file systems without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if fcntl is None or os.fstat(descriptor).st_nlink:
            return descriptor, beside
        os.close(descriptor)  # swept by another before it was locked


def _sweep(folder: str, mark: str, ending: str) -> None:
    """Remove what dead writers left behind. What is locked, or open on Windows, stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(mark) and entry.name.endswith(ending):
                with contextlib.suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    if fcntl is None:
        os.unlink(path)
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)
