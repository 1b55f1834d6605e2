"""Predict a missing omics layer
=============================

Patients whose protein was not measured: it is predicted from their RNA.

Run it with ``python examples/plot_multiomics.py``, or with ``--tcga breast_tcga.npz`` on the
breast cancer data of mixOmics (mRNA, miRNA and protein; 150 patients to learn from, 70 without
protein). Without a file, a synthetic stand-in of the same shape is used. About a minute on two
cores.
"""

import argparse

import numpy as np
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skpoe import Modalities, PerModality, PoEVAE
from skpoe.scorers import CrossModal

WIDTHS = {"mrna": 200, "mirna": 184, "protein": 142}


def load(path):
    """Training and test patients, and their subtypes; the test patients lack protein."""
    if path is None:
        rng = np.random.default_rng(0)
        subtypes = rng.integers(0, 3, 220)
        cause = 2 * np.eye(3)[subtypes] + rng.normal(size=(220, 3))
        tables = {
            name: np.tanh(cause @ rng.normal(size=(3, width))) + rng.normal(size=(220, width))
            for name, width in WIDTHS.items()
        }
        train = {name: x[:150] for name, x in tables.items()}
        test = {name: x[150:] for name, x in tables.items()}
        return train, {**test, "protein": None}, subtypes[:150], subtypes[150:]
    with np.load(path) as data:
        train = {name: data[f"train_{name}"] for name in WIDTHS}
        test = {name: data[f"test_{name}"] for name in ("mrna", "mirna")}
        return train, {**test, "protein": None}, data["train_subtype"], data["test_subtype"]


def relative_error(guess, truth, train):
    return np.mean((guess - truth) ** 2) / np.mean((train.mean(axis=0) - truth) ** 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tcga", help="breast_tcga.npz")
    train, test, subtypes, test_subtypes = load(parser.parse_args().tcga)
    X = Modalities(train)

    # Scale each modality on its observed rows, then search: how well is protein predicted from
    # the others? R2 compares across scalings, which a log-likelihood does not.
    pipeline = make_pipeline(
        PerModality(StandardScaler()), PoEVAE(max_iter=60, random_state=0, n_threads=1)
    )
    folds = KFold(3, shuffle=True, random_state=0)  # the patients are sorted by subtype
    search = GridSearchCV(
        pipeline,
        {"poevae__latent_dim": [8, 32]},
        scoring=CrossModal("protein"),
        cv=folds,
        n_jobs=2,
    ).fit(X)
    for params, r2 in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"latent_dim={params['poevae__latent_dim']:<4} R2 of hidden protein {r2:.3f}")

    # Against ridge regression on the other modalities, on patients that neither has seen.
    errors = {"ridge": [], "PoEVAE": []}
    for a, b in folds.split(X):
        known, hidden = X[a], X[b]
        others = [np.hstack([part["mrna"], part["mirna"]]) for part in (known, hidden)]
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 20)))
        guess = ridge.fit(others[0], known["protein"]).predict(others[1])
        errors["ridge"].append(relative_error(guess, hidden["protein"], known["protein"]))
        fitted = clone(search.best_estimator_).fit(known)
        shown = {"mrna": hidden["mrna"], "mirna": hidden["mirna"], "protein": None}
        guess = predict_protein(fitted, shown)
        errors["PoEVAE"].append(relative_error(guess, hidden["protein"], known["protein"]))
    for name, values in errors.items():
        print(f"squared error of hidden protein (column mean = 1), {name:<7}{np.mean(values):.3f}")

    protein = predict_protein(search.best_estimator_, test)
    print(f"protein predicted for {len(protein)} test patients, {protein.shape[1]} proteins each")

    # Subtypes of the patients without protein, from latents; and from imputed columns.
    probe = LogisticRegression(max_iter=5000)
    best = search.best_estimator_
    accuracy = probe.fit(best.transform(X), subtypes).score(best.transform(test), test_subtypes)
    print(f"subtypes recognised from latents                 {accuracy:.1%}")
    missing = np.full((len(test["mrna"]), WIDTHS["protein"]), np.nan)
    flat = np.hstack([test["mrna"], test["mirna"], missing])
    baseline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=5000))
    accuracy = baseline.fit(X.to_numpy(), subtypes).score(flat, test_subtypes)
    print(f"subtypes recognised from all columns, mean-filled {accuracy:.1%}")


def predict_protein(fitted, X):
    """Fill protein in, and take it back to its own units."""
    scaler, vae = fitted[0], fitted[-1]
    return scaler.inverse_transform(vae.predict_missing(scaler.transform(X)))["protein"]


if __name__ == "__main__":
    main()
