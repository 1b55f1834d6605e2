"""Private memory that cross-validation over a memory-mapped modality takes.

    python tests/benchmarks/memory.py [--init factor_analysis]
    python tests/benchmarks/memory.py --rows 1500000 --fit

A modality of 50,000 x 1,000 float32 numbers (200 MB) lies in a file; beside it there is one of 20
columns in memory. Stock cross-validation of three folds fits and scores; with ``--fit`` there is
one fit of one epoch instead, and its rows per second beside those of the first 50,000 rows held in
memory. What is measured is RssAnon of this process (Linux), its largest value while that runs less
its value before: pages of the file can be dropped by the system at any time and do not count. A
small fit first loads all code. The exit status says whether it stayed below 64 MB (below 400 MB
where training starts at a factor analysis, of 5,000 rows; with ``--fit``, below 1 GB in all).
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from sklearn.model_selection import cross_val_score

from skpoe import Modalities, PoEVAE

WIDE, LIMITS, MOST = 1_000, {"random": 64.0, "factor_analysis": 400.0}, 1_000.0
IN_MEMORY = 50_000


def private():
    """RssAnon in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("This system does not tell RssAnon.")


def watch(function):
    """Largest private memory while a function runs, and what it returns."""
    most, done = [private()], threading.Event()

    def look():
        while not done.wait(0.002):
            most[0] = max(most[0], private())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        result = function()
    finally:
        done.set()
        thread.join()
    return most[0], result


def write(path, n_rows):
    rng = np.random.default_rng(0)
    table = np.memmap(path, np.float32, "w+", shape=(n_rows, WIDE))
    codes = rng.normal(size=(n_rows, 5)).astype(np.float32)
    loadings = rng.normal(size=(5, WIDE)).astype(np.float32)
    for start in range(0, n_rows, 1000):
        rows = slice(start, start + 1000)
        table[rows] = codes[rows] @ loadings + rng.standard_normal((1000, WIDE), np.float32)
    table.flush()
    return codes @ rng.normal(size=(5, 20)).astype(np.float32)


def fit(est, X):
    """One epoch over all rows where they are, and over some in memory."""
    rates, peaks = [], []
    for label, n_rows in (("on disk", len(X)), ("in memory", IN_MEMORY)):
        rows = X
        if label == "in memory":
            rows = Modalities({name: np.array(X[name][:n_rows]) for name in X.names})
        began = time.perf_counter()
        most, _ = watch(lambda rows=rows: est.fit(rows))
        took = time.perf_counter() - began
        rates.append(len(rows) / took)
        peaks.append(most)
        print(
            f"{label}: {len(rows):,} rows, {len(rows) * WIDE * 4 / 1e9:.1f} GB, {took:.0f} s, "
            f"{rates[-1]:,.0f} rows per second, private memory at most {most:.0f} MB"
        )
    print(f"on disk / in memory: {rates[0] / rates[1]:.2f}")
    return peaks[0] >= MOST


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--init", default="random", choices=LIMITS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rna.f32"
        adt = write(path, args.rows)
        rna = np.memmap(path, np.float32, "r", shape=(args.rows, WIDE))
        X = Modalities({"rna": rna, "adt": adt})
        est = PoEVAE(latent_dim=8, hidden_layer_sizes=(64,), max_iter=1, n_importance_samples=10)
        est.set_params(random_state=0, init=args.init)
        cross_val_score(est, X[:600], cv=3)
        if args.fit:
            return fit(est, X)
        before, began = private(), time.perf_counter()
        most, scores = watch(lambda: cross_val_score(est, X, cv=3))
        print(f"modality on disk {rna.nbytes / 1e6:.0f} MB, scores {scores.round(2)}")
        print(
            f"private memory before {before:.1f} MB, at most {most:.1f} MB: "
            f"{most - before:.1f} MB more, in {time.perf_counter() - began:.1f} s"
        )
    return most - before >= LIMITS[args.init]


if __name__ == "__main__":
    sys.exit(main())
