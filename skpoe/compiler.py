"""The compiler of torch, which nothing here uses, but which the first optimiser imports."""

from __future__ import annotations

import importlib
import os
import sys
import warnings


def import_compiler() -> None:
    """Import it now, and take back what that does to the environment and to warnings' filters.

    Examples
    --------
    >>> import os
    >>> from skpoe.compiler import import_compiler
    >>> before = dict(os.environ)
    >>> import_compiler()
    >>> dict(os.environ) == before
    True
    """
    if "torch._dynamo" in sys.modules:
        return
    before = set(os.environ)
    with warnings.catch_warnings():
        importlib.import_module("torch._dynamo")
    for name in set(os.environ) - before:
        del os.environ[name]
