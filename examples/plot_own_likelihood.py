"""A likelihood of your own
========================

Rain is often none at all: a likelihood with a share of zeros, handed to an estimator.

Run it with ``python examples/plot_own_likelihood.py``; it takes some seconds on one core.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.nn import functional as F

from skpoe import PoEVAE
from skpoe.likelihoods import Likelihood

# %%
# 600 days, made up: what a barometer and a hygrometer say, and the rain at four stations, which
# is zero on most days.
rng = np.random.default_rng(0)
front = rng.normal(size=(600, 2))
air = front @ [[1.0, -0.6, 0.3], [0.2, 0.8, -1.0]] + 0.3 * rng.normal(size=(600, 3))
wet = 1 / (1 + np.exp(1 - 2 * front[:, :1] - rng.normal(size=4) * front[:, 1:]))
amount = rng.exponential(np.exp(1 + 0.6 * front[:, :1]), size=(600, 4))
rain = np.where(rng.uniform(size=wet.shape) < wet, amount, 0.0)
train, test = slice(400), slice(400, None)
print(f"dry: {np.mean(rain == 0):.0%} of the values")


# %%
# The decoder says two numbers a station: how likely rain is, and how much it would be. The mean is
# one times the other, and may be averaged over z, which predictions do.
class Rain(Likelihood):
    """No rain, with some probability; else an exponential amount."""

    name = "rain"

    def check(self, x, modality, first_row=0, labels=None):
        if (x < 0).any():
            raise ValueError(f"Modality '{modality}' has amounts below zero.")

    def n_outputs(self, n_features):
        return 2 * n_features

    def encode(self, x):
        return torch.log1p(x)

    def _read(self, raw):
        """Logits of rain, and logarithms of its mean amount."""
        logit, log_amount = raw.chunk(2, dim=-1)
        return self._quiet(logit), self._quiet(log_amount).clamp(-15, 15)

    def log_density(self, x, raw):
        logit, log_amount = self._read(raw)
        falls = F.logsigmoid(logit) - log_amount - x * torch.exp(-log_amount)
        return torch.where(x == 0, F.logsigmoid(-logit), falls)

    def mean(self, raw):
        logit, log_amount = self._read(raw)
        return torch.sigmoid(logit) * torch.exp(log_amount)

    def sample(self, raw, noise):
        logit, log_amount = self._read(raw)
        falls, u = (
            noise.fold(part).uniform(event=logit.shape[-1], dtype=raw.dtype)
            for part in ("falls", "amount")
        )
        amount = -torch.exp(log_amount) * torch.log1p(-u)
        return torch.where(falls < torch.sigmoid(logit), amount, 0.0)


# %%
# The rain of the test days is drawn from the air alone: with this likelihood, and with a Gaussian
# one. The error is the mean distance of a draw from the truth, less half of that between two draws
# (CRPS): small where draws are near and as wide as they should be.
X = {"air": air[train], "rain": rain[train]}
truth, drawn = rain[test], {}
for name, likelihood in {"Gaussian": "gaussian", "Rain": Rain()}.items():
    est = PoEVAE(
        likelihood={"air": "gaussian", "rain": likelihood},
        latent_dim=2,
        init="random",
        max_iter=60,
        random_state=0,
    ).fit(X)
    filled = est.impute({"air": air[test], "rain": None}, n_imputations=20)
    draws = np.stack([x["rain"] for x in filled])
    error = np.abs(draws - truth).mean() - np.abs(draws[:10] - draws[10:]).mean() / 2
    drawn[name] = draws
    print(
        f"{name:<10} dry {np.mean(draws == 0):4.0%}, below zero {np.mean(draws < 0):4.0%}, "
        f"error {error:.2f}"
    )

# %%
# What was measured, and what is drawn for the same days.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
bins = np.arange(-8.25, 16, 0.5)
for ax, (name, draws) in zip(axes, drawn.items(), strict=True):
    ax.hist(truth.ravel(), bins, density=True, color="#56B4E9", label="measured")
    ax.hist(
        draws.ravel(), bins, density=True, histtype="step", color="black", lw=1.5, label="drawn"
    )
    ax.set(title=f"{name} likelihood", xlabel="rain (mm)", yscale="log")
axes[0].set_ylabel("density")
axes[1].legend(frameon=False)
plt.show()
