"""The demonstration: real data, missing halves, linear models to beat, a search, pictures."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .data import Modalities
from .estimators import MVAE, MultimodalFactorAnalysis, PoEVAE
from .inspection import LatentDisplay, LossCurveDisplay

Halves = tuple[np.ndarray, np.ndarray]


def run_demo(out: Path, *, max_iter: int | None, say: Callable[[str], None]) -> dict[str, float]:
    """Fit, compare, search and draw.

    Parameters
    ----------
    out : Path
        Folder for the pictures; made if needed.
    max_iter : int or None
        Epochs of each fit; None leaves the estimators' default.
    say : callable
        Takes each line of the report.

    Returns
    -------
    errors : dict of str to float
        Error of each method on the missing halves of the test rows, relative to column means.
    """
    train, test, labels, test_labels = _digits()
    n_missing = int(np.isnan(train[1][:, 0]).sum())
    say(
        "Handwritten digits (8 x 8) cut into two modalities: upper and lower half, 32 pixels each."
    )
    say(
        f"{len(train[0])} training rows, {n_missing} of them without a lower half; "
        f"{len(test[0])} test rows."
    )
    epochs: dict[str, Any] = {} if max_iter is None else {"max_iter": max_iter}
    models, seconds = {}, {}
    for cls in (PoEVAE, MVAE):
        began = time.perf_counter()
        models[cls.__name__] = cls(random_state=0, n_threads=1, **epochs).fit(list(train))
        seconds[cls.__name__] = time.perf_counter() - began

    filled = _linear_models_and_neighbours(train, test[0])
    for name, model in models.items():
        filled[name] = model.predict_missing([test[0], None])[1]
    mean_error = np.mean((np.nanmean(train[1], axis=0) - test[1]) ** 2)
    errors = {name: float(np.mean((x - test[1]) ** 2) / mean_error) for name, x in filled.items()}
    say("")
    say("Lower halves of the test rows, filled in from the upper halves (column mean = 1):")
    say(f"  {'method':<22}{'squared error':>14}")
    for name, error in sorted(errors.items(), key=lambda item: -item[1]):
        say(f"  {name:<22}{error:>14.3f}")

    say("")
    say("Latents read by a linear classifier, and log-likelihood of the test rows:")
    say(f"  {'':<10}{'both halves':>12}{'upper only':>12}{'nats a row':>12}{'fit':>9}")
    for name, model in models.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(model.transform(list(train)), labels)
        both = probe.score(model.transform(list(test)), test_labels)
        upper = probe.score(model.transform([test[0], None]), test_labels)
        score = model.score(list(test))
        say(f"  {name:<10}{both:>12.1%}{upper:>12.1%}{score:>12.1f}{seconds[name]:>7.1f} s")

    say("")
    few = 20 if max_iter is None else min(20, max_iter)
    say(f"GridSearchCV(PoEVAE(max_iter={few}), {{'latent_dim': [4, 16]}}, cv=3) on Modalities:")
    search = GridSearchCV(
        PoEVAE(max_iter=few, random_state=0, n_threads=1), {"latent_dim": [4, 16]}, cv=3, n_jobs=2
    ).fit(Modalities({"upper": train[0], "lower": train[1]}))
    for params, mean, std in zip(
        search.cv_results_["params"],
        search.cv_results_["mean_test_score"],
        search.cv_results_["std_test_score"],
        strict=True,
    ):
        chosen = "  <- chosen" if params == search.best_params_ else ""
        say(f"  latent_dim={params['latent_dim']:<4}{mean:>9.1f} +- {std:.1f} nats a row{chosen}")

    say("")
    _draw(out, models["PoEVAE"], test, filled, test_labels, say)
    return errors


def _digits() -> tuple[Halves, Halves, np.ndarray, np.ndarray]:
    """Halves of the training and of the test rows, a third of the training lower halves NaN."""
    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        pixels.astype(np.float32), labels, test_size=0.25, stratify=labels, random_state=0
    )
    lower = train[:, 32:].copy()
    rng = np.random.default_rng(0)
    lower[rng.choice(len(lower), len(lower) // 3, replace=False)] = np.nan
    return (train[:, :32], lower), (test[:, :32], test[:, 32:]), train_labels, test_labels


def _linear_models_and_neighbours(train: Halves, upper: np.ndarray) -> dict[str, np.ndarray]:
    """Lower halves by methods that need complete rows, each tuned by cross-validation on them."""
    whole = ~np.isnan(train[1]).any(axis=1)
    x, y = train[0][whole], train[1][whole]
    linear = MultimodalFactorAnalysis().fit(list(train))
    neighbours = GridSearchCV(KNeighborsRegressor(), {"n_neighbors": [3, 5, 10, 20]}, cv=5)
    return {
        "column mean": np.broadcast_to(np.nanmean(train[1], axis=0), (len(upper), y.shape[1])),
        "ridge regression": RidgeCV(np.logspace(-2, 4, 25)).fit(x, y).predict(upper),
        "nearest neighbours": neighbours.fit(x, y).predict(upper),
        "factor analysis": linear.predict_missing([upper, None])[1],
    }


def _draw(
    out: Path,
    model: PoEVAE,
    test: Halves,
    filled: dict[str, np.ndarray],
    labels: np.ndarray,
    say: Callable[[str], None],
) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        say("For pictures, install matplotlib: pip install 'skpoe[plots]'")
        return
    out.mkdir(parents=True, exist_ok=True)
    columns = [np.flatnonzero(labels == digit)[0] for digit in range(10)]
    rows = {"truth": test[1], **{n: filled[n] for n in ("PoEVAE", "MVAE", "ridge regression")}}
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(len(rows), 10)
    for line, (name, lower) in zip(axes, rows.items(), strict=True):
        for axis, n in zip(line, columns, strict=True):
            image = np.concatenate([test[0][n], lower[n]]).reshape(8, 8)
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=16)
            axis.axhline(3.5, color="#0072B2", linewidth=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle("Test digits: the half below the line is filled in from the half above")
    _save(figure, out / "filled-in.png", say)

    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    shown = LatentDisplay.from_estimator(model, list(test), labels, ax=left)
    LatentDisplay.from_estimator(
        model, [test[0], None], labels, projection=shown.projection, ax=right
    )
    left.set_title("Posterior means from both halves")
    right.set(title="Posterior means from the upper half alone", ylabel="")
    _save(figure, out / "latent-map.png", say)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = LossCurveDisplay.from_estimator(model, ax=figure.subplots()).ax_
    axis.set_title("PoEVAE on the training rows")
    _save(figure, out / "loss-curve.png", say)


def _save(figure: Any, path: Path, say: Callable[[str], None]) -> None:
    figure.savefig(path, dpi=120)
    say(f"Wrote {path}")
