"""What people see of modalities, as text and in a notebook."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from . import tables

if TYPE_CHECKING:
    from .modalities import Modalities

# it is shown at once: beyond so many numbers, what is missing is not counted
_COUNTED = 10**7


def as_text(X: Modalities) -> str:
    """Write samples and modalities in a line."""
    parts = [
        f"{name}: {width} {kinds}" + (f" ({share} missing)" if share not in ("", "0.0%") else "")
        for name, width, kinds, share in _about(X)
    ]
    return f"{type(X).__name__}({', '.join([f'{len(X)} samples', *parts])})"


def as_html(X: Modalities) -> str:
    """Write a table with a line for each modality."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{width}</td><td>{kinds}</td><td>{share}</td></tr>"
        for name, width, kinds, share in _about(X)
    )
    return (
        f"<table><caption>Modalities: {len(X)} samples</caption><thead><tr><th></th>"
        f"<th>features</th><th>dtype</th><th>missing</th></tr></thead><tbody>{rows}</tbody>"
        "</table>"
    )


def _about(X: Modalities) -> list[tuple[str, str, str, str]]:
    """Name, size, dtypes and share of missing entries of each modality."""
    about = []
    for name, table in X._tables.items():
        width, size = X._sizes[name], len(X) * (X.n_features[name] or 0)
        kinds = [] if table is None else list(dict.fromkeys(map(str, tables.dtypes(table))))
        stored = tables.is_store(table) or tables.is_mapped(table)
        counts = 0 < size <= _COUNTED and not stored
        share = f"{X.select([name])._n_missing().sum() / size:.1%}" if counts else ""
        about.append((name, tables.describe(width), "/".join(kinds) or "nothing", share))
    return about
