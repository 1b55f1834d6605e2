"""Many small fits in one process: its memory must not grow.

``python tests/soak.py --fits 500`` cycles over all estimators, fits, predicts, writes checkpoints
and loads them, and prints the resident memory after every fifty fits. It fails when the last
number is more than 20 MB above the first. Linux alone.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from small import small

import skpoe

MOST_GROWTH = 20
EVERY = 50


def resident():
    """Megabytes in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def one(cls, number, folder):
    rng = np.random.default_rng(number)
    X = [rng.normal(size=(40, width)) for width in (4, 3)]
    X[1][::4] = np.nan
    params = {"latent_dim": 2, "hidden_layer_sizes": (16,), "random_state": number}
    if "checkpoint" in cls().get_params():
        params |= {"max_iter": 3, "checkpoint": folder / "fit.skpoe"}
    est = small(cls, **params, n_importance_samples=8).fit(X)
    est.predict_missing(X)
    est.score(X)
    skpoe.load(est.save(folder / "model.skpoe")).transform(X)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=500)
    fits = parser.parse_args().fits
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    kinds = [cls for _, cls in skpoe.all_estimators()]
    sizes, began = [], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(fits):
            one(kinds[number % len(kinds)], number, Path(folder))
            if (number + 1) % EVERY == 0:
                sizes.append(resident())
                print(f"{number + 1:5} fits  {sizes[-1]:7.1f} MB", flush=True)
    grown = sizes[-1] - sizes[0]
    print(f"{grown:+.1f} MB in {time.perf_counter() - began:.0f} seconds; allowed {MOST_GROWTH}")
    return grown > MOST_GROWTH


if __name__ == "__main__":
    sys.exit(main())
