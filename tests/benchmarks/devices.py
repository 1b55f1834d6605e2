"""Rows per second of the wall clock by device: training and predictions.

    python tests/benchmarks/devices.py --out devices.jsonl [--data mnist.npz]

Workloads, networks and methods are those of speed.py; "large" is W1 with three hidden layers of
2,000 units and batches of 2,048, for "bfloat16". Ways: "cpu", one thread; "cpu, all cores"; "cpu,
compiled", one thread; "cuda", where steps are recorded; "cuda, not recorded"; "cuda, compiled",
recorded too; "cuda, bfloat16". Training is timed by the median epoch of the last half, predictions
by the median of three calls for 1,000 rows, on a GPU 10,000; of W5 a tenth. One JSON line a
measurement, then tables.
"""

import argparse
import os
import time
import warnings

import bench
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from speed import HIDDEN, LATENT, OURS, workload

from skpoe.recording import Recording

WAYS = {
    "cpu": {"n_threads": 1},
    "cpu, all cores": {"n_threads": os.cpu_count()},
    "cpu, compiled": {"n_threads": 1, "compile": True},
    "cuda": {"device": "cuda"},
    "cuda, not recorded": {"device": "cuda"},
    "cuda, compiled": {"device": "cuda", "compile": True},
    "cuda, bfloat16": {"device": "cuda", "dtype": "bfloat16"},
}
CALLS = ("transform", "predict_missing", "score_samples")


def estimator(method, size, n_epochs, layers, **how):
    name, changed = ("PoEVAE", {}) if method == "PoEVAE" else OURS[method]
    usual = {
        "latent_dim": LATENT,
        "hidden_layer_sizes": layers,
        "activation": "relu",
        "likelihood": "bernoulli",
        "learning_rate": "constant",
        "learning_rate_init": 1e-3,
        "batch_size": size,
        "early_stopping": False,
        "dtype": "float32",
        "beta": 1.0,
        "start_weight": 0.0,
        "init": "random",
    }
    if method == "PoEVAE":  # as it is, but for what makes the others comparable
        del usual["init"], usual["activation"]
        changed = {"trust": 1.0, "shrinkage": 0.1}
    return bench.configured(name, 0, usual, {**changed, "max_iter": n_epochs, **how})


def fit(way, method, blocks, size, n_epochs, layers):
    est = estimator(method, size, n_epochs, layers, **WAYS[way])
    most, X = Recording.most, list(blocks) if len(blocks) > 1 else blocks[0]
    Recording.most = 0 if way == "cuda, not recorded" else most
    began = time.perf_counter()
    try:
        est.fit(X)
    finally:
        Recording.most = most
    whole = time.perf_counter() - began
    seconds = [record["seconds"] for record in est.history_]
    return est, blocks.shape[1] / np.median(seconds[len(seconds) // 2 :]), whole


def predictions(est, blocks):
    n_rows = 1_000 if est.device is None else 10_000
    X = [block[: n_rows // (10 if blocks.shape[2] > 5_000 else 1)] for block in blocks]
    n_rows = len(X[0])
    given = [*X[:-1], None] if len(X) > 1 else np.where(np.arange(X[0].shape[1]) % 2, X[0], np.nan)
    for call in CALLS:
        asked = X if len(X) > 1 else X[0]
        if call == "predict_missing":
            asked = given
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            getattr(est, call)(asked)
            taken.append(time.perf_counter() - began)
        yield call, n_rows / np.median(taken)


def measure(args):
    for name in args.workloads:
        blocks, size = workload("W1" if name == "large" else name, args.data, args.rows)
        layers = (HIDDEN,)
        if name == "large":
            size, layers = 2048, (2000, 2000, 2000)
        for method in args.methods:
            if name == "W4" and method not in ("MIWAE", "PoEVAE"):
                continue
            if name != "W4" and method == "MIWAE":
                continue
            for way in args.ways:
                n_epochs = args.epochs * (1 if way.startswith("cpu") else 3)
                est, rate, whole = fit(way, method, blocks, size, n_epochs, layers)
                row = {"workload": name, "method": method, "way": way, "what": "fit"}
                row |= {"rate": round(rate), "seconds": round(whole, 2), "epochs": n_epochs}
                bench.append(args.out, row)
                if way in ("cpu", "cuda"):
                    for call, rate in predictions(est, blocks):
                        told = {**row, "what": call, "rate": round(rate)}
                        bench.append(args.out, told)


def table(rows):
    for what in ("fit", *CALLS):
        part = [row for row in rows if row["what"] == what]
        lines = list(dict.fromkeys(f"{row['workload']} {row['method']}" for row in part))
        columns = [way for way in WAYS if any(row["way"] == way for row in part)]

        def cell(line, way, part=part):
            name, method = line.split()
            found = [
                row["rate"]
                for row in part
                if (row["workload"], row["method"], row["way"]) == (name, method, way)
            ]
            return f"{found[-1]:,}" if found else "-"

        if lines:
            bench.print_table(f"{what}, rows per second", lines, columns, cell)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an .npz with x_train (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=4, help="on a GPU three times as many")
    parser.add_argument("--workloads", nargs="+", default=["W1", "W2-8", "W3", "W4"])
    parser.add_argument("--methods", nargs="+", default=[*OURS, "PoEVAE"])
    usual = [way for way in WAYS if "compiled" not in way and "bfloat16" not in way]
    parser.add_argument("--ways", nargs="+", default=usual, choices=WAYS)
    parser.add_argument("--out", nargs="+", default=[], help="lines of JSON; the first grows")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if not args.table_only:
        measure(args)
    if args.out:
        table(bench.read(args.out))


if __name__ == "__main__":
    main()
