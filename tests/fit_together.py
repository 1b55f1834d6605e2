"""One of several processes that fit together: what torchrun would start, for test_distributed.

torchrun --nproc-per-node 2 tests/fit_together.py OUT [CASE]
"""

import os
import signal
import sys

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

import skpoe
from skpoe.estimators import reading

COMMON = {"latent_dim": 3, "hidden_layer_sizes": (8,), "max_iter": 4, "batch_size": 17}
FITS = {
    "PoEVAE": skpoe.PoEVAE(**COMMON, init="random", random_state=0),
    "started, validated": skpoe.PoEVAE(
        latent_dim=3, max_iter=3, early_stopping=True, validation_fraction=0.2, random_state=1
    ),
    "MVAE, single precision": skpoe.MVAE(**COMMON, dtype="float32", random_state=2),
    "MMVAE": skpoe.MMVAE(**COMMON, n_samples=3, random_state=3),
    "MIWAE": skpoe.MIWAE(**COMMON, random_state=4),
    "SphericalVAE": skpoe.SphericalVAE(max_iter=3, batch_size=20, dtype="float64", random_state=5),
}


def data():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(61, 2))
    X = [z @ rng.normal(size=(2, width)) + rng.normal(size=(61, width)) for width in (5, 4)]
    X[1][::3] = np.nan
    X[0][1, 2] = np.nan
    return X


def parameters(est):
    return np.concatenate([p.detach().double().flatten() for p in est.model_.parameters()])


def _refusal(est, X):
    try:
        est.fit(X)
    except ValueError as error:
        return str(error)
    return "fitted"


def _on_disk(X, rank):
    """Rows of a Dataset, other ones in each process."""

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return len(X[0])

        def __getitem__(self, row):
            return tuple(x[row] + rank for x in X)

    return skpoe.Modalities(Rows())


def main():
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, case = torch.distributed.get_rank(), (sys.argv[2:] or ["same"])[0]
    X = data()
    try:
        if case == "same":
            made = {name: parameters(est.fit(X)) for name, est in FITS.items()}
            made["no seed"] = parameters(skpoe.MVAE(**COMMON).fit(X))
            others = {
                "rows": ([x[rank:] for x in X], {}),
                "values": ([x[::-1] if rank else x for x in X], {}),
                "scales": ([4 * x if rank else x for x in X], {}),
                "settings": (X, {"beta": 1.0 + rank}),
                "rate": (X, {"learning_rate_init": 0.01 if rank else 0.02}),
                "objective": (X, {"n_samples": 1 + rank}),
                "noise": (X, {"likelihood": "laplace" if rank else "gaussian"}),
            }
            for what, (rows, changed) in others.items():
                est = skpoe.MVAE(**COMMON, random_state=0, early_stopping=False, **changed)
                made[what] = _refusal(est, rows)
            reading._HELD_FROM_ELSEWHERE = 0  # as if they were many
            made["on disk"] = _refusal(skpoe.MVAE(**COMMON, random_state=0), _on_disk(X, rank))
        else:  # a process dies in the middle

            class Dying(torch.nn.Linear):
                def forward(self, x):
                    if rank == 1 and self.training and torch.rand(()) < 0.2:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return super().forward(x)

            skpoe.MVAE(encoder=Dying, max_iter=10_000, random_state=0).fit(X)
    finally:
        torch.distributed.destroy_process_group()
    np.savez(f"{sys.argv[1]}-{rank}.npz", **made)


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
