"""SIGKILL at random moments of fits with checkpoints: each resumes, to the same bits.

``python tests/kill_fit.py --kills 100`` runs a fit in a process of its own, kills it at a random
moment of its time, at a random line of the code that writes the file, or with a random part of the
file written; resumes it, perhaps kills it again, and compares the weights at the end with those
of a fit that nobody killed. It prints where the kills fell. POSIX alone.
"""

import argparse
import collections
import os
import random
import signal
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

import skpoe

WRITERS = ("io/whole.py", "estimators/checkpoints.py", "estimators/course.py")


def dropping(n_in, n_out):
    """An encoder that draws from torch's own generator."""
    return nn.Sequential(nn.Linear(n_in, 8), nn.Dropout(0.3), nn.Linear(8, n_out))


SMALL = {"hidden_layer_sizes": (16,), "latent_dim": 2, "random_state": 0, "n_threads": 1}
CASES = {
    "with a rehearsal": lambda: skpoe.PoEVAE(**SMALL, max_iter=6),
    "with early stopping": lambda: skpoe.MVAE(
        **SMALL, max_iter=25, early_stopping=True, learning_rate="constant", n_iter_no_change=5
    ),
    "with dropout": lambda: skpoe.MoPoE(**SMALL, max_iter=10, encoder=dropping),
    "every third epoch": lambda: skpoe.MIWAE(**SMALL, max_iter=10, checkpoint_every=3),
    "from held-out rows": lambda: skpoe.PoEVAE(**SMALL, max_iter=10, early_stopping=True),
}


def data():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 1))
    X = [z + 0.3 * rng.normal(size=(60, width)) for width in (5, 3)]
    X[1][::4] = np.nan
    return X


def child(case, path, how, rng):
    """Fit in a process of its own, which may be set to kill itself; give its number."""
    number = os.fork()
    if number:
        return number
    try:
        if how == "line":
            arm_lines(rng.randrange(1, 1500))
        elif how == "torn":
            arm_torn(rng, rng.randrange(1, 12))
        CASES[case]().set_params(checkpoint=path, resume=True).fit(data())
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(1)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def arm_lines(count):
    """Die at so many lines of the code that writes."""
    left = [count]

    def trace(frame, event, arg):
        if not frame.f_code.co_filename.endswith(WRITERS):
            return None
        left[0] -= event == "line"
        if not left[0]:
            die()
        return trace

    sys.settrace(trace)


def arm_torn(rng, count):
    """Die in a write, so many writes from now, with a part of it in the file."""
    fsync, left = os.fsync, [count]

    def torn(descriptor):
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode):  # folders are synchronised too
            left[0] -= 1
            if not left[0]:
                os.ftruncate(descriptor, rng.randrange(about.st_size + 1))
                die()
        fsync(descriptor)

    os.fsync = torn


def wait(number):
    """Wait for a process: 0 when it ended well, -9 when it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def state_of(path):
    return skpoe.load(path, trusted=[dropping]).model_.state_dict()


def uninterrupted(case):
    """Weights of a fit without a checkpoint, and how long one with a checkpoint takes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if wait(child(case, Path(folder) / "whole.skpoe", None, None)):
            raise RuntimeError(f"{case}: the fit failed")
        seconds = time.perf_counter() - began
    return CASES[case]().fit(data()).model_.state_dict(), seconds


def run(n_kills, first=0):
    """Kill so often; give how kills fell, and what was wrong."""
    counts, wrong, kills, number, whole = collections.Counter(), [], 0, first, {}
    while kills < n_kills and len(wrong) < 5:
        rng = random.Random(number)
        case = [*CASES][number % len(CASES)]
        if case not in whole:
            whole[case] = uninterrupted(case)
        reference, seconds = whole[case]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fit.skpoe"
            for _ in range(rng.choice([1, 1, 2, 3])):
                how = rng.choice(["moment", "line", "torn"])
                process = child(case, path, how, rng)
                if how == "moment":
                    time.sleep(rng.uniform(0, seconds))
                    os.kill(process, signal.SIGKILL)
                if wait(process) != -signal.SIGKILL:
                    counts["came to their end first"] += 1
                    continue
                kills += 1
                counts[f"at a random {how}" if how != "torn" else "in a torn write"] += 1
                counts["with a temporary file left"] += len(list(Path(folder).glob(".*"))) > 0
                if path.exists():
                    counts["with a checkpoint there"] += 1
                    state_of(path)  # whole, whatever happened
            if wait(child(case, path, None, None)):
                wrong.append(f"number {number}, {case}: it cannot be resumed")
            elif not same(state_of(path), reference):
                wrong.append(f"number {number}, {case}: other weights")
            if left := {entry.name for entry in Path(folder).iterdir()} - {path.name}:
                wrong.append(f"number {number}, {case}: left behind {left}")
        number += 1
    counts["kills"], counts["fits"] = kills, number - first
    return counts, wrong


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first fit")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    began = time.perf_counter()
    counts, wrong = run(arguments.kills, arguments.first)
    for what, times in counts.most_common():
        print(f"{times:6,}  {what}")
    print(f"{len(wrong):6,}  failures, in {time.perf_counter() - began:.0f} seconds")
    for what in wrong:
        print(f"FAILED {what}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
