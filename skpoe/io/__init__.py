"""Files of fitted estimators: one container, and Python values as JSON and tensors."""

from .budget import Budget
from .container import SCHEMA, FileFormatError, read, write
from .structure import structure
from .values import Decoder, Encoder, members

__all__ = [
    "SCHEMA",
    "Budget",
    "Decoder",
    "Encoder",
    "FileFormatError",
    "members",
    "read",
    "structure",
    "write",
]
