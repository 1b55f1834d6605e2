"""Which measurement next? Breast cancer, from nothing shown to a diagnosis, column by column.

    python tests/benchmarks/acquisition.py [--out acquisition.jsonl] [--methods fa PartialVAE]
    python tests/benchmarks/acquisition.py --out acquisition.jsonl --table-only

Two modalities: 30 columns about cells, and the diagnosis. Each test row shows nothing at first;
then one column a step is shown, and the diagnosis is predicted from what the row shows. Orders:
"acquire", each row's own, the column whose expected information about the diagnosis is largest;
"random", each row's own; "global", one for all rows, by mutual information with the diagnosis in
training rows. A stratified quarter of the rows is the test. With --dev, that quarter is set aside,
and a quarter of the rest is the test: for choosing settings.

Encoders that read masks are trained on eight copies of the rows, with random holes in all but the
first. wrong: share of wrong diagnoses; log_loss: nats a row; auc: area under the
ROC curve; lists by number of columns shown, 0 to 10 and 30. area: mean over 1 to 10 columns.
Brackets hold standard errors over splits.

Ten latent variables of "fa" were chosen of 3, 6 and 10 with --dev.
"""

import argparse
import time

import bench
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

N_STEPS = 10
ORDERS = ["acquire", "random", "global"]
BINARY = {"likelihood": {"cells": "gaussian", "diagnosis": "bernoulli"}}
ESTIMATORS = {
    "fa": ("MultimodalFactorAnalysis", {"latent_dim": 10}),
    "PartialVAE": ("PartialVAE", BINARY),
    "MIWAE": ("MIWAE", {}),
    "PoEVAE": ("PoEVAE", {"likelihood": "gaussian"}),
}
# encoders that must meet partial rows in training; a factor analysis knows them all
LEARN_HOLES = ("PartialVAE", "MIWAE")
CELLS = [("cells", d) for d in range(30)]


def split_rows(y, split, dev):
    train, test = train_test_split(np.arange(len(y)), stratify=y, random_state=split)
    if not dev:
        return train, test
    return train_test_split(train, stratify=y[train], random_state=1000 + split)


def with_holes(cells, diagnosis, seed, n_copies):
    """Copies of all rows, the first whole; in others each row lacks a share of its own."""
    rng = np.random.default_rng(seed)
    many = np.tile(cells, (n_copies, 1))
    share = rng.uniform(size=(len(many), 1)) * (np.arange(len(many)) >= len(cells))[:, None]
    many[rng.uniform(size=many.shape) < share] = np.nan
    return {"cells": many, "diagnosis": np.tile(diagnosis, (n_copies, 1))}


def numbers(est, shown, y):
    """Errors of the diagnosis given what is shown."""
    guess = est.predict_missing({"cells": shown, "diagnosis": None})["diagnosis"][:, 0]
    p = np.clip(guess, 0.01, 0.99)  # a Gaussian diagnosis has a mean, not a probability
    return {
        "wrong": np.mean((p > 0.5) != y),
        "log_loss": log_loss(y, p, labels=[0, 1]),
        "auc": roc_auc_score(y, guess),
    }


def next_column(est, shown, order, step, ranks):
    """The column that each row is shown next."""
    if order != "acquire":
        return ranks[:, step]
    gains = est.acquire({"cells": shown, "diagnosis": None}, CELLS, "diagnosis")
    gains[~np.isnan(shown)] = -1.0
    return gains.argmax(1)


def curve(est, cells, y, order, ranks):
    """Errors with 0 to 10 columns, and with all."""
    shown, rows, steps = np.full_like(cells, np.nan), np.arange(len(cells)), []
    for step in range(N_STEPS + 1):
        steps.append(numbers(est, shown, y))
        if step < N_STEPS:
            column = next_column(est, shown, order, step, ranks)
            shown[rows, column] = cells[rows, column]
    steps.append(numbers(est, cells, y))
    lists = {key: [step[key] for step in steps] for key in steps[0]}
    return lists | {f"{key} area": np.mean(lists[key][1 : N_STEPS + 1]) for key in steps[0]}


def measure(method, split, dev, settings):
    cells, y = load_breast_cancer(return_X_y=True)
    y = 1 - y  # malignant is 1
    train, test = split_rows(y, split, dev)
    name, usual = ESTIMATORS[method]
    est = bench.configured(name, split, usual, settings)
    began = time.process_time()
    n_copies = 8 if method in LEARN_HOLES else 1
    est.fit(with_holes(cells[train], y[train, None].astype(float), split, n_copies))
    seconds = time.process_time() - began
    rng = np.random.default_rng(split)
    relevance = mutual_info_classif(cells[train], y[train], random_state=split)
    ranks = {
        "acquire": None,
        "random": np.argsort(rng.uniform(size=(len(test), 30)), axis=1),
        "global": np.tile(np.argsort(-relevance), (len(test), 1)),
    }
    for order in ORDERS:
        began = time.process_time()
        row = curve(est, cells[test], y[test], order, ranks[order])
        yield {"order": order, **row, "fit": round(seconds, 1)} | {
            "seconds": round(time.process_time() - began, 1)
        }


def report(rows):
    for method in bench.methods_of(rows, ESTIMATORS):
        mine = [row for row in rows if row["method"] == method]
        for key in ("wrong", "log_loss", "auc"):

            def cell(line, order, mine=mine, key=key):
                lists = bench.values(mine, key, "split", order=order)
                if line == "mean of 1 to 10":
                    return bench.mean_se({s: np.mean(x[1:11]) for s, x in lists.items()})
                at = 11 if line == "30" else int(line)
                return bench.mean_se({s: x[at] for s, x in lists.items()})

            lines = [*map(str, range(N_STEPS + 1)), "30", "mean of 1 to 10"]
            bench.print_table(f"{method}: {key} by number of columns", lines, ORDERS, cell)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=["fa"], choices=ESTIMATORS)
    parser.add_argument("--splits", type=int, nargs="+", default=range(5))
    args = bench.arguments(parser)
    rows = [row for row in bench.read(args.out) if row["dev"] == args.dev]
    done = {(row["split"], row["method"]) for row in rows}
    for split in () if args.table_only else args.splits:
        for method in args.methods:
            where = {"split": split, "method": args.label or method, "dev": args.dev}
            if (split, where["method"]) in done:
                continue
            for row in measure(method, split, args.dev, args.settings):
                rows.append(where | row)
                bench.append(args.out, rows[-1])
    report(rows)


if __name__ == "__main__":
    main()
