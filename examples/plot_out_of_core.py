"""
Train and predict on files that are never loaded
================================================

Two modalities of 30,000 rows lie in files: one as a memory-mapped array, one in a dataset of torch
that gives a row at a time. ``fit`` reads them in blocks; latent variables and filled-in values are
written to files as they are made. It takes about half a minute on one core.
"""

# %%
# Make the files
# --------------
# Rows belong to five groups. Half of them lack the second modality.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from skpoe import Modalities, PoEVAE

folder = tempfile.TemporaryDirectory()
path, n_rows = Path(folder.name), 30_000
rng = np.random.default_rng(0)
groups = rng.integers(5, size=n_rows)
codes = rng.normal(scale=3.0, size=(5, 4))[groups] + rng.normal(size=(n_rows, 4))

rna = np.memmap(path / "rna", np.float32, "w+", shape=(n_rows, 300))
adt = np.memmap(path / "adt", np.float32, "w+", shape=(n_rows, 20))
for table in (rna, adt):
    loadings = rng.normal(size=(4, table.shape[1]))
    table[:] = codes @ loadings + rng.normal(size=table.shape)
    table.flush()
has_adt = rng.random(n_rows) < 0.5


# %%
# A dataset
# ---------
# What reads rows in any way is an X as well. It says None where a row lacks a modality.


class Cells(torch.utils.data.Dataset):
    """Rows of the two files."""

    def __len__(self):
        return n_rows

    def __getitem__(self, row):
        return {"rna": rna[row], "adt": adt[row] if has_adt[row] else None}


X = Modalities(Cells())
print(X)

# %%
# Fit, and write results to files
# -------------------------------
# The rows are held nowhere. Slices of ``X`` share the files, too.

vae = PoEVAE(latent_dim=4, hidden_layer_sizes=(32,), init="random", random_state=0)
vae.set_params(max_iter=6, batch_size=256).fit(X)

Z = np.memmap(path / "Z", np.float32, "w+", shape=(n_rows, 4))
filled = np.memmap(path / "filled", np.float32, "w+", shape=adt.shape)
vae.transform(X, out=Z)
vae.predict_missing(X, out={"rna": None, "adt": filled})

truth, guess = adt[~has_adt], filled[~has_adt]
explained = 1 - np.mean((truth - guess) ** 2) / truth.var(axis=0).mean()
print(f"{explained:.0%} of the variance of what was missing is explained")

# %%
# Look at a few rows
# ------------------
# Latent variables are colored by group; proteins that were missing stand against the truth.

few = rng.permutation(n_rows)[:2000]
_, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.scatter(*Z[few, :2].T, c=groups[few], s=4, cmap="tab10")
left.set(title="Latent variables", xlabel="z 0", ylabel="z 1")
right.scatter(truth[:500].ravel(), guess[:500].ravel(), s=2)
right.axline((0, 0), slope=1, color="black", linewidth=1)
right.set(title="Filled in", xlabel="truth", ylabel="prediction")
folder.cleanup()
plt.show()
