"""A cycle as latent variable
==========================

Two modalities of one cycle: a circle holds it, where a Gaussian plane must tear or bend it.

Run it with ``python examples/plot_hyperspherical_latents.py``; it takes about half a minute on one
core.
"""

import matplotlib.pyplot as plt
import numpy as np

from skpoe import MVAE, Modalities, SphericalVAE
from skpoe.inspection import LatentDisplay

# %%
# 600 cells, made up, somewhere in their cycle: genes that peak once in it, each at its own time,
# and proteins that follow. A third of the 400 cells to learn from lack the proteins.
rng = np.random.default_rng(0)
phase = rng.uniform(0, 2 * np.pi, size=(600, 1))


def peaks(n, late):
    """Columns that peak at places spread over the cycle."""
    places = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.exp(2 * np.cos(phase - places - late) - 2) + 0.2 * rng.normal(size=(600, n))


X = Modalities({"genes": peaks(10, 0.0), "proteins": peaks(4, 0.7)})
train = {"genes": X["genes"][:400], "proteins": X["proteins"][:400].copy()}
train["proteins"][:130] = np.nan
test, test_phase = X[400:], phase[400:, 0]

# %%
# The same objective, with a circle and with a plane for z.

how = {"likelihood": "gaussian", "max_iter": 100, "random_state": 0}
fitted = {
    "circle": SphericalVAE(n_spheres=1, sphere_dim=1, objective="subset_elbo", **how).fit(train),
    "plane": MVAE(latent_dim=2, **how).fit(train),
}

# %%
# How likely are cells that were not trained on, and how far is the angle of z from their phase, up
# to where it starts and which way it turns?


def degrees(est, **given):
    """Mean distance of the angle from the phase."""
    z = est.transform(test, **given) - est.transform(test).mean(axis=0)
    angle = np.arctan2(z[:, 1], z[:, 0])
    gaps = [np.exp(1j * (turn - test_phase)) for turn in (angle, -angle)]
    return min(np.degrees(np.abs(np.angle(gap / gap.mean()))).mean() for gap in gaps)


for name, est in fitted.items():
    print(
        f"{name:<7}{est.score(test):6.2f} nats a cell; degrees off, by genes and proteins "
        f"{degrees(est):.1f}, by proteins {degrees(est, given='proteins'):.1f}"
    )

# %%
# The maps. On the circle a mean that lies inside is an unsure one: cells of which the proteins
# alone are known are nearer to the middle. The prior of the plane draws such cells to the middle,
# too, but the middle is no phase at all, and it is where the prior is most likely.

figure, axes = plt.subplots(2, 2, figsize=(7.5, 6.4), layout="constrained")
for column, (name, est) in zip(axes.T, fitted.items(), strict=True):
    for ax, shown in zip(column, (["genes", "proteins"], ["proteins"]), strict=True):
        rows = {m: test[m] if m in shown else None for m in X.names}
        LatentDisplay.from_estimator(est, rows, test_phase, ax=ax)
        ax.set_title(f"{name}: {' and '.join(shown)}")
plt.show()
