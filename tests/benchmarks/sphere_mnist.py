"""Hyperspherical against Gaussian latent variables on MNIST, as in Davidson et al. (2018).

    python tests/benchmarks/sphere_mnist.py mnist.npz [--epochs 60] [--seeds 0 1 2] [--dims 2 5 10]

mnist.npz holds x_train, y_train, x_test, y_test. The first 50,000 training images are binarised
anew whenever they are read (a pixel is on with the probability that is its grey value), the test
images once. One modality, Bernoulli decoder, layers 784-256-128-d-128-256-784, batches of 128, the
library's one-cycle learning rate with a peak of 0.003, a warm-up of the KL over the first fifth of
the epochs. "S" is ``SphericalVAE`` on one sphere of
dimension d, "N" is ``MVAE`` with d latent variables, which for one modality is the plain Gaussian
VAE.

Printed for each fit, as a line of JSON: the test log-likelihood (importance sampling, 500 draws,
nats an image), and the accuracy of five nearest neighbours on the latent positions of the test
images from 100, 600 and 1,000 labelled training images (mean of ten draws of them). At the end:
the mean over seeds with its standard error. The paper trains for up to 500 epochs with batches of
64, a rate of 0.001, a warm-up of the KL over 100 epochs and early stopping; here both kinds have
the same fewer epochs and no early stopping.
"""

import argparse
import json
import time

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from skpoe import MVAE, Modalities, SphericalVAE

LABELS = (100, 600, 1000)
SHARED = {
    "hidden_layer_sizes": (256, 128),
    "likelihood": "bernoulli",
    "batch_size": 128,
    "early_stopping": False,
    "n_importance_samples": 500,
}


def binarise(images, seed):
    rng = np.random.default_rng(seed)
    return (rng.random(images.shape, dtype=np.float32) < images).astype(np.float32)


class Grey:
    """Images that are binarised each time that they are read, as a table that lies elsewhere."""

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, images, seed):
        self.images, self.shape, self.rng = images, images.shape, np.random.default_rng(seed)

    def __getitem__(self, rows):
        grey = self.images[rows]
        return (self.rng.random(grey.shape, dtype=np.float32) < grey).astype(np.float32)


def flat(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255


def make(kind, dim, seed, n_threads):
    how = {**SHARED, "random_state": seed, "n_threads": n_threads}
    if kind == "S":
        return SphericalVAE(n_spheres=1, sphere_dim=dim, **how)
    return MVAE(latent_dim=dim, **how)


def neighbours(est, train, labels, test, truth, seed):
    """Mean accuracy for each number of labelled images."""
    rng = np.random.default_rng(seed)
    Z_train, Z_test = est.transform(Modalities({"image": train})), est.transform(test)
    accuracy = {}
    for n in LABELS:
        accuracies = []
        for _ in range(10):
            rows = rng.choice(len(train), n, replace=False)
            knn = KNeighborsClassifier(5).fit(Z_train[rows], labels[rows])
            accuracies.append(knn.score(Z_test, truth))
        accuracy[n] = float(np.mean(accuracies))
    return accuracy


def table(results, dims):
    """Means over seeds, and the standard error of the mean, of S, of N, and of S less N."""
    columns = ["log_likelihood", *(f"knn_{n}" for n in LABELS)]
    print("    d  " + "".join(f"{name:>28}" for name in columns))
    for dim in dims:
        found = [r for r in results if r["d"] == dim]
        by_kind = {
            kind: np.array([[r[c] for c in columns] for r in found if r["kind"] == kind])
            for kind in "SN"
        }
        n = min(map(len, by_kind.values()))
        by_kind["S-N"] = by_kind["S"][:n] - by_kind["N"][:n]
        for kind, values in by_kind.items():
            error = (
                values.std(0, ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0 * values[0]
            )
            shown = zip(values.mean(0), error, strict=True)
            print(f"{dim:>5} {kind:>3}" + "".join(f"{m:>20.3f} ({e:.3f})" for m, e in shown))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    with np.load(args.mnist) as file:
        grey, labels = flat(file["x_train"][:50_000]), file["y_train"][:50_000]
        test = Modalities({"image": binarise(flat(file["x_test"]), 12345)})
        truth = file["y_test"]
    results = []
    for seed in args.seeds:
        for dim in args.dims:
            for kind in "SN":
                est = make(kind, dim, seed, args.threads).set_params(
                    max_iter=args.epochs, kl_warmup=args.epochs // 5
                )
                began = time.process_time()
                est.fit(Modalities({"image": Grey(grey, seed)}))
                fitted = time.process_time() - began
                accuracy = neighbours(est, binarise(grey, seed), labels, test, truth, seed)
                result = {
                    "kind": kind,
                    "d": dim,
                    "seed": seed,
                    "epochs": args.epochs,
                    "log_likelihood": est.score(test),
                    **{f"knn_{n}": value for n, value in accuracy.items()},
                    "cpu_seconds_fit": round(fitted, 1),
                }
                results.append(result)
                print(json.dumps(result), flush=True)
    table(results, args.dims)


if __name__ == "__main__":
    main()
