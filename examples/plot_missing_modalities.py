"""Rows that lack modalities
=========================

Who lacks what, where such rows lie, how well the rest predicts it, and what each modality tells.

Run it with ``python examples/plot_missing_modalities.py``; it takes less than half a minute.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skpoe import Modalities, PoEVAE
from skpoe.datasets import drop_modalities
from skpoe.inspection import LatentDisplay, MissingnessDisplay, ModalityContributionDisplay
from skpoe.scorers import CrossModal

# %%
# 30 measurements of cells, ten each of three kinds. Each kind is missing in 40 % of the training
# rows, and no row lacks all.
table, benign = load_breast_cancer(return_X_y=True)
X = Modalities({"mean": table[:, :10], "error": table[:, 10:20], "worst": table[:, 20:]})
train, test, train_y, test_y = train_test_split(X, benign, stratify=benign, random_state=0)
holed = drop_modalities(train, 0.4, random_state=0)
print(f"{np.mean([mask.all() for mask in holed.observed]):.0%} of the rows are complete")

# %%
# All rows are learned from, and all have a place in the same latent space. A classifier that was
# trained there reads rows that show any of the modalities.
vae = PoEVAE(max_iter=60, random_state=0).fit(holed)
probe = LogisticRegression(max_iter=5000).fit(vae.transform(holed), train_y)
for shown in (["mean", "error", "worst"], ["mean", "error"], ["mean"], ["error"], ["worst"]):
    accuracy = probe.score(vae.transform(test, given=shown), test_y)
    print(f"diagnoses from {' + '.join(shown):<22}{accuracy:.1%}")

# %%
# What is missing is predicted from whatever a row shows. R2 on the test rows: 1 is perfect, and
# column means have 0.
for target in X.names:
    others = [name for name in X.names if name != target]
    for given in (*others, others):
        r2 = CrossModal(target, given=given)(vae, test)
        print(f"{target:<6}predicted from {np.atleast_1d(given)!s:<17} R2 {r2:.2f}")

# %%
# Which modalities rows have, where they lie by what is known of them, and what a modality tells:
# alone, and to those who know the others.

figure, axes = plt.subplots(
    1, 3, figsize=(13, 3.6), width_ratios=[1.2, 1, 1.2], layout="constrained"
)
MissingnessDisplay.from_estimator(vae, holed, ax=axes[0])
LatentDisplay.from_estimator(vae, holed, np.where(train_y, "benign", "malignant"), ax=axes[1])
ModalityContributionDisplay.from_estimator(vae, test, ax=axes[2])
plt.show()
