"""Measure what matters
====================

Diagnoses from a few of 30 measurements, chosen for each patient.

Run it with ``python examples/plot_active_acquisition.py``; it takes about half a minute on one
core.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skpoe import MultimodalFactorAnalysis

# %%
# Two modalities: 30 measurements of cells, and the diagnosis (1 is malignant).
cells, benign = load_breast_cancer(return_X_y=True)
diagnosis = 1.0 - benign[:, None]
train, test = train_test_split(np.arange(len(cells)), stratify=benign, random_state=0)
est = MultimodalFactorAnalysis(latent_dim=10).fit(
    {"cells": cells[train], "diagnosis": diagnosis[train]}
)
patients, truth = cells[test], diagnosis[test, 0]
columns = [("cells", d) for d in range(30)]


def wrong(shown):
    """Share of patients whose diagnosis is wrong, given what was measured."""
    guess = est.predict_missing({"cells": shown, "diagnosis": None})["diagnosis"][:, 0]
    return np.mean((guess > 0.5) != truth)


# %%
# Nothing is known of anyone at first. At each step, each patient has the measurement that is
# expected to say most of the diagnosis, given what was measured before; or one at random.
rows, rng = np.arange(len(test)), np.random.default_rng(0)
chosen = np.full_like(patients, np.nan)
at_random = chosen.copy()
order = rng.uniform(size=patients.shape).argsort(axis=1)
print(f"{'measured':>8}{'chosen':>12}{'at random':>12}   wrong diagnoses")
for step in range(7):
    print(f"{step:>8}{wrong(chosen):>12.1%}{wrong(at_random):>12.1%}")
    gains = est.acquire({"cells": chosen, "diagnosis": None}, columns, target="diagnosis")
    best = gains.argmax(axis=1)
    chosen[rows, best] = patients[rows, best]
    at_random[rows, order[:, step]] = patients[rows, order[:, step]]
print(f"{'all 30':>8}{wrong(patients):>12.1%}{wrong(patients):>12.1%}")
