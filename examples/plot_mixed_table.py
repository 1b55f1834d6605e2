"""Fill in a table of several kinds of columns
===========================================

Numbers, counts, flags, categories and ordered levels, with a third of them missing.

Run it with ``python examples/plot_mixed_table.py``; it takes about half a minute on one core.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from skpoe import PoEVAE
from skpoe.evaluation import imputation_scores

# %%
# 442 patients, each column with the dtype that says what it is.
raw = load_diabetes(scaled=False, as_frame=True)
patients = raw.data[["age", "bp", "s1", "s3", "s5"]].astype(float)
patients["sex"] = pd.Categorical(np.where(raw.data["sex"] == 1, "a", "b"))
patients["weight"] = pd.cut(
    raw.data["bmi"], [0, 25, 30, 99], labels=["normal", "over", "obese"], right=False
)
patients["glucose is high"] = pd.array(raw.data["s6"] > 95, dtype="boolean")
patients["progression"] = pd.array(raw.target.astype(int), dtype="Int64")

hidden = np.random.default_rng(0).uniform(size=patients.shape) < 1 / 3
holed = patients.mask(hidden).astype(patients.dtypes)

# %%
# The dtype of a column says its likelihood.

est = PoEVAE(random_state=0).fit(holed)
print("What each column is taken for:")
for column, likelihood in est.auto_["likelihood"][0].items():
    print(f"  {column:<16} {likelihood}")

# %%
# Every dtype is as it was, and nothing is missing.

filled = est.predict_missing(holed)
print("\nThe first patients, as they came and filled in:")
print(holed.head(3).to_string())
print(filled.head(3).to_string())

# %%
# How sure? Intervals that hold 90 % of what may be, and probabilities of levels.

low, high = est.predict_interval(holed, coverage=0.9)
missing = holed.index[holed["progression"].isna()][:3]
for row in missing:
    print(
        f"  progression of patient {row}: {filled.loc[row, 'progression']} "
        f"({low.loc[row, 'progression']} to {high.loc[row, 'progression']})"
    )
missing = holed.index[holed["weight"].isna()][:3]
print(est.predict_proba(holed)["weight"].loc[missing].round(2).to_string())

# %%
# Against the truth that was hidden.

scores = imputation_scores(est, holed, patients).loc["X"]
print(scores.drop(columns=["likelihood", "n_hidden"]).round(2).to_string(na_rep=""))
