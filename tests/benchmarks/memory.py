"""Private memory that cross-validation over a memory-mapped modality takes.

    python tests/benchmarks/memory.py

A modality of 50,000 x 1,000 float32 numbers (200 MB) lies in a file; beside it there is one of 20
columns in memory. Stock cross-validation of three folds fits and scores. What is measured is
RssAnon of this process (Linux), its largest value while that runs less its value before: pages of
the file can be dropped by the system at any time and do not count. A small fit first loads all
code. The exit status says whether it stayed below 40 MB.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from sklearn.model_selection import cross_val_score

from skpoe import Modalities, PoEVAE

N, WIDE, LIMIT = 50_000, 1_000, 40.0


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


def write(path):
    rng = np.random.default_rng(0)
    table = np.memmap(path, np.float32, "w+", shape=(N, WIDE))
    codes = rng.normal(size=(N, 5)).astype(np.float32)
    loadings = rng.normal(size=(5, WIDE)).astype(np.float32)
    for start in range(0, N, 1000):
        rows = slice(start, start + 1000)
        table[rows] = codes[rows] @ loadings + rng.standard_normal((1000, WIDE), np.float32)
    table.flush()
    return codes @ rng.normal(size=(5, 20)).astype(np.float32)


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rna.f32"
        adt = write(path)
        rna = np.memmap(path, np.float32, "r", shape=(N, WIDE))
        X = Modalities({"rna": rna, "adt": adt})
        est = PoEVAE(latent_dim=8, hidden_layer_sizes=(64,), max_iter=1, n_importance_samples=10)
        est.set_params(random_state=0)
        cross_val_score(est, X[:600], cv=3)
        before, began = private(), time.perf_counter()
        most, scores = watch(lambda: cross_val_score(est, X, cv=3))
        print(f"modality on disk {rna.nbytes / 1e6:.0f} MB, scores {scores.round(2)}")
        print(
            f"private memory before {before:.1f} MB, at most {most:.1f} MB: "
            f"{most - before:.1f} MB more, in {time.perf_counter() - began:.1f} s"
        )
    return most - before >= LIMIT


if __name__ == "__main__":
    sys.exit(main())
