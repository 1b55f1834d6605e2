"""Why does MVAE predict missing modalities poorly? One model, eight objectives, halves of digits.

    OMP_NUM_THREADS=1 python tests/benchmarks/why_mvae.py

Data: scikit-learn's digits, the upper and the lower 32 pixels without those that hardly vary (as
in ``defaults.py``: 25 and 26 are left; a single row that is far out in one of the others would
decide a mean log-likelihood); three random splits, three quarters of the rows train, complete. All
fits: 10 latent variables, one hidden layer of 128, diagonal Gaussian posteriors and prior, the
library's Gaussian likelihood, 100 epochs with its default schedule; only the objective differs,
and what the estimators of that name change with it: no prior expert in MoPoE and MMVAE (10 draws
an expert, learned prior scales), and in VAEVAE a joint encoder.

"original" is the MvaeElbo of the repository poe-vae, with its K = 10: the full set, each modality
alone, and ten random masks (each modality with probability one half, so one in four is empty);
every one of these 13 posteriors must explain all that the row shows. Terms are averaged.

Printed, means and standard errors over the splits, on test rows: ``joint``, log p(x1, x2) in nats
by 200 importance-weighted draws; ``less the first``, that minus the joint of the first objective
on the same split; ``median``, of the joint over rows, which heavy tails do not move;
``conditional``, log 1/K sum p(x2 | z_k) with z_k from q(z | x1), and the other way round,
averaged; ``accuracy`` of a logistic regression that was trained on true halves and reads halves
that were filled in from the other; CPU seconds of a fit. The last line says what the classifiers
make of true halves.
"""

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skpoe import MMVAE, MVAE, VAEVAE, MoPoE, PoEVAE
from skpoe.objectives import ELBO, Objective
from skpoe.scorers import ConditionalLogLikelihood


class ScoresEverything(Objective):
    """Mean of the ELBOs of many subsets, each of which must explain all that a row shows.

    The subsets are the full one, each modality alone, and ``n_masks`` random masks; the empty ones
    among them, whose posterior is the prior, are terms too unless ``empty=False``.
    """

    def __init__(self, *args, n_masks=10, empty=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_masks, self.empty = n_masks, empty

    def forward(self, model, batch, noise, kl_weight=1.0):
        observed = batch.observed
        n_modalities = observed.shape[1]
        single = torch.eye(n_modalities, dtype=torch.bool)[:, None] & observed
        coins = noise.fold("masks").uniform(self.n_masks, event=n_modalities) < 0.5
        membership = torch.cat([observed[None], single, coins & observed])
        posterior = model.posterior(batch, membership)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        fit = self._fit(model, z, batch).sum(-1).mean(0)
        elbo = fit - self._cost(posterior.kl(z), kl_weight)
        counted = torch.ones_like(elbo) if self.empty else membership.any(-1)
        return (elbo * counted).sum(0) / counted.sum(0).clamp(min=1)


class Alone(MVAE):
    """MVAE's model; the ELBO of what a row shows, and nothing else."""

    def _compose(self, pieces):
        return super()._compose(pieces)[0], pieces.objective(ELBO)


class Original(MVAE):
    """MVAE's model, trained as in poe-vae."""

    def _compose(self, pieces):
        return super()._compose(pieces)[0], pieces.objective(ScoresEverything)


class NeverEmpty(MVAE):
    """The same without the terms of empty subsets."""

    def _compose(self, pieces):
        return super()._compose(pieces)[0], pieces.objective(ScoresEverything, empty=False)


METHODS = {
    "ELBO alone": Alone(),
    "MVAE": MVAE(),
    "original": Original(),
    "original, never empty": NeverEmpty(),
    "PoEVAE, diagonal": PoEVAE(covariance="diag", prediction_networks=False),
    "MoPoE": MoPoE(),
    "MMVAE": MMVAE(posterior="gaussian", n_samples=10),
    "VAEVAE": VAEVAE(),
}


def split(seed):
    """Halves of the training rows, of the test rows, and their digits."""
    X, y = load_digits(return_X_y=True)
    varies = X.std(0) > 0.2 * np.median(X.std(0))
    X, cut = X[:, varies].astype(np.float32), varies[:32].sum()
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    return np.split(X, [cut], axis=1), np.split(X_test, [cut], axis=1), y, y_test


def classifier(half, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=300).fit(half / 16, y)


def measure(est, train, test, classifiers, y_test, seed, max_iter):
    """Joint, its median, conditional, accuracy, seconds."""
    est.set_params(
        latent_dim=10,
        hidden_layer_sizes=(128,),
        max_iter=max_iter,
        n_importance_samples=200,
        n_threads=1,
        random_state=seed,
    )
    began = time.process_time()
    est.fit(train)
    seconds = time.process_time() - began
    joint = est.score_samples(test)
    conditional = [ConditionalLogLikelihood(m)(est, test) for m in (0, 1)]
    filled = [
        est.predict_missing([None if m == target else half for m, half in enumerate(test)])[target]
        for target in (0, 1)
    ]
    accuracy = [c.score(f / 16, y_test) for c, f in zip(classifiers, filled, strict=True)]
    return joint.mean(), np.median(joint), np.mean(conditional), np.mean(accuracy), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--max-iter", type=int, default=100)
    parser.add_argument("--only", nargs="*", choices=METHODS, default=list(METHODS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    known, worlds = [], []
    for seed in range(args.splits):
        train, test, y, y_test = split(seed)
        classifiers = [classifier(half, y) for half in train]
        truth = [c.score(half / 16, y_test) for c, half in zip(classifiers, test, strict=True)]
        known.append(np.mean(truth))
        worlds.append((train, test, classifiers, y_test, seed))
    titles = ["joint", "less the first", "median", "conditional", "accuracy", "CPU seconds a fit"]
    print(f"| objective | {' | '.join(titles)} |\n|---|---|---|---|---|---|---|")
    first = None
    for label in args.only:
        rows = np.array([measure(METHODS[label], *w, args.max_iter) for w in worlds])
        first = rows[:, 0] if first is None else first
        rows = np.insert(rows, 1, rows[:, 0] - first, axis=1)
        mean, error = rows.mean(0), rows.std(0, ddof=1) / np.sqrt(len(rows))
        cells = [f"{m:.1f} ± {e:.1f}" for m, e in zip(mean[:4], error[:4], strict=True)]
        cells += [f"{mean[4]:.3f} ± {error[4]:.3f}", f"{mean[5]:.0f}"]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)
    print(f"\nAccuracy on true halves: {np.mean(known):.3f}")


if __name__ == "__main__":
    main()
