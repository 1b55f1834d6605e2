"""Half of a table's entries hidden: single imputation under the protocol of the MIWAE paper.

    python tests/benchmarks/miwae_tables.py --out miwae.jsonl --uci uci [--sets banknote]
    python tests/benchmarks/miwae_tables.py --out miwae.jsonl --table-only
    python tests/benchmarks/miwae_tables.py --out dev.jsonl --dev --methods MIWAE \
        --label "20 latents" --set latent_dim=20

A fit is a line of JSON, and what is in the files is not run again. Sets: breast cancer (569 x 30)
of scikit-learn; of UCI, banknote_authentication.csv (its first 4 columns) and winequality-red.csv
(12 columns, quality among them). Standardised by mean and deviation of the full table; half of all
entries, drawn without replacement, are hidden. Methods see the table with holes and fill it; with
--dev the holes are others, for choosing settings. "paper" is MIWAE as the paper trains it; it
takes long, and runs only when it is asked for.

error: squared error on hidden entries. log_likelihood: of the observed entries, which were trained
on, nats a row; it rises as coverage falls where a model over-fits. coverage: of nominal 90 %
intervals of what is hidden. seconds: CPU time of the fit, for imputers that of filling too.
Brackets hold standard errors over holes.

The paper (table 1, mean over 5 runs): banknote .446, breast .280, red wine .643 for MIWAE; .676,
.291, .697 for missForest.
"""

import argparse
import time
from pathlib import Path

import bench
import numpy as np
from intervals import coverage
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

UCI = {
    "banknote": ("banknote_authentication.csv", range(4)),
    "red": ("winequality-red.csv", range(12)),
}
SETS = ["breast", *UCI]
KEYS = ["set", "mask", "method", "dev"]
DEV_MASKS = 100  # holes of a number from here on are not reported


def forests(seed):
    """Much like missForest, which grows 100 trees and stops by itself."""
    trees = ExtraTreesRegressor(30, n_jobs=1, random_state=seed)
    return IterativeImputer(trees, max_iter=5, random_state=seed)


IMPUTERS = {
    "mean": lambda seed: SimpleImputer(),
    "knn": lambda seed: KNNImputer(n_neighbors=10),
    "forest": forests,
}
PAPER = {
    "latent_dim": 10,
    "hidden_layer_sizes": (128, 128),
    "activation": "tanh",
    "likelihood": "student_t_decoder",
    "n_samples": 20,
    "imputation": "importance",
    "learning_rate": "constant",
    "learning_rate_init": 1e-3,
    "batch_size": 64,
    "max_iter": 400,
    "n_importance_samples": 1000,
    "init": "random",
    "covariance": "diag",
}
ESTIMATORS = {
    "fa": ("MultimodalFactorAnalysis", {}),
    "MIWAE": ("MIWAE", {}),
    "paper": ("MIWAE", PAPER),
}
METHODS = [*IMPUTERS, *ESTIMATORS]


def load(name, folder):
    """The standardised table; None where its folder was not given."""
    if name in UCI:
        if folder is None:
            return None
        file, columns = UCI[name]
        X = np.loadtxt(Path(folder) / file, delimiter=",", usecols=columns)
    else:
        X = load_breast_cancer().data
    return (X - X.mean(0)) / X.std(0)


def with_holes(X, seed):
    """A copy with half of its entries missing, whole rows among them."""
    holed = X.copy()
    entries = np.random.default_rng(seed).choice(X.size, X.size // 2, replace=False)
    holed.flat[entries] = np.nan
    return holed


def measure(method, X, holed, seed, settings):
    """Numbers of one fit; None if this version of skpoe lacks the method."""
    extra = {}
    began = time.process_time()
    if method in IMPUTERS:
        filled = IMPUTERS[method](seed).fit_transform(holed)
        seconds = time.process_time() - began
    else:
        name, usual = ESTIMATORS[method]
        est = bench.configured(name, seed, usual, settings)
        if est is None:
            return None
        began = time.process_time()
        est.fit(holed)
        seconds = time.process_time() - began
        filled = est.predict_missing(holed)
        extra = {
            "log_likelihood": est.score(holed),
            "coverage": coverage(est, holed, X),
            "auto": getattr(est, "auto_", None),
        }
    error = np.mean((filled - X)[np.isnan(holed)] ** 2)
    return {"error": error, "seconds": round(seconds, 2), **extra}


def report(rows):
    """Print what rows hold, a line a set."""
    sets = [name for name in SETS if any(row["set"] == name for row in rows)]
    methods = bench.methods_of(rows, METHODS)

    def get(key, line, method):
        return bench.values(rows, key, "mask", set=line, method=method)

    def table(title, key, digits):
        def cell(line, method):
            return bench.mean_se(get(key, line, method), digits)

        bench.print_table(title, sets, methods, cell)

    def less_fa(line, method):
        ours, theirs = (get("error", line, name) for name in (method, "fa"))
        return bench.mean_se(bench.difference(ours, theirs))

    table("error on hidden entries", "error", 3)
    models = [name for name in methods if name not in (*IMPUTERS, "fa")]
    bench.print_table("error, less that of fa, paired", sets, models, less_fa)
    table("log-likelihood of observed entries, nats a row", "log_likelihood", 2)
    table("CPU seconds a fit", "seconds", 1)
    table("coverage of 90 % intervals", "coverage", 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    usual = [method for method in METHODS if method != "paper"]
    parser.add_argument("--methods", nargs="+", default=usual, choices=METHODS)
    parser.add_argument("--masks", type=int, nargs="+", default=range(5))
    parser.add_argument("--uci", help="folder of banknote_authentication.csv, winequality-red.csv")
    args = bench.arguments(parser)
    rows = [row for row in bench.read(args.out) if row["dev"] == args.dev]
    done = {tuple(row[key] for key in KEYS) for row in rows}
    for name in () if args.table_only else args.sets:
        X = load(name, args.uci)
        for mask in args.masks if X is not None else ():
            seed = mask + DEV_MASKS * args.dev
            holed = with_holes(X, seed)
            for method in args.methods:
                where = [name, mask, args.label or method, args.dev]
                if tuple(where) in done:
                    continue
                row = measure(method, X, holed, seed, args.settings)
                if row is not None:
                    rows.append(dict(zip(KEYS, where, strict=True)) | row)
                    bench.append(args.out, rows[-1])
    report(rows)


if __name__ == "__main__":
    main()
