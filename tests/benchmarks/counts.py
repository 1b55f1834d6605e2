"""Raw RNA counts of single cells: held-out log-likelihood by likelihood, as probability masses.

    python tests/benchmarks/counts.py --citeseq pbmc_5k_protein_v3.h5ad --out counts.jsonl
    python tests/benchmarks/counts.py --out counts.jsonl --table-only

A line of JSON is one fit of PoEVAE on all 16,581 genes of 150 cells; 50 others are the test. All
have the same networks, latent variables and training. "gaussian" is trained on log(1 + x); a count
x then has the mass of the interval from log(x + 1/2) to log(x + 3/2), all below log(3/2) being 0.
log_likelihood: importance-weighted bound with 50 draws, nats a test cell. Models with a library
size are conditional on it, so they are no part of this comparison. Brackets hold standard errors
over splits.
"""

import argparse
import math
import time

import bench
import h5py
import numpy as np
import torch
from sklearn.model_selection import ShuffleSplit

from skpoe import PoEVAE
from skpoe.metrics import predictive_draws

METHODS = ["gaussian", "poisson", "negative_binomial", "zero_inflated_negative_binomial"]
N_DRAWS = 50


def log_mass(x, mean, scale):
    """Log of the normal mass between log(x + 1/2) and log(x + 3/2), from minus infinity at 0."""
    low = torch.where(x > 0, (x + 0.5).log(), -torch.inf)
    low, high = (low - mean) / scale, ((x + 1.5).log() - mean) / scale
    flip = low > 0  # in the upper tail masses are differences of upper tails
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    top, bottom = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return top + torch.log(-torch.expm1(bottom - top))


def gaussian_score(est, counts):
    """As ``est.score``, of masses instead of densities."""

    def bound(model, batch, noise):
        posterior, z = predictive_draws(model, batch, noise, N_DRAWS)
        likelihood, raw = model.likelihoods[0], model.decode(z, 0)
        x = torch.expm1(likelihood.shift + likelihood.spread * batch.values[0]).round()
        log_prob = log_mass(x, likelihood.mean(raw), likelihood.scale()).sum(-1)
        weight = log_prob + posterior.log_ratio(z)
        return [(weight.logsumexp(0) + posterior.log_weights).logsumexp(0) - math.log(len(z))]

    return est._predict(est._read(np.log1p(counts)), bound, N_DRAWS)[0].mean()


def measure(method, train, test, split):
    est = PoEVAE(
        likelihood=method,
        init="random",
        covariance="diag",
        latent_dim=10,
        hidden_layer_sizes=(128,),
        max_iter=100,
        n_importance_samples=N_DRAWS,
        n_threads=1,
        random_state=split,
    )
    began = time.process_time()
    if method == "gaussian":
        est.fit(np.log1p(train))
        score = gaussian_score(est, test)
    else:
        est.fit(train)
        score = est.score(test)
    seconds = time.process_time() - began
    finite = all(map(np.isfinite, est.loss_curve_))
    return {"log_likelihood": float(score), "finite": finite, "seconds": round(seconds, 1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--citeseq", help=".h5ad file")
    parser.add_argument("--splits", type=int, nargs="+", default=range(3))
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    args = bench.arguments(parser)
    rows = bench.read(args.out)
    done = {(row["split"], row["method"]) for row in rows}
    if not args.table_only:
        with h5py.File(args.citeseq) as file:
            counts = file["X"][:].astype(np.float32)
        for split in args.splits:
            halves = next(ShuffleSplit(1, test_size=0.25, random_state=split).split(counts))
            for method in args.methods:
                if (split, method) not in done:
                    row = measure(method, *(counts[part] for part in halves), split)
                    rows.append({"set": "citeseq", "split": split, "method": method, **row})
                    bench.append(args.out, rows[-1])
    bench.print_table(
        "held-out log-likelihood, nats a cell",
        ["citeseq"],
        bench.methods_of(rows, METHODS),
        lambda line, m: bench.mean_se(bench.values(rows, "log_likelihood", "split", method=m), 1),
    )


if __name__ == "__main__":
    main()
