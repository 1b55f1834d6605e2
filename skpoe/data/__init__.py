"""The data door: what a user hands in, and what the model reads."""

from .batch import Batch
from .modalities import Modalities

__all__ = ["Batch", "Modalities"]
