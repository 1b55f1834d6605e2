"""What fit saw of X, as values that a file can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ..data.coding import Coding, Codings
from ..data.layout import Layout
from ..data.modalities import Modalities
from .container import FileFormatError
from .values import Decoder, Encoder, members

_KINDS = {
    kind.__name__: kind for kind in (list, tuple, dict, Modalities, np.ndarray, pd.DataFrame)
}
_PARTS = {
    "kind": str,
    "names": tuple,
    "widths": tuple,
    "columns": tuple,
    "positions": object,
    "event_shapes": tuple,
    "codings": tuple,
}
_CODED = {"kind": str, "dtype": object, "levels": object, "has_holes": bool}


def encode_layout(layout: Layout, encode: Encoder) -> Any:
    """Write a layout down.

    Raises
    ------
    TypeError
        When a file cannot hold labels or dtypes of columns.
    """
    values = {**vars(layout), "kind": layout.kind.__name__}
    values["codings"] = tuple(
        None if codings is None else [vars(coding) for coding in codings]
        for codings in layout.codings
    )
    return {name: encode(value, f"the {name} of X") for name, value in values.items()}


def decode_layout(said: Any, decode: Decoder) -> Layout:
    """Read a layout, and check that its parts belong together.

    Raises
    ------
    FileFormatError
        When they do not.
    """
    said = members(said, "layout", dict, dict.fromkeys(_PARTS, object))
    values = {name: decode(part) for name, part in said.items()}
    members(values, "layout", dict, _PARTS)
    if values["kind"] not in _KINDS:
        raise FileFormatError(f"{values['kind'][:40]!r} is no form of X")
    codings = tuple(_codings(each) for each in values["codings"])
    layout = Layout(**{**values, "kind": _KINDS[values["kind"]], "codings": codings})
    if problem := _problem(layout):
        raise FileFormatError(f"its layout does not hold together: {problem}")
    return layout


def _codings(said: Any) -> Codings:
    if said is None:
        return None
    made = []
    for each in members(said, "coding", list):
        members(each, "coding", dict, _CODED)
        coding = Coding(**each)
        has_levels = isinstance(coding.levels, pd.Index)
        if has_levels != (coding.kind == "levels") or not (has_levels or coding.levels is None):
            raise FileFormatError("a coding has levels, or a kind, that do not go together")
        if coding.kind not in ("number", "integer", "bool", "levels") or not isinstance(
            coding.dtype, (np.dtype, pd.api.extensions.ExtensionDtype)
        ):
            raise FileFormatError("a coding has a kind or a dtype that there is not")
        if isinstance(coding.dtype, pd.CategoricalDtype) and not (
            has_levels and coding.dtype.categories.equals(coding.levels)
        ):
            raise FileFormatError("the levels of a coding are not those of its dtype")
        made.append(coding)
    return tuple(made)


def _problem(layout: Layout) -> str | None:
    """Say what is wrong with a layout; None if nothing is."""
    n_modalities, widths = len(layout.names), layout.widths
    if not n_modalities or len(widths) != n_modalities:
        return "it needs as many widths as modalities"
    if len(set(layout.names)) < n_modalities:
        return "names of modalities repeat"
    if not all(type(width) is int and width > 0 for width in widths):
        return f"widths must be positive integers, not {widths[:10]}"
    is_table = layout.kind in (np.ndarray, pd.DataFrame)
    if is_table != (layout.positions is not None):
        return "one table, and it alone, has positions of columns"
    tables = (sum(widths),) if is_table else widths
    for what, parts in (("columns", layout.columns), ("codings", layout.codings)):
        if len(parts) != len(tables) and (parts or what == "columns"):
            return f"there must be {what} for each table"
        if any(
            part is not None and len(part) != n for part, n in zip(parts, tables, strict=False)
        ):
            return f"there must be as many {what} as features"
    if not all(part is None or isinstance(part, pd.Index) for part in layout.columns):
        return "columns must be labels"
    if is_table and not _are_positions(layout.positions, widths):
        return "positions must name each column once"
    shapes = layout.event_shapes or (None,) * n_modalities
    if len(shapes) != n_modalities or not all(
        shape is None
        or (
            isinstance(shape, tuple)
            and all(type(n) is int and n > 0 for n in shape)
            and math.prod(shape) == width
        )
        for shape, width in zip(shapes, widths, strict=False)
    ):
        return "shapes of images must have as many numbers as features"
    return None


def _are_positions(positions: Any, widths: tuple[int, ...]) -> bool:
    if not isinstance(positions, tuple) or len(positions) != len(widths):
        return False
    for where, width in zip(positions, widths, strict=True):
        if not isinstance(where, np.ndarray) or where.shape != (width,) or where.dtype.kind != "i":
            return False
    together = np.sort(np.concatenate(positions))
    return bool((together == np.arange(len(together))).all())
