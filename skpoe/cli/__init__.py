"""The command line: a thin face over the estimators."""

from .main import main

__all__ = ["main"]
