"""The same two modalities, with and without holes, in every form that X may have.

A new form is one line in FORMS: a function of the two arrays. A form that is one table needs a
line in CUTS too: what the estimator is given as ``modalities=``.
"""

import itertools
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import torch

from skpoe import Modalities

N_ROWS = 60
WIDTHS = {"rna": 5, "adt": 4}
COLUMNS = {name: [f"{name}_{f}" for f in range(width)] for name, width in WIDTHS.items()}
INDEX = pd.Index([f"row {i}" for i in range(N_ROWS)])

_rng = np.random.default_rng(0)
_z = _rng.normal(size=(N_ROWS, 2))
_TABLES = [
    _z @ _rng.normal(size=(2, w)) + 0.3 * _rng.normal(size=(N_ROWS, w)) for w in WIDTHS.values()
]
_CELLS = [_rng.random(table.shape) < 0.15 for table in _TABLES]

# what goes with every form: a class, an amount, a group and a weight of each row
LABELS = (_z[:, 0] > np.median(_z[:, 0])).astype(int)
TARGET = _z[:, 1] + 0.1 * _rng.normal(size=N_ROWS)
GROUPS = np.arange(N_ROWS) // 12
WEIGHTS = 1.0 + np.arange(N_ROWS) % 3


def _lose_modalities(a, b):
    a[::5] = b[1::4] = np.nan  # every twentieth row shows nothing
    return a, b


def _lose_entries(a, b):
    for table, cells in zip((a, b), _CELLS, strict=True):
        table[cells] = np.nan
    return a, b


HOLES = {
    "complete": lambda a, b: (a, b),
    "modalities": _lose_modalities,
    "entries": _lose_entries,
    "both": lambda a, b: _lose_entries(*_lose_modalities(a, b)),
}


def _frames(a, b):
    tables = zip(COLUMNS.items(), (a, b), strict=True)
    return {name: pd.DataFrame(table, INDEX, columns) for (name, columns), table in tables}


_folder = tempfile.TemporaryDirectory()  # until the tests end
_files = itertools.count()


def _on_disk(a, b):
    path = Path(_folder.name) / f"{next(_files)}"
    a.tofile(path)
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["adt"] = b
    mapped = np.memmap(path, a.dtype, "r", shape=a.shape)
    return Modalities({"rna": mapped, "adt": h5py.File(path.with_suffix(".h5"), "r")["adt"]})


def _with_mask(a, b):
    """Rows that are missing as a whole have numbers, which the mask hides."""
    shown = np.column_stack([~np.isnan(table).all(axis=1) for table in (a, b)])
    for table, here in zip((a, b), shown.T, strict=True):
        table[~here] = 99.0
    return Modalities({"rna": a, "adt": b}, mask=shown)


FORMS = {
    "modalities of arrays": lambda a, b: Modalities({"rna": a, "adt": b}),
    "modalities of DataFrames": lambda a, b: Modalities(_frames(a, b)),
    "modalities on disk": _on_disk,
    "modalities with a mask": _with_mask,
    "a sparse matrix and a tensor": lambda a, b: Modalities(
        {"rna": scipy.sparse.csr_array(a), "adt": torch.from_numpy(b)}
    ),
    "one array": lambda a, b: np.hstack([a, b]),
    "one DataFrame": lambda a, b: pd.concat(_frames(a, b).values(), axis=1),
}
CUTS = {"one array": list(WIDTHS.values()), "one DataFrame": COLUMNS}
TABLES = [form for form in FORMS if form in CUTS]
CONTAINERS = [form for form in FORMS if form not in CUTS]


def build(form, holes):
    """Build a fresh X, which a test may write to."""
    return FORMS[form](*HOLES[holes](*(table.copy() for table in _TABLES)))
