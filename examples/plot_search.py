"""Search a pipeline
=================

Preprocessing and model are searched together, on rows that lack a modality, by stock tools.

Run it with ``python examples/plot_search.py``; it takes about half a minute on two cores.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skpoe import Modalities, PerModality, PoEVAE
from skpoe.model_selection import MissingnessSplit
from skpoe.scorers import CrossModal, LogLikelihood

# %%
# 300 rows of counts and of numbers, made from four causes. A quarter of the rows lack the numbers.
rng = np.random.default_rng(0)
cause = rng.normal(size=(300, 4))
counts = rng.poisson(np.exp(1 + 0.6 * cause @ rng.normal(size=(4, 12)))).astype(float)
numbers = cause @ rng.normal(size=(4, 8)) + 0.7 * rng.normal(size=(300, 8))
numbers[rng.uniform(size=300) < 0.25] = np.nan
X = Modalities({"counts": counts, "numbers": numbers})
print(X)

# %%
# Transformers of scikit-learn for each modality, then a model. The counts go in as they are, or as
# logarithms.
log = FunctionTransformer(np.log1p, np.expm1)
pipeline = make_pipeline(
    PerModality({"counts": log}, default=StandardScaler()),
    PoEVAE(
        likelihood="gaussian",
        init="random",
        covariance="diag",
        hidden_layer_sizes=(64,),
        batch_size=100,
        max_iter=60,
        n_threads=1,
        random_state=0,
    ),
)

# %%
# A log-likelihood cannot choose between units: logarithms have other densities than counts. How
# well one modality is predicted from the other can, if its own columns stay as they are: R2 of the
# numbers. Folds have the same share of incomplete rows.
grid = {"permodality__counts": ["passthrough", log], "poevae__latent_dim": [1, 4, 8]}
search = GridSearchCV(
    pipeline,
    grid,
    scoring={"R2": CrossModal("numbers"), "nats": LogLikelihood()},
    refit="R2",
    cv=MissingnessSplit(3, random_state=0),
    n_jobs=2,
).fit(X)
results = pd.DataFrame(search.cv_results_)
results["counts"] = [
    "as they are" if step == "passthrough" else "log(1 + x)"
    for step in results["param_permodality__counts"]
]
results["latent_dim"] = results["param_poevae__latent_dim"].astype(int)
columns = ["counts", "latent_dim", "mean_test_R2", "std_test_R2", "mean_test_nats"]
print(results[columns].round(2).to_string(index=False))

# %%
# The best pipeline was trained on all rows, and fills in numbers in their own units.
best = search.best_estimator_
filled = best[:-1].inverse_transform(best[-1].predict_missing(best[:-1].transform(X)))
print(f"missing before: {np.isnan(numbers).sum()}, after: {np.isnan(filled['numbers']).sum()}")

# %%
# The curve of each preprocessing, and the spread over folds.
figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for (name, rows), marker in zip(results.groupby("counts"), "os", strict=True):
    ax.errorbar(
        rows["latent_dim"],
        rows["mean_test_R2"],
        rows["std_test_R2"],
        marker=marker,
        capsize=3,
        label=f"counts {name}" if "they" in name else f"counts as {name}",
    )
ax.set_xscale("log", base=2)
ax.set_xticks([1, 4, 8], [1, 4, 8])
ax.set(xlabel="latent_dim", ylabel="R2 of numbers, from counts")
ax.legend(frameon=False)
plt.show()
