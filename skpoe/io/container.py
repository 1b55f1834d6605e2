"""One file: tensors as safetensors has them, and one JSON document in its header.

The file begins with the length of the header (8 bytes, little-endian), the header, which is JSON,
and the bytes of the tensors. The header's ``__metadata__`` holds the document, as text, with a
digest of itself and of the tensors. It tells damage, not malice: who changes a file can change the
digest too, so nothing that is read is trusted because of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import torch
from torch import Tensor

# of the document; a new one is a new number, and old ones go on being read
SCHEMA = 1
# a header is names and settings; one of so many bytes, with so many lists and objects in it, takes
# less than 200 MB to read, whatever it says
MOST_HEADER, MOST_NESTED = 2**23, 400_000
_DOCUMENT, _DIGEST = "skpoe", "sha256"
_SIZES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}


class FileFormatError(ValueError):
    """A file is not what ``est.save`` writes, or has been damaged or changed since.

    Examples
    --------
    >>> from skpoe.io import FileFormatError
    >>> issubclass(FileFormatError, ValueError)
    True
    """


def write(
    path: str | os.PathLike[str], document: dict[str, Any], tensors: dict[str, Tensor]
) -> Path:
    """Write one file: as a whole, or not at all.

    Parameters
    ----------
    path : str or path-like
        What is there is replaced; where it is a link, what it leads to.
    document : dict
        What JSON can say.
    tensors : dict of str to Tensor
        On the CPU, no two in the same memory.

    Returns
    -------
    path : Path

    Raises
    ------
    OSError
        When the folder does not take the file; an old one stays as it was.
    ValueError
        When there is too much in the document.
    """
    replace_file(os.path.realpath(path), to_bytes(document, tensors))
    return Path(path)


def to_bytes(document: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """Give what :func:`write` writes."""
    document = {"schema": SCHEMA, **document}
    document[_DIGEST] = _digest_of(document, tensors)
    text = _text_of(document)
    _check_header(len(text), 0)  # which the header is longer than: it may be too long to be made
    data = _safetensors().save(tensors, {_DOCUMENT: text})
    n_header = int.from_bytes(data[:8], "little")
    _check_header(n_header, _n_nested(data[8 : 8 + n_header]))
    return data


def _check_header(n_bytes: int, n_nested: int) -> None:
    if n_bytes > MOST_HEADER or n_nested > MOST_NESTED:
        raise ValueError(
            f"Names, settings and history take {n_bytes:,} bytes, more than the {MOST_HEADER:,} "
            "that a file may have beside its numbers. Give columns shorter names."
        )


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file that :func:`write` wrote; what it says is checked before memory is taken for it.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    document : dict
        Without the schema and the digest. What it holds is not checked.
    tensors : dict of str to Tensor

    Raises
    ------
    FileFormatError
        When it is no such file, or was damaged.
    OSError
        When the file system does not give it.
    """
    safetensors = _safetensors()
    with open(path, "rb", opener=_open_at_once) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise FileFormatError(f"{os.fspath(path)!r} is no regular file.")
        try:
            document, header = _read_header(file, about.st_size)
            file.seek(0)
            data = file.read(about.st_size)
            if len(data) != about.st_size or not data.startswith(header):
                raise FileFormatError("it changed while it was read")
            try:
                tensors = safetensors.load(data)
            except Exception as error:  # its errors are of a class of its own, from Rust
                raise FileFormatError(f"its tensors cannot be read: {error}") from error
            if document.pop(_DIGEST, None) != _digest_of(document, tensors):
                raise FileFormatError("it does not hold what was saved: it is damaged")
            document.pop("schema")
        except FileFormatError as error:
            raise FileFormatError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error
    return document, tensors


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for what others may write, where it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_header(file: BinaryIO, n_bytes: int) -> tuple[dict[str, Any], bytes]:
    """Check all that can be known without the tensors; give the document, and what was read."""
    start = file.read(8)
    n_header = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= n_header <= n_bytes - 8:
        raise FileFormatError(
            f"it has {n_bytes:,} bytes, and a header of {n_header:,} does not fit in it; it is "
            "no skpoe file, or was cut short"
        )
    if n_header > MOST_HEADER:
        raise FileFormatError(
            f"its header has {n_header:,} bytes, and at most {MOST_HEADER:,} are read"
        )
    header = file.read(n_header)
    table = _parse(header, "header")
    metadata = table.pop("__metadata__", None)
    if (
        not isinstance(metadata, dict)
        or list(metadata) != [_DOCUMENT]
        or not isinstance(metadata[_DOCUMENT], str)
    ):
        raise FileFormatError("it is a safetensors file, but est.save did not write it")
    try:
        text = metadata[_DOCUMENT].encode()
    except UnicodeEncodeError:
        raise FileFormatError("its document is not text") from None
    document = _parse(text, "document")
    schema = document.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise FileFormatError(
            f"it is of schema {str(schema)[:20]}, and this version reads up to {SCHEMA}; a newer "
            "skpoe may read it"
        )
    end = 0
    for name, entry in table.items():
        end += _check_entry(name, entry, n_bytes)
    if end != n_bytes - 8 - n_header:
        raise FileFormatError(
            f"its tensors take {end:,} bytes, but {n_bytes - 8 - n_header:,} are there; it was "
            "cut short, or something was added"
        )
    return document, start + header


def _check_entry(name: str, entry: Any, n_bytes: int) -> int:
    """Check what the header says of a tensor, and give its size in bytes."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FileFormatError(f"tensor {name[:80]!r} has no dtype, shape and place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise FileFormatError(f"tensor {name[:80]!r} has the dtype {str(dtype)[:20]}")
    for numbers, most in ((shape, 16), (place, 2)):
        if (
            not isinstance(numbers, list)
            or len(numbers) > most
            or not all(type(number) is int and 0 <= number <= n_bytes for number in numbers)
        ):
            raise FileFormatError(f"tensor {name[:80]!r} has no shape and place within the file")
    size = math.prod(shape) * _SIZES[dtype]
    if len(place) != 2 or place[1] - place[0] != size:
        raise FileFormatError(f"tensor {name[:80]!r} does not take the bytes of its shape")
    return size


def _n_nested(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _parse(text: bytes, what: str) -> dict[str, Any]:
    """Parse a JSON object as the standard has it, with each name once."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name stands there twice")
        return made

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        if _n_nested(text) > MOST_NESTED:
            raise ValueError("it has too many parts")
        made = json.loads(text.decode(), object_pairs_hook=once, parse_constant=refuse)
        if not isinstance(made, dict):
            raise ValueError("it is no object")
        _text_of(made)  # which refuses what 1e999 was read as
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"its {what} is not JSON that can be read: {error}") from None
    return made


def _text_of(document: Any) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _digest_of(document: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Give the SHA-256 of a document and of names, dtypes, shapes and bytes of tensors."""
    digest = hashlib.sha256(_text_of(document).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(_text_of([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def replace_file(path: str, data: bytes) -> None:
    """Write beside the path, then rename: whoever reads finds the old file or the new one."""
    folder = os.path.dirname(path)
    beside = os.path.join(folder, f".{secrets.token_hex(8)}.skpoe-tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(beside, flags, 0o666)  # less what the umask takes away
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the rename itself must survive a power cut
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _safetensors() -> ModuleType:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "Saving and loading need the package safetensors: pip install 'skpoe[io]'"
        ) from error
    return safetensors.torch
