"""Where PoEVAE starts: MNIST in an upper and a lower half, 50,000 rows of grey values.

    python tests/benchmarks/mnist_starts.py mnist.npz [--device cuda]

PoEVAE with its defaults, with a random start and nothing that learns to predict ("plain") or
decoders that do ("decoders"), and with a start at factor analysis. Printed: CPU seconds of the
fit, log-likelihood of 2,000 test rows (100 draws, nats), and the squared error of each of their
halves given the other, relative to that of the mean of the training rows.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skpoe import PoEVAE

STARTS = {
    "auto": {},
    "plain": {"init": "random", "prediction_weight": 0.0},
    "decoders": {"init": "random", "prediction_weight": 1.0, "prediction_networks": False},
    "factor_analysis": {"init": "factor_analysis"},
}


def halves(images):
    return np.split(images.reshape(-1, 784).astype(np.float32) / 255, 2, axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="an .npz with x_train and x_test (rows, 28, 28)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--starts", nargs="+", default=STARTS, choices=STARTS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    with np.load(args.data) as file:
        X, test = halves(file["x_train"][:50_000]), halves(file["x_test"][:2000])
    for start in args.starts:
        began = time.process_time()
        est = PoEVAE(**STARTS[start], device=args.device, random_state=args.seed).fit(X)
        seconds = time.process_time() - began
        errors = []
        for m, truth in enumerate(test):
            filled = est.predict_missing([None if i == m else x for i, x in enumerate(test)])[m]
            whole = np.square(truth - X[m].mean(0)).sum()
            errors.append(round(float(np.square(filled - truth).sum() / whole), 3))
        init, score = est.auto_["init"], est.score(test)
        print(
            f"{start} ({init}): {seconds:.0f} s, log-likelihood {score:.1f}, errors {errors}",
            flush=True,
        )


if __name__ == "__main__":
    main()
