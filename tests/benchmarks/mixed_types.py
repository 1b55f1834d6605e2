"""A table of numbers, counts, flags, categories and ordered levels, with holes to fill in.

    python tests/benchmarks/mixed_types.py

442 patients of scikit-learn's diabetes data, some columns cut into levels; 30 % of the entries
are hidden completely at random, in five masks. Entries are filled in by MIWAE and PoEVAE, as they
are, and by scikit-learn's IterativeImputer on codes: one column of 0 and 1 a level for categories
(all levels, or without the first: all of them sum to 1, and it then predicts each from the others
and stays where it starts), level numbers for ordered ones. One JSON line a mask; then, by kind of
column, mean and standard error over masks. Errors of numbers and counts are root mean squares over
the deviation of the column; of flags and categories the share that is wrong; of ordered levels the
mean number of levels that a guess is off.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from bench import append, mean_se, print_table, values
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer

from skpoe import MIWAE, PoEVAE

KINDS = {
    "number": ["age", "bp", "s1", "s2", "s3", "s4", "s5"],
    "count": ["progression"],
    "flag": ["high_glucose"],
    "category": ["sex", "lipids"],
    "ordered": ["weight"],
}


def mixed_table() -> pd.DataFrame:
    """Give the patients, every column of the dtype that it should have."""
    raw = load_diabetes(scaled=False, as_frame=True)
    frame = raw.data[["age", "sex", "bp", "s1", "s2", "s3", "s4", "s5"]].astype(float)
    frame["sex"] = pd.Categorical(np.where(raw.data["sex"] == 1, "a", "b"), ["a", "b", "unknown"])
    high = [raw.data[name] > raw.data[name].median() for name in ("s1", "s3")]
    lipids = np.select([high[0] & high[1], high[0], high[1]], ["both", "ldl", "hdl"], "neither")
    frame["lipids"] = pd.Categorical(lipids)
    names = ["normal", "over", "obese", "very obese"]
    frame["weight"] = pd.cut(raw.data["bmi"], [0, 25, 30, 35, 99], labels=names, right=False)
    frame["high_glucose"] = pd.array(raw.data["s6"] > 95, dtype="boolean")
    frame["progression"] = pd.array(raw.target.astype(int), dtype="Int64")
    return frame


def codes(frame: pd.DataFrame, drop: bool) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Write a frame as numbers for an imputer that knows no types, and where each column is."""
    parts, where = [], []
    for name in frame:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype) and not column.dtype.ordered:
            hot = pd.get_dummies(column).to_numpy(float, copy=True)
            hot[column.isna()] = np.nan
            hot = hot[:, 1:] if drop else hot
        elif isinstance(column.dtype, pd.CategoricalDtype):
            hot = column.cat.codes.astype(float).replace(-1, np.nan).to_numpy()[:, None]
        else:
            hot = column.astype("Float64").to_numpy(float, na_value=np.nan)[:, None]
        parts.append(hot)
        where.append((name, hot.shape[1]))
    return np.hstack(parts), where


def numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    column = frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(float)
    return column.astype("Float64").to_numpy(float, na_value=np.nan)


def fill_codes(imputer, holed: pd.DataFrame, drop: bool) -> dict[str, np.ndarray]:
    """Give the numbers that an imputer of codes has for each column."""
    coded, where = codes(holed, drop)
    known = ~np.isnan(coded).all(axis=0)
    filled = np.zeros_like(coded)
    filled[:, known] = imputer.fit_transform(coded[:, known])
    told, start = {}, 0
    for name, width in where:
        part = filled[:, start : start + width]
        start += width
        if name in KINDS["category"]:
            first = 1 - part.sum(axis=1, keepdims=True)
            part = np.hstack([first, part]) if drop else part
            told[name] = part.argmax(axis=1).astype(float)
        elif name in KINDS["flag"] + KINDS["ordered"]:
            told[name] = np.rint(part[:, 0])
        else:
            told[name] = part[:, 0]
    return told


def errors(told: dict[str, np.ndarray], truth: pd.DataFrame, hidden: np.ndarray) -> dict:
    found: dict[str, list[float]] = {}
    for kind, names in KINDS.items():
        for name in names:
            rows = hidden[:, truth.columns.get_loc(name)]
            x, guess = numbers(truth, name)[rows], told[name][rows]
            if kind in ("number", "count"):
                error = np.sqrt(np.mean((x - guess) ** 2)) / numbers(truth, name).std()
            elif kind == "ordered":
                error = np.abs(x - guess).mean()
            else:
                error = (x != guess).mean()
            found.setdefault(kind, []).append(float(error))
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masks", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first mask")
    options = parser.parse_args()
    truth = mixed_table()
    rows: list[dict] = []
    for mask in range(options.seed, options.seed + options.masks):
        hidden = np.random.default_rng(mask).uniform(size=truth.shape) < 0.3
        holed = truth.mask(hidden)
        holed = holed.astype(truth.dtypes)
        for name, make in {
            "column mean or mode": lambda: SimpleImputer(),
            "IterativeImputer": lambda: IterativeImputer(max_iter=30, random_state=0),
            "IterativeImputer, first level dropped": lambda: IterativeImputer(
                max_iter=30, random_state=0
            ),
            "MIWAE": lambda: MIWAE(random_state=0),
            "PoEVAE": lambda: PoEVAE(random_state=0),
        }.items():
            began = time.process_time()
            if name in ("MIWAE", "PoEVAE"):
                est = make().fit(holed)
                filled = est.predict_missing(holed)
                assert (filled.dtypes == holed.dtypes).all()
                assert not filled.isna().any(axis=None)
                told = {column: numbers(filled, column) for column in filled}
            else:
                told = fill_codes(make(), holed, drop="dropped" in name)
            took = time.process_time() - began
            score = errors(told, truth, hidden)
            rows.append({"mask": mask, "method": name, "cpu_s": round(took, 1), **score})
            append(None, rows[-1])
    print_table(
        "errors (s.e.)",
        list(dict.fromkeys(row["method"] for row in rows)),
        list(KINDS),
        lambda method, kind: mean_se(values(rows, kind, "mask", method=method)),
    )


if __name__ == "__main__":
    main()
