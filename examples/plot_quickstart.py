"""Fill in a missing modality
==========================

Handwritten digits whose lower half is unknown, predicted from the upper half.

Run it with ``python examples/plot_quickstart.py``; it takes about half a minute on two cores.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, train_test_split

from skpoe import Modalities, PoEVAE

# %%
# Two modalities about the same rows: the upper and the lower half of each image. A third of the
# training rows lack the lower half. Missing is NaN.
images, digits = load_digits(return_X_y=True)
X = Modalities({"upper": images[:, :32], "lower": images[:, 32:]})
train, test, train_digits, test_digits = train_test_split(
    X, digits, stratify=digits, random_state=0
)
upper, lower = train["upper"], train["lower"].copy()
lower[np.random.default_rng(0).random(len(lower)) < 1 / 3] = np.nan

# %%
# One estimator learns from all rows.

vae = PoEVAE(max_iter=60, random_state=0).fit({"upper": upper, "lower": lower})
print(f"loss: {vae.loss_curve_[0]:.1f} -> {vae.loss_curve_[-1]:.1f} nats a row")

# %%
# Fill in lower halves of rows that the model never saw, from their upper halves alone.

filled = vae.predict_missing({"upper": test["upper"], "lower": None})["lower"]
whole = ~np.isnan(lower[:, 0])
ridge = Ridge(alpha=10.0).fit(upper[whole], lower[whole]).predict(test["upper"])
for name, guess in {
    "column mean": np.nanmean(lower, axis=0),
    "ridge": ridge,
    "PoEVAE": filled,
}.items():
    error = np.mean((guess - test["lower"]) ** 2)
    print(f"mean squared error of the lower half, {name:<12}{error:>7.2f}")

# %%
# One latent space for complete and incomplete rows: a classifier reads both.

probe = LogisticRegression(max_iter=5000)
probe.fit(vae.transform({"upper": upper, "lower": lower}), train_digits)
for name, rows in {
    "both halves": test,
    "upper half only": {"upper": test["upper"], "lower": None},
}.items():
    print(
        f"digits recognised from {name:<16}{probe.score(vae.transform(rows), test_digits):>7.1%}"
    )

# %%
# Hyper-parameters, by stock scikit-learn: wrap the modalities so that they are split by rows.
search = GridSearchCV(
    PoEVAE(max_iter=10, random_state=0), {"latent_dim": [4, 16]}, cv=3, n_jobs=2
).fit(Modalities({"upper": upper, "lower": lower}))
print(f"best latent_dim by log-likelihood: {search.best_params_['latent_dim']}")
