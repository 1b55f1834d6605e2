"""Data for studies: missingness made to order, as functions and as steps of a pipeline."""

from .missingness import drop_entries, drop_modalities
from .transformers import DropEntries, DropModalities

__all__ = ["DropEntries", "DropModalities", "drop_entries", "drop_modalities"]
