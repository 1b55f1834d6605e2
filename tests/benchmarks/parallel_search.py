"""What n_jobs=2 brings to a small search, with and without a limit on torch's threads.

    python tests/benchmarks/parallel_search.py

A grid of two settings in three folds, on 2,000 rows of 40 + 30 columns. All contestants (one and
two jobs by loky, torch's own number of threads and one) alternate; printed are medians and all
times (on a busy machine the smallest says most), the threads that torch has in a worker, and a
search that has to start its workers.
"""

import argparse
import os
import statistics
import time
import warnings

import joblib
import numpy as np
import torch
from joblib.externals.loky import get_reusable_executor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skpoe import Modalities, PoEVAE


def rows(n_rows):
    """Two modalities of three shared factors, a quarter of the second one missing."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n_rows, 3))
    rna, adt = (z @ rng.normal(size=(3, w)) + 0.5 * rng.normal(size=(n_rows, w)) for w in (40, 30))
    adt[::4] = np.nan
    return Modalities({"rna": rna, "adt": adt})


def workers():
    """Threads that torch has in a process that loky starts for two jobs."""
    with joblib.parallel_config(backend="loky", n_jobs=2):
        return joblib.Parallel()(joblib.delayed(torch.get_num_threads)() for _ in range(2))[0]


def seconds(X, n_threads, n_jobs, max_iter):
    """Wall-clock time of one search."""
    vae = PoEVAE(max_iter=max_iter, n_threads=n_threads, random_state=0)
    search = GridSearchCV(vae, {"latent_dim": [4, 16]}, cv=3, n_jobs=n_jobs, refit=False)
    start = time.perf_counter()
    search.fit(X)
    return time.perf_counter() - start


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--max-iter", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # few epochs are enough to be timed
    X = rows(options.rows)
    limit = os.environ.get("OMP_NUM_THREADS")
    print(f"{os.cpu_count()} cores, OMP_NUM_THREADS={limit}")
    print(f"torch threads here: {torch.get_num_threads()}")
    print(f"torch threads in a worker: {workers()}")
    contestants = [(n_threads, n_jobs) for n_threads in (None, 1) for n_jobs in (1, 2)]
    times = {contestant: [] for contestant in contestants}
    for contestant in options.repeats * contestants:
        times[contestant].append(seconds(X, *contestant, options.max_iter))
    for n_threads in (None, 1):
        for name, summary in (("median", statistics.median), ("smallest", min)):
            one, two = (summary(times[n_threads, n_jobs]) for n_jobs in (1, 2))
            print(
                f"n_threads={n_threads}, {name}: n_jobs=1 {one:.2f} s, n_jobs=2 {two:.2f} s, "
                f"{one / two:.2f} times as fast"
            )
        for n_jobs in (1, 2):
            print(f"    {n_jobs}:", *(f"{t:.2f}" for t in times[n_threads, n_jobs]))
    get_reusable_executor().shutdown(wait=True)
    print(f"two jobs, workers not yet started: {seconds(X, 1, 2, options.max_iter):.2f} s")


if __name__ == "__main__":
    main()
