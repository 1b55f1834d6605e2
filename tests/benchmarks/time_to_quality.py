"""CPU seconds until MVAE is as good as that of multivae after ten epochs: halves of MNIST.

    OMP_NUM_THREADS=1 python tests/benchmarks/time_to_quality.py mnist.npz

Binarised digits, upper and lower half; one hidden layer of 200 units, 20 latent variables, as in
speed.py, which says where the peer runs. The peer trains with its own settings (Adam, a constant
rate of 1e-3, batches of 256, the objective of MVAE without warm-up). Ours has its defaults but for
layers, latent variables and likelihood; a fit of n epochs is one with ``max_iter=n``, whose
learning rate ends after n epochs. The peer's weights are read into one of our models, so that both
are judged alike: log p of both halves of 10,000 test images, importance weights, 100 draws. One
JSON line a fit.
"""

import argparse
import time
import warnings

import bench
import numpy as np
import torch
from multivae_speed import trained
from sklearn.exceptions import ConvergenceWarning
from speed import HIDDEN, LATENT

from skpoe import MVAE


def halves(images):
    bits = (images.reshape(-1, 784) > 127).astype(np.float32)
    return np.stack([bits[:, :392], bits[:, 392:]])


def estimator(n_epochs):
    return MVAE(
        latent_dim=LATENT,
        hidden_layer_sizes=(HIDDEN,),
        likelihood="bernoulli",
        max_iter=n_epochs,
        n_threads=1,
        random_state=0,
    )


@torch.no_grad()
def read_into(est, peer):
    """Give a fitted estimator the weights of the peer, whose encoders do not centre x."""
    model = est.model_
    for m, name in enumerate(peer.encoders):
        theirs, ours = peer.encoders[name].network, model.strategy.encoders.networks[m]
        shift = model.likelihoods[m].shift.float()
        ours[0].weight.copy_(theirs[0].weight)
        ours[0].bias.copy_(theirs[0].bias + theirs[0].weight @ shift)
        sign = torch.ones(2 * LATENT)
        sign[LATENT:] = -1  # a log-variance is minus a log-precision
        ours[2].weight.copy_(theirs[2].weight * sign[:, None])
        ours[2].bias.copy_(theirs[2].bias * sign)
        ours, theirs = model.decoders.networks[m], peer.decoders[name].network
        for layer in (0, 2):
            ours[layer].load_state_dict(theirs[layer].state_dict())
    return est


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="an .npz with x_train and x_test (rows, 28, 28)")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 2, 3, 4, 20])
    parser.add_argument("--peer-epochs", type=int, default=10)
    parser.add_argument("--out", nargs="+", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with np.load(args.data) as file:
        train, test = halves(file["x_train"][: args.rows]), halves(file["x_test"])
    run = trained("MVAE", train, 256, 0, LATENT, HIDDEN)
    seconds = run(args.peer_epochs)
    theirs = read_into(estimator(1).fit(list(train[:, :1000])), run.model)
    row = {"contestant": "multivae", "epochs": args.peer_epochs, "seconds": round(seconds, 1)}
    bench.append(args.out, row | {"log_likelihood": theirs.score(list(test))})
    for n_epochs in args.epochs:
        began = time.process_time()
        est = estimator(n_epochs).fit(list(train))
        seconds = time.process_time() - began
        row = {"contestant": "ours", "epochs": n_epochs, "seconds": round(seconds, 1)}
        bench.append(args.out, row | {"log_likelihood": est.score(list(test))})


if __name__ == "__main__":
    main()
