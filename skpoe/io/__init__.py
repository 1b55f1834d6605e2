"""Files of fitted estimators: one container, and Python values as JSON and tensors."""

from .budget import Budget
from .container import SCHEMA, FileFormatError, digest_of, read, write
from .structure import structure
from .values import Decoder, Encoder, members

__all__ = [
    "SCHEMA",
    "Budget",
    "Decoder",
    "Encoder",
    "FileFormatError",
    "digest_of",
    "members",
    "read",
    "structure",
    "write",
]
