"""MVAE's training rows per CPU second against a lean loop of the same mathematics, in one run.

    python tests/benchmarks/mvae_step.py --mnist mnist.npz

Halves of binarised 28 x 28 digits (392 + 392 pixels); encoder 392-200-(20, 20), decoder
20-200-392, ReLU, Bernoulli, Adam, batches of 256, one thread. Without a file (an .npz with
x_train), random bits of the same shape are used: they take the same time. The contestants
alternate; each is timed over whole epochs after a first one. One JSON line a measurement.
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skpoe import MVAE

LATENT, HIDDEN, BATCH = 20, 200, 256


def lean(halves, n_epochs, seed=0):
    """A hand-written loop: each half encoded once, 2 M decodes, nothing that is not needed."""
    torch.manual_seed(seed)
    x = [torch.from_numpy(half) for half in halves]
    width = x[0].shape[1]
    encoders, decoders = nn.ModuleList(), nn.ModuleList()
    for _ in x:
        encoders.append(nn.Sequential(nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 40)))
        decoders.append(
            nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
        )
    parameters = [*encoders.parameters(), *decoders.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(x[0])).split(BATCH):
            batch = [half[rows] for half in x]
            outputs = [e(b).chunk(2, dim=-1) for e, b in zip(encoders, batch, strict=True)]
            precision = torch.stack([log_precision.exp() for _, log_precision in outputs])
            weighted = torch.stack([mean for mean, _ in outputs]) * precision
            # the full set, then each half alone; the prior is an expert with precision 1
            precision = torch.cat([precision.sum(0, keepdim=True), precision]) + 1.0
            mean = torch.cat([weighted.sum(0, keepdim=True), weighted]) / precision
            z = mean + precision.rsqrt() * torch.randn_like(mean)
            kl = 0.5 * (mean.square() + 1 / precision + precision.log() - 1).sum()
            loss = kl
            for m, decode in enumerate(decoders):
                logits = decode(z[[0, m + 1]])
                target = batch[m].expand_as(logits)
                loss = loss + F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
            adam.zero_grad()
            (loss / (3 * len(rows))).backward()
            adam.step()


def ours(halves, n_epochs, seed=0):
    """The estimator as a user calls it."""
    MVAE(
        latent_dim=LATENT,
        hidden_layer_sizes=(HIDDEN,),
        likelihood="bernoulli",
        learning_rate="constant",
        learning_rate_init=1e-3,
        batch_size=BATCH,
        max_iter=n_epochs,
        early_stopping=False,
        n_threads=1,
        random_state=seed,
    ).fit(halves)


def rows_per_second(contestant, halves, n_epochs):
    """Rows per CPU second, a first epoch and all that comes before it taken off."""
    seconds = []
    for epochs in (1, 1 + n_epochs):
        began = time.process_time()
        contestant(halves, epochs)
        seconds.append(time.process_time() - began)
    return len(halves[0]) * n_epochs / (seconds[1] - seconds[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", help="an .npz with x_train (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.mnist:
        images = np.load(options.mnist)["x_train"][: options.rows].reshape(-1, 784) > 127
    else:
        images = np.random.default_rng(0).random((options.rows, 784)) < 0.13
    images = images.astype(np.float32)
    halves = [np.ascontiguousarray(images[:, :392]), np.ascontiguousarray(images[:, 392:])]
    rates = {"lean loop": [], "MVAE": []}
    for contestant in (lean, ours):  # the first calls of a process pay for what later ones share
        contestant(halves, 1)
    for repeat in range(options.repeats):
        for name, contestant in (("lean loop", lean), ("MVAE", ours)):
            rate = rows_per_second(contestant, halves, options.epochs)
            rates[name].append(rate)
            record = {"repeat": repeat, "contestant": name, "rows_per_cpu_second": round(rate)}
            print(json.dumps(record), flush=True)
    ratios = [a / b for a, b in zip(rates["MVAE"], rates["lean loop"], strict=True)]
    for name, values in rates.items():
        print(f"{name:<10} {statistics.median(values):>8.0f} rows per CPU second (median)")
    print(f"ratio      {statistics.median(ratios):>8.2f} (median of {options.repeats})")


if __name__ == "__main__":
    main()
