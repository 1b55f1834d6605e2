"""Where the defaults come from: settings compared on held-out rows of three small data sets.

    python tests/benchmarks/defaults.py

A quarter of each data set is set aside and never read (the demonstration tests on such rows). Of
the rest, two random splits train on three quarters, with a third of the last modality missing.
Each modality of the held-out rows is hidden in turn and filled in from the others. Printed: mean
squared error relative to the column means, over columns that vary, then test log-likelihood in
nats a row, then CPU seconds a fit.
"""

import argparse
import time

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import ShuffleSplit, train_test_split

from skpoe import MVAE, PoEVAE

DATA = {
    "digits": (load_digits, [32]),
    "cancer": (load_breast_cancer, [10, 20]),
    "wine": (load_wine, [7]),
}
SETTINGS = {
    "PoEVAE": PoEVAE(),
    "PoEVAE, diagonal": PoEVAE(covariance="diag"),
    "PoEVAE, 128 hidden": PoEVAE(hidden_layer_sizes=(128,)),
    "PoEVAE, silu": PoEVAE(activation="silu"),
    "PoEVAE, peak rate 1e-3": PoEVAE(learning_rate_init=1e-3),
    "PoEVAE, 20 latents": PoEVAE(latent_dim=20),
    "MVAE": MVAE(),
    "MVAE, full": MVAE(covariance="full"),
}


def modalities(name):
    """Standardised modalities of the rows that may be read."""
    load, cuts = DATA[name]
    X, y = load(return_X_y=True)
    X, _ = train_test_split(X, test_size=0.25, random_state=0, stratify=y)
    X = X[:, X.std(0) > 0.2 * np.median(X.std(0))] if name == "digits" else X
    cuts = [X.shape[1] // 2] if name == "digits" else cuts
    return np.split(((X - X.mean(0)) / X.std(0)).astype(np.float32), cuts, axis=1)


def measure(est, X):
    """Relative error of hidden modalities, log-likelihood, CPU seconds; means over two splits."""
    rows = []
    for seed, (a, b) in enumerate(ShuffleSplit(2, test_size=0.25, random_state=1).split(X[0])):
        train, test = [x[a].copy() for x in X], [x[b] for x in X]
        train[-1][np.random.default_rng(seed).random(len(a)) < 1 / 3] = np.nan
        began = time.process_time()
        est.set_params(random_state=seed, n_threads=1).fit(train)
        seconds = time.process_time() - began
        errors = []
        for m, x in enumerate(test):
            filled = est.predict_missing([*test[:m], None, *test[m + 1 :]])[m]
            mean = np.nanmean(train[m], axis=0)
            errors.append(np.mean((filled - x) ** 2) / np.mean((mean - x) ** 2))
        rows.append((np.mean(errors), est.score(test), seconds))
    return np.mean(rows, axis=0)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    print(f"{'':<24}" + "".join(f"{name:^26}" for name in DATA))
    for label, est in SETTINGS.items():
        cells = [measure(est, modalities(name)) for name in DATA]
        line = "".join(f"{e:>9.3f}{score:>10.1f}{s:>6.1f} " for e, score, s in cells)
        print(f"{label:<24}{line}", flush=True)


if __name__ == "__main__":
    main()
