"""Pictures of a fitted estimator
==============================

Every display, and the report: digits in two halves.

Run it with ``python examples/plot_pictures.py``; it takes about half a minute on one core, and
writes PNG files and an HTML page to the folder ``pictures``.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skpoe import Modalities, PoEVAE
from skpoe.datasets import drop_modalities
from skpoe.inspection import (
    CoverageDisplay,
    ImputationDisplay,
    LatentDisplay,
    LossCurveDisplay,
    MissingnessDisplay,
    ModalityContributionDisplay,
    PosteriorDisplay,
)

# %%
# Each half is hidden in a fifth of the training rows, never both.

images, digits = load_digits(n_class=5, return_X_y=True)
X = Modalities({"upper": images[:, :32], "lower": images[:, 32:]})
train, test, train_digits, test_digits = train_test_split(X, digits, random_state=0)
train = drop_modalities(train, 0.2, random_state=0)
vae = PoEVAE(latent_dim=2, max_iter=40, random_state=0).fit(train)

# %%
# What is to be predicted: the lower halves of rows that the model never saw.

known = {"upper": test["upper"], "lower": test["lower"]}
holed = {"upper": test["upper"], "lower": np.full_like(test["lower"], np.nan)}

folder = Path("pictures")
folder.mkdir(exist_ok=True)


def save(name, draw, size=(6, 4)):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    draw(ax)
    figure.savefig(folder / name, dpi=120)
    print(f"Wrote {folder / name}")


# %%
# Training, and what the rows show.

save("loss.png", lambda ax: LossCurveDisplay.from_estimator(vae, ax=ax))
save("missingness.png", lambda ax: MissingnessDisplay.from_estimator(vae, train, ax=ax), (6, 2))

# %%
# The latent space.

save("latent.png", lambda ax: LatentDisplay.from_estimator(vae, test, test_digits, ax=ax))
save("shown.png", lambda ax: LatentDisplay.from_estimator(vae, train, ax=ax))

# %%
# What modalities tell of it, and how near the posterior of a row comes to the true one.

save("told.png", lambda ax: ModalityContributionDisplay.from_estimator(vae, test, ax=ax), (6, 3))
save("posterior.png", lambda ax: PosteriorDisplay.from_estimator(vae, test, row=0, ax=ax))

# %%
# What is filled in, against the truth.

save(
    "coverage.png",
    lambda ax: CoverageDisplay.from_estimator(vae, holed, known, n_draws=100, ax=ax),
)
save(
    "cells.png",
    lambda ax: ImputationDisplay.from_estimator(vae, holed, known, subsample=100, ax=ax),
)
save(
    "images.png",
    lambda ax: ImputationDisplay.from_estimator(vae, holed, known, image_shape=(4, 8), ax=ax),
    (8, 2.4),
)

# %%
# All of it, and more, on one page.

path = vae.report(train, folder / "report.html", y=train_digits, held_out=test, max_rows=200)
print(f"Wrote {path}")
