"""What a second core brings to one fit: a second thread, or a second process.

    python tests/benchmarks/two_cores.py --data mnist.npz

MVAE on halves of MNIST, with the layers of speed.py (workload W1): wall seconds of an epoch with
one thread, with two, and with two processes of one thread each that torchrun starts, in turn; what
comes before the second epoch is taken off. Medians, and rows per second.
"""

import argparse
import subprocess
import sys
import warnings

import bench
import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from speed import HIDDEN, LATENT, workload

from skpoe import MVAE


def seconds_of(blocks, n_threads, n_epochs):
    """Wall seconds of so many epochs, after the first."""
    est = MVAE(
        latent_dim=LATENT,
        hidden_layer_sizes=(HIDDEN,),
        likelihood="bernoulli",
        batch_size=256,
        max_iter=1 + n_epochs,
        early_stopping=False,
        n_threads=n_threads,
        random_state=0,
    ).fit(list(blocks))
    return sum(record["seconds"] for record in est.history_[1:])


def share(args):
    """Be one of the processes that torchrun has started."""
    torch.distributed.init_process_group("gloo")
    taken = seconds_of(workload("W1", args.data, args.rows)[0], 1, args.epochs)
    if torch.distributed.get_rank() == 0:
        print(taken)
    torch.distributed.destroy_process_group()


def together(args):
    """Wall seconds of two processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", __file__]
    words = ["--share", "--rows", str(args.rows), "--epochs", str(args.epochs)]
    words += ["--data", args.data] if args.data else []
    done = subprocess.run([*start, *words], capture_output=True, check=True, text=True)
    return float(done.stdout.split()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an .npz with x_train (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--share", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if args.share:
        return share(args)
    blocks = workload("W1", args.data, args.rows)[0]
    taken = {"one thread": [], "two threads": [], "two processes": []}
    for _ in range(args.repeats):
        taken["one thread"].append(seconds_of(blocks, 1, args.epochs))
        taken["two threads"].append(seconds_of(blocks, 2, args.epochs))
        taken["two processes"].append(together(args))
    n_rows = blocks.shape[1] * args.epochs
    lines = list(taken)

    def cell(line, column):
        if column == "rows per second":
            return f"{n_rows / np.median(taken[line]):,.0f}"
        ratios = np.array(taken["one thread"]) / np.array(taken[line])
        return f"{np.median(ratios):.2f}"

    bench.print_table("MVAE, wall clock", lines, ["rows per second", "times one thread"], cell)
    return None


if __name__ == "__main__":
    main()
