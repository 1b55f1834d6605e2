"""Choose a model
==============

Several estimators on the same data: errors of what is missing, and log-likelihoods of new rows.

Run it with ``python examples/plot_choosing_a_model.py``; it takes about half a minute.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.model_selection import KFold, cross_validate

from skpoe import MVAE, Modalities, MoPoE, MultimodalFactorAnalysis, PoEVAE
from skpoe.scorers import CrossModal, LogLikelihood

# %%
# 178 wines, 13 measurements, cut into two modalities that stand for two laboratories. Each is to
# be predicted from the other, in rows that were not trained on.
X = load_wine().data
X = Modalities({"first": X[:, :7], "second": X[:, 7:]})
scoring = {
    "nats": LogLikelihood(),
    "first": CrossModal("first"),
    "second": CrossModal("second"),
}
how = {"hidden_layer_sizes": (64,), "max_iter": 100, "n_threads": 1, "random_state": 0}
estimators = {
    "factor analysis": MultimodalFactorAnalysis(),
    "MVAE": MVAE(likelihood="student_t", **how),
    "MoPoE": MoPoE(likelihood="student_t", **how),
    "PoEVAE": PoEVAE(start_weight=0.0, **how),
}

# %%
# The same folds for all. One minus R2 is the squared error relative to that of column means.
# Scores are paired by folds, so differences are surer than the spread of each suggests.
folds = KFold(3, shuffle=True, random_state=0)
errors, nats = {}, {}
for name, est in estimators.items():
    scores = cross_validate(est, X, scoring=scoring, cv=folds, n_jobs=2)
    errors[name] = 1 - (scores["test_first"] + scores["test_second"]) / 2
    nats[name] = scores["test_nats"]
    print(
        f"{name:<15} relative error {errors[name].mean():.2f}, "
        f"{nats[name].mean():7.2f} nats a row, {scores['fit_time'].mean():.1f} s a fit"
    )

# %%
# On few rows the linear model is hard to beat by much, and no estimator is best at everything.
# Points are means over folds, lines their standard errors.

figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
for ax, values, label in (
    (axes[0], errors, "relative error of what is missing (less is better)"),
    (axes[1], nats, "log-likelihood of new rows, nats (more is better)"),
):
    means = [v.mean() for v in values.values()]
    spread = [v.std(ddof=1) / len(v) ** 0.5 for v in values.values()]
    ax.errorbar(means, list(values), xerr=spread, fmt="o", color="#0072B2")
    ax.set_xlabel(label)
    ax.grid(axis="x", alpha=0.3)
axes[0].invert_yaxis()
plt.show()
