"""Hide one modality, predict it from the others: estimators and baselines on small tables.

    python tests/benchmarks/tables.py --out tables.jsonl [--sets wine digits] [--methods fa PoEVAE]
    python tests/benchmarks/tables.py --out tables.jsonl --table-only
    python tests/benchmarks/tables.py --out dev.jsonl --dev --methods PoEVAE \
        --label "20 latents" --set latent_dim=20

A fit is a line of JSON, and what is in the files is not run again. Sets: breast cancer in 3 x 10
columns, wine in 7 + 6, diabetes in 4 + 6, digits in halves of 32 + 32 pixels; with files, TCGA
(150 tumours: mRNA and miRNA, from which the protein is predicted) and CITE-seq (200 cells: the
1,000 genes that vary most in training rows, from which 29 proteins are predicted); by name, those
of hard.py, which are made. A random quarter of the rows is the test. With --dev, that quarter is
set aside, and a quarter of the rest is the test: for choosing settings.

error: squared error of a hidden modality, in units standardised by training rows, relative to
that of the column means; columns that do not vary in training are left out; mean over hidden
modalities. log_likelihood: of all modalities, nats a test row. coverage: of nominal 90 % intervals
of what is hidden. seconds: CPU time of the fit. Brackets hold standard errors over splits, which
share rows, so they are a little too small.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bench
import h5py
import hard
import numpy as np
from intervals import coverage
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

BUNDLED = {
    "cancer": (load_breast_cancer, {}, [10, 20]),
    "wine": (load_wine, {}, [7]),
    "diabetes": (load_diabetes, {"scaled": False}, [4]),
    "digits": (load_digits, {}, [32]),
}
SETS = [*BUNDLED, "tcga", "citeseq"]
KEYS = ["set", "split", "method", "dev"]


@dataclass
class Data:
    """Modalities, which may depend on the training rows, and which of them are hidden."""

    n_rows: int
    modalities: Callable[[np.ndarray], list[np.ndarray]]
    hidden: Sequence[int]


def load(name, args):
    """A data set; None where its file was not given."""
    if name in BUNDLED:
        function, how, cuts = BUNDLED[name]
        X = np.split(function(return_X_y=True, **how)[0], cuts, axis=1)
        return Data(len(X[0]), lambda train: X, range(len(X)))
    if name == "tcga" and args.tcga:
        with np.load(args.tcga) as file:
            X = [file[f"train_{part}"].astype(float) for part in ("mrna", "mirna", "protein")]
        return Data(len(X[0]), lambda train: X, [2])
    if name == "citeseq" and args.citeseq:
        with h5py.File(args.citeseq) as file:
            counts, proteins = (
                file[at][:].astype(float) for at in ("X", "obsm/protein_expression")
            )
        genes = np.log1p(1e4 * counts / counts.sum(1, keepdims=True))
        proteins -= proteins.mean(1, keepdims=True)  # centred log-ratio: depth is no biology

        def modalities(train):
            return [genes[:, np.sort(np.argsort(-genes[train].var(0))[:1000])], proteins]

        return Data(len(genes), modalities, [1])
    if name in hard.HARD:
        n_rows = len(hard.make(name, np.arange(0))[0])
        return Data(n_rows, lambda train: hard.make(name, train), [0, 1])
    return None


def split_rows(n_rows, split, dev):
    train, test = next(ShuffleSplit(1, test_size=0.25, random_state=split).split(range(n_rows)))
    if not dev:
        return train, test
    inner = ShuffleSplit(1, test_size=0.25, random_state=1000 + split)
    return tuple(train[rows] for rows in next(inner.split(train)))


def ridge():
    return RidgeCV(np.logspace(-2, 5, 15))


def neighbours():
    grid = {"n_neighbors": [1, 2, 3, 5, 7, 10, 20], "weights": ["uniform", "distance"]}
    folds = KFold(5, shuffle=True, random_state=0)
    return GridSearchCV(KNeighborsRegressor(), grid, cv=folds, scoring="neg_mean_squared_error")


def regress(make, train, test, hidden, seed):
    """Predict each hidden modality from all others by a regressor; both sides standardised."""
    filled, seconds = {}, 0.0
    for m in hidden:
        known, asked = (np.hstack([*X[:m], *X[m + 1 :]]) for X in (train, test))
        both_scaled = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), make()), transformer=StandardScaler()
        )
        shown = ~np.isnan(np.hstack([known, train[m]])).any(axis=1)
        began = time.process_time()
        both_scaled.fit(known[shown], train[m][shown])
        seconds += time.process_time() - began
        filled[m] = both_scaled.predict(asked)
    return filled, seconds


def chained(train, test, hidden, seed):
    """Chained equations, learnt from complete rows.

    A tolerance of zero keeps all ten rounds: on complete rows nothing changes from round to round,
    and after one round the imputer would stop for good.
    """
    table = np.hstack(train)
    ends = np.cumsum([0, *(x.shape[1] for x in train)])
    nearest = 50 if table.shape[1] > 100 else None
    imputer = IterativeImputer(tol=0.0, n_nearest_features=nearest, random_state=seed)
    pipe = make_pipeline(StandardScaler(), imputer)
    began = time.process_time()
    pipe.fit(table)
    seconds = time.process_time() - began
    filled = {}
    for m in hidden:
        columns = slice(ends[m], ends[m + 1])
        asked = np.hstack(test)
        asked[:, columns] = np.nan
        filled[m] = pipe[0].inverse_transform(pipe.transform(asked))[:, columns]
    return filled, seconds


BASELINES = {
    "mean": lambda train, test, hidden, seed: ({m: np.nanmean(train[m], 0) for m in hidden}, 0.0),
    "ridge": lambda *args: regress(ridge, *args),
    "knn": lambda *args: regress(neighbours, *args),
    "iterative": chained,
}
# usual settings, as far as this version of skpoe has them
ESTIMATORS = {
    "fa": ("MultimodalFactorAnalysis", {}),
    "PoEVAE": ("PoEVAE", {}),
    "random": ("PoEVAE", {"init": "random"}),
}
METHODS = [*BASELINES, *ESTIMATORS]


def measure(method, train, test, hidden, seed, settings):
    """Numbers of one fit; None if this version of skpoe lacks the method."""
    varies = [np.nanmax(x, axis=0) > np.nanmin(x, axis=0) for x in train]
    extra = {}
    if method in BASELINES:
        filled, seconds = BASELINES[method](train, test, hidden, seed)
    else:
        name, usual = ESTIMATORS[method]
        est = bench.configured(name, seed, usual, settings)
        if est is None:
            return None
        began = time.process_time()
        est.fit(train)
        seconds = time.process_time() - began
        asked = {m: [*test[:m], None, *test[m + 1 :]] for m in hidden}
        filled = {m: est.predict_missing(X)[m] for m, X in asked.items()}
        scores = est.score_samples(test)
        covered = [coverage(est, X, test, varies) for X in asked.values()]
        extra = {
            "log_likelihood": np.mean(scores),
            "log_likelihood_median": np.median(scores),
            "coverage": None if None in covered else np.mean(covered),
            "auto": getattr(est, "auto_", None),
        }
    errors = {m: error(filled[m], test[m], train[m], varies[m]) for m in hidden}
    return {
        "error": np.mean([*errors.values()]),
        "errors": [*errors.values()],
        "seconds": round(seconds, 2),
        **extra,
    }


def error(filled, x, reference, varies):
    mean, scale = np.nanmean(reference, 0), np.where(varies, np.nanstd(reference, 0), 1.0)
    ours, theirs = (((x - guess) / scale)[:, varies] ** 2 for guess in (filled, mean))
    return ours.mean() / theirs.mean()


def report(rows):
    """Print what rows hold, a line a set."""
    sets = [name for name in (*SETS, *hard.HARD) if any(row["set"] == name for row in rows)]
    methods = bench.methods_of(rows, METHODS)
    models = [method for method in methods if method not in (*BASELINES, "fa")]

    def get(key, line, method):
        return bench.values(rows, key, "split", set=line, method=method)

    def table(title, key, digits):
        def cell(line, method):
            return bench.mean_se(get(key, line, method), digits)

        bench.print_table(title, sets, methods, cell)

    def versus(key, rivals, digits=3):
        def cell(line, method):
            known = [theirs for theirs in (get(key, line, rival) for rival in rivals) if theirs]
            if not known:
                return "-"
            best = min(known, key=lambda theirs: np.mean([*theirs.values()]))
            return bench.mean_se(bench.difference(get(key, line, method), best), digits)

        title = f"{key}, less that of {' or '.join(rivals)}, paired"
        bench.print_table(title, sets, models, cell)

    table("error of hidden modalities", "error", 3)
    versus("error", ["ridge", "fa"])
    versus("error", ["knn"])
    table("log-likelihood, mean over test rows", "log_likelihood", 2)
    versus("log_likelihood", ["fa"], 2)
    table("log-likelihood, median of test rows", "log_likelihood_median", 2)
    table("CPU seconds a fit", "seconds", 1)
    table("coverage of 90 % intervals", "coverage", 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=[*SETS, *hard.HARD])
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--splits", type=int, nargs="+", default=range(10))
    parser.add_argument("--tcga", help="breast_tcga.npz")
    parser.add_argument("--citeseq", help=".h5ad file of cells with 29 proteins")
    parser.add_argument("--widest", type=int, default=600, help="columns that iterative gets")
    args = bench.arguments(parser)
    rows = [row for row in bench.read(args.out) if row["dev"] == args.dev]
    done = {tuple(row[key] for key in KEYS) for row in rows}
    for name in () if args.table_only else args.sets:
        data = load(name, args)
        for split in args.splits if data else ():
            train, test = split_rows(data.n_rows, split, args.dev)
            X = data.modalities(train)
            n_columns = sum(x.shape[1] for x in X)
            for method in args.methods:
                where = [name, split, args.label or method, args.dev]
                if tuple(where) in done or (method == "iterative" and n_columns > args.widest):
                    continue
                parts = [x[train] for x in X], [x[test] for x in X]
                row = measure(method, *parts, data.hidden, split, args.settings)
                if row is not None:
                    rows.append(dict(zip(KEYS, where, strict=True)) | row)
                    bench.append(args.out, rows[-1])
    report(rows)


if __name__ == "__main__":
    main()
