"""Where the time of a training step goes, operation by operation.

    OMP_NUM_THREADS=1 python tests/benchmarks/step_profile.py --data mnist.npz

Workloads and methods are those of speed.py. Shares of the CPU time that torch's profiler sees, its
own cost for each operation included; what comes before the first step is left out.
"""

import argparse
import warnings

import bench
import torch
from sklearn.exceptions import ConvergenceWarning
from speed import METHODS, WORKLOADS, ours, workload
from torch.profiler import ProfilerActivity, profile

from skpoe.stepping import Stepper

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def measure(run):
    """Profile the steps of three epochs: times by operation, and how many steps there were."""
    take, steps = Stepper.take, 0

    def counted(self, *args):
        nonlocal steps
        steps += 1
        if steps == 1:
            profiler.start()
        take(self, *args)

    run(1)
    profiler = profile(activities=[ProfilerActivity.CPU])
    Stepper.take = counted
    try:
        run(3)
    finally:
        Stepper.take = take
        profiler.stop()
    return profiler.key_averages(), steps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an .npz with x_train (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--workload", default="W1", choices=WORKLOADS)
    parser.add_argument("--method", default="MVAE", choices=METHODS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    blocks, size = workload(args.workload, args.data, args.rows)
    events, steps = measure(ours(args.method, blocks, size))
    whole = sum(event.self_cpu_time_total for event in events)
    of_products = [e.self_cpu_time_total for e in events if e.key in PRODUCTS]
    others = sorted(
        (e for e in events if e.key not in PRODUCTS), key=lambda e: -e.self_cpu_time_total
    )
    rows = {
        "matrix products": (sum(of_products), sum(e.count for e in events if e.key in PRODUCTS))
    }
    rows |= {e.key: (e.self_cpu_time_total, e.count) for e in others[:12]}

    def cell(line, column):
        time, count = rows[line]
        return f"{time / whole:.1%}" if column == "share" else f"{count / steps:.1f}"

    title = f"{args.workload} {args.method}: {whole / steps / 1000:.2f} ms a step"
    bench.print_table(title, list(rows), ["share", "calls"], cell)


if __name__ == "__main__":
    main()
