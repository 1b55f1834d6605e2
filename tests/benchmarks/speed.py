"""Training rows per CPU second: ours, a lean hand-written loop, and multivae, in turn, in one run.

    OMP_NUM_THREADS=1 python tests/benchmarks/speed.py --data mnist.npz --out speed.jsonl

Workloads: ``W1``, halves of binarised 28 x 28 digits (392 + 392 pixels); ``W2-4``, ``W2-8`` and
``W2-16``, the same pixels in so many blocks; ``W3``, halves of scikit-learn's digits (32 + 32),
binarised; ``W4``, a table of 30 binarised features; ``W5``, 2 x 10,000 random bits in 2,000 rows.
One hidden layer of 200 units, ReLU, 20 latent variables, Bernoulli, Adam, batches of 256 (W3, W4:
128). MMVAE and MIWAE draw 10 times; MMVAE's gradient is DReG, its bound the looser one. The lean
loop (lean.py) does the same mathematics; where a mixture has many components it draws one a row,
which ``MoPoE`` does with ``n_drawn=1``. Without a file (an .npz with x_train), random bits of the
same shape are used: they take the same time.

The peer runs where it can be imported; multivae_digits.py says how to install it. "compiled" is
ours with ``compile=True``; it runs only when it is asked for, since compiling takes a minute. Each
contestant is timed by the CPU seconds of some epochs, what comes before the second one taken off.
One JSON line a measurement, then medians, and medians of ratios that are paired by repeat.
"""

import argparse
import time
import warnings

import bench
import numpy as np
import torch
from lean import N_DRAWS, Lean
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning

from skpoe.stepping import Stepper

LATENT, HIDDEN = 20, 200
METHODS = ("PoE", "MVAE", "MMVAE", "MoPoE", "MIWAE", "SphericalVAE")
OURS = {
    "PoE": ("ModularVAE", {"variational_strategy": "product_of_experts", "objective": "elbo"}),
    "MVAE": ("MVAE", {}),
    "MMVAE": ("MMVAE", {"n_samples": N_DRAWS}),
    "MoPoE": ("MoPoE", {"n_drawn": 1}),
    "MIWAE": (
        "MIWAE",
        {"n_samples": N_DRAWS, "covariance": "diag", "activation": "relu", "weight_decay": 0.0},
    ),
    "SphericalVAE": (
        "SphericalVAE",
        {"n_spheres": 1, "sphere_dim": LATENT - 1, "objective": "elbo"},
    ),
}
WORKLOADS = ("W1", "W2-4", "W2-8", "W2-16", "W3", "W4", "W5")


def workload(name, file, n_rows):
    """Bits (M, N, F), and rows in a batch."""
    if name == "W3":
        bits, size = load_digits().data > 7, 128
    elif name == "W4":
        table = load_breast_cancer().data
        bits, size = table > np.median(table, axis=0), 128
    elif name == "W5":
        bits, size = np.random.default_rng(0).random((2000, 20_000)) < 0.13, 256
    elif file:
        bits, size = np.load(file)["x_train"][:n_rows].reshape(-1, 784) > 127, 256
    else:
        bits, size = np.random.default_rng(0).random((n_rows, 784)) < 0.13, 256
    n_blocks = {"W1": 2, "W3": 2, "W4": 1, "W5": 2}.get(name) or int(name.split("-")[1])
    blocks = np.split(bits.astype(np.float32), n_blocks, axis=1)
    return np.stack(blocks), size


def ours(method, blocks, size, seed=0, **more):
    """Make a function that takes CPU seconds of so many epochs after the first."""
    name, changed = OURS[method]
    usual = {
        "latent_dim": LATENT,
        "hidden_layer_sizes": (HIDDEN,),
        "activation": "relu",
        "likelihood": "bernoulli",
        "learning_rate": "constant",
        "learning_rate_init": 1e-3,
        "batch_size": size,
        "early_stopping": False,
        "init": "random",
        "dtype": "float32",
        "beta": 1.0,
        "kl_warmup": 0,
    }
    X = list(blocks) if len(blocks) > 1 else blocks[0]

    def run(n_epochs):
        settings = {**changed, **more, "max_iter": 1 + n_epochs}
        est = bench.configured(name, seed, usual, settings)
        finish, ends = Stepper.finish, []

        def noted(self):
            said = finish(self)
            ends.append(time.process_time())
            return said

        Stepper.finish = noted
        try:
            est.fit(X)
        finally:
            Stepper.finish = finish
        return ends[-1] - ends[0]

    return run


def compiled(method, blocks, size, seed=0):
    return ours(method, blocks, size, seed, compile=True)


def lean(method, blocks, size, seed=0):
    def run(n_epochs):
        loop = Lean(method, torch.from_numpy(blocks), LATENT, HIDDEN, seed)
        loop.epoch(size)
        began = time.process_time()
        for _ in range(n_epochs):
            loop.epoch(size)
        return time.process_time() - began

    return run


def theirs(method, blocks, size, seed=0):
    """multivae's, or None where it cannot be imported or has no such method."""
    try:
        from multivae_speed import trained
    except ImportError:
        return None
    whole = trained(method, blocks, size, seed, LATENT, HIDDEN)
    return whole and (lambda n_epochs: whole(1 + n_epochs) - whole(1))


CONTESTANTS = {"lean": lean, "ours": ours, "compiled": compiled, "multivae": theirs}


def measure(args):
    for name in args.workloads:
        blocks, size = workload(name, args.data, args.rows)
        for method in args.methods:
            if (name == "W4") != (method == "MIWAE") and not args.every:
                continue
            runs = {
                label: run
                for label in args.contestants
                if (run := CONTESTANTS[label](method, blocks, size)) is not None
            }
            n_epochs = args.epochs * max(1, 10_000 // blocks.shape[1])
            for repeat in range(args.repeats):
                for label, run in runs.items():
                    taken = run(n_epochs)
                    row = {"workload": name, "method": method, "contestant": label}
                    row |= {"repeat": repeat, "rate": round(blocks.shape[1] * n_epochs / taken)}
                    bench.append(args.out, row)


def table(rows):
    lines = list(dict.fromkeys(f"{row['workload']} {row['method']}" for row in rows))

    def rates(line, label):
        name, method = line.split()
        where = {"workload": name, "method": method, "contestant": label}
        return bench.values(rows, "rate", "repeat", **where)

    def cell(line, column):
        if "/" not in column:
            found = list(rates(line, column).values())
            return f"{np.median(found):,.0f}" if found else "-"
        a, b = (rates(line, label) for label in column.split(" / "))
        ratios = [a[repeat] / b[repeat] for repeat in a if repeat in b]
        return f"{np.median(ratios):.2f}" if ratios else "-"

    columns = ["ours", "lean", "multivae", "ours / lean", "ours / multivae"]
    if any(row["contestant"] == "compiled" for row in rows):
        columns += ["compiled", "compiled / lean"]
    bench.print_table("Training rows per CPU second, medians", lines, columns, cell)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an .npz with x_train (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=WORKLOADS, choices=WORKLOADS)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    usual = [label for label in CONTESTANTS if label != "compiled"]
    parser.add_argument("--contestants", nargs="+", default=usual, choices=CONTESTANTS)
    parser.add_argument("--every", action="store_true", help="also MIWAE beside W4")
    parser.add_argument("--flush", action="store_true", help="tiny numbers are zero, for all")
    parser.add_argument("--out", nargs="+", default=[], help="lines of JSON; the first grows")
    parser.add_argument("--table-only", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(args.flush)
    warnings.simplefilter("ignore", ConvergenceWarning)
    if not args.table_only:
        measure(args)
    if args.out:
        table(bench.read(args.out))


if __name__ == "__main__":
    main()
