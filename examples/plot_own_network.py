"""A network of your own
=====================

A pulse may come at any time: convolutions of your own beside the default perceptron.

Run it with ``python examples/plot_own_network.py``; it takes about half a minute on one core.
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from torch import nn

from skpoe import Modalities, PoEVAE
from skpoe.scorers import CrossModal

# %%
# Two modalities, made up: noisy signals of 64 values, and what a technician read off them, which
# is when the pulse came and how wide it was. Half of the signals were never read.
rng = np.random.default_rng(0)
when, width = rng.uniform(12, 52, 600), rng.uniform(2, 5, 600)
time = np.arange(64)
pulse = np.exp(-(((time - when[:, None]) / width[:, None]) ** 2))
signal = pulse + 0.2 * rng.normal(size=pulse.shape)
reading = np.column_stack([when, width]) + rng.normal(size=(600, 2)) * [1.0, 0.2]
X = Modalities({"signal": signal, "reading": reading})
train, test = train_test_split(X, test_size=200, random_state=0)
known = {"signal": train["signal"], "reading": train["reading"].copy()}
known["reading"][200:] = np.nan


# %%
# A factory is called with the sizes that the model asks for, once for every fit. As a frozen
# dataclass it goes through grids, copies and files.
@dataclass(frozen=True)
class SignalEncoder:
    """Convolutions over time, then one linear layer."""

    channels: int = 16

    def __call__(self, n_in, n_out):
        c = self.channels
        return nn.Sequential(
            nn.Unflatten(1, (1, n_in)),
            nn.Conv1d(1, c, 7, stride=2, padding=3),
            nn.SiLU(),
            nn.Conv1d(c, c, 5, stride=2, padding=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(c * (n_in // 4), n_out),
        )


# %%
# The other networks are the default perceptrons: None. How well does a signal predict its reading,
# and a reading its signal? One minus the squared error, where guessing the mean scores zero; the
# noise of a signal cannot be predicted.
shared = {"covariance": "diag", "latent_dim": 6, "likelihood": "gaussian", "random_state": 0}
fitted = {}
for name, encoder in {"perceptron": None, "SignalEncoder": SignalEncoder()}.items():
    vae = PoEVAE(
        encoder={"signal": encoder, "reading": None}, init="random", max_iter=100, **shared
    ).fit(known)
    fitted[name] = vae.predict_missing({"signal": None, "reading": test["reading"]})["signal"]
    n_weights = sum(p.numel() for p in vae.model_.strategy.encoders.networks[0].parameters())
    print(
        f"{name:<14}{n_weights:>6} weights, R2 of readings "
        f"{CrossModal('reading')(vae, test):.2f}, of signals {CrossModal('signal')(vae, test):.2f}"
    )

# %%
# Signals of the test rows, as they were, and as they are expected from the reading alone.

figure, axes = plt.subplots(1, 4, figsize=(10, 2.4), sharey=True, layout="constrained")
for row, ax in enumerate(axes):
    ax.plot(time, test["signal"][row], ".", color="0.6", ms=4, label="measured")
    for (name, filled), colour in zip(fitted.items(), ("#E69F00", "#0072B2"), strict=True):
        ax.plot(time, filled[row], color=colour, label=name)
    ax.set(xlabel="time", title=f"read: {test['reading'][row, 0]:.0f}")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
plt.show()
