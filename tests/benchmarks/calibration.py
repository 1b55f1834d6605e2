"""How often intervals of hidden modalities cover, before and after conformal adjustment.

    python tests/benchmarks/calibration.py --out calibration.jsonl [--sets cancer wine tcga]
    python tests/benchmarks/calibration.py --out calibration.jsonl --table-only

A line of JSON is one fit. Half of the rows train PoEVAE with its defaults, a quarter calibrates, a
quarter is the test; of both each modality is hidden in turn (of TCGA the protein). Sets are those
of tables.py. width: mean width of intervals, in standard deviations of the training rows. Brackets
hold standard errors over splits.
"""

import argparse

import bench
import numpy as np
import tables
from intervals import hidden, inside
from sklearn.model_selection import ShuffleSplit

from skpoe import PoEVAE
from skpoe.imputation import ConformalIntervals

LEVELS = (0.5, 0.8, 0.9, 0.95)


def split_rows(n_rows, split):
    half = next(ShuffleSplit(1, test_size=0.5, random_state=split).split(range(n_rows)))
    return half[0], *np.array_split(half[1], 2)


def covered(results, truth, train, varies):
    """Share inside, and mean width, of the hidden cells of columns that vary."""
    share, width = [], []
    for X, ends in results:
        share.append(inside(ends, X, truth, varies))
        for x, (_, low, high, cells) in zip(train, hidden(ends, X, truth, varies), strict=True):
            width.append((high - low) / np.broadcast_to(x.std(0), cells.shape)[cells])
    return float(np.concatenate(share).mean()), float(np.concatenate(width).mean())


def measure(data, split):
    rows = split_rows(data.n_rows, split)
    X = data.modalities(rows[0])
    train, calibration, test = ([x[part] for x in X] for part in rows)
    varies = [np.ptp(x, axis=0) > 0 for x in train]
    est = PoEVAE(random_state=split, n_threads=1).fit(train)

    def hide(X, m):
        return [*X[:m], None, *X[m + 1 :]]

    for level in LEVELS:
        before, after = [], []
        for m in data.hidden:
            asked, conformal = hide(test, m), ConformalIntervals(est, coverage=level)
            before.append((asked, est.predict_interval(asked, level)))
            conformal.fit(hide(calibration, m), calibration)
            after.append((asked, conformal.predict(asked)))
        for kind, results in (("model", before), ("conformal", after)):
            share, width = covered(results, test, train, varies)
            yield {"level": level, "kind": kind, "coverage": share, "width": width}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=["cancer", "wine", "tcga"])
    parser.add_argument("--splits", type=int, nargs="+", default=range(5))
    parser.add_argument("--tcga", help="breast_tcga.npz")
    parser.add_argument("--out", nargs="+", default=[])
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    rows = bench.read(args.out)
    done = {(row["set"], row["split"]) for row in rows}
    for name in () if args.table_only else args.sets:
        data = tables.load(name, args)
        for split in args.splits if data else ():
            if (name, split) not in done:
                for row in measure(data, split):
                    rows.append({"set": name, "split": split, **row})
                    bench.append(args.out, rows[-1])
    columns = [f"{kind} {level:.0%}" for level in LEVELS for kind in ("model", "conformal")]
    for key in ("coverage", "width"):

        def cell(line, column, key=key):
            kind, level = column.split()
            where = {"set": line, "kind": kind, "level": float(level.rstrip("%")) / 100}
            return bench.mean_se(bench.values(rows, key, "split", **where))

        bench.print_table(key, args.sets, columns, cell)


if __name__ == "__main__":
    main()
