"""What a von Mises-Fisher layer costs: milliseconds of CPU time for 256 x 5 distributions.

    python tests/benchmarks/sphere_speed.py

Columns, in turn, in one run: this library; one call of scipy.special.ive, the least that other
code pays for a divergence; and the sampler and the divergence of pythae's SVAE. The last is left
out unless it is installed, best in an environment of its own:

    python -m venv --system-site-packages bench && bench/bin/pip install --no-deps pythae==0.1.2
    bench/bin/pip install cloudpickle imageio pydantic tqdm

Medians. A ratio above 1 says that ours is that many times faster. The gradient of pythae's sampler
is not the gradient of what is sampled, as it leaves out that of the rejections.

Last, a whole training step of an S-VAE on 128 binary images of 784 pixels, the layers of the paper
(784-256-128-d-128-256-784) and fused Adam for both: forward, backward, update.
"""

import argparse
import time
from itertools import pairwise

import scipy.special
import torch
from torch import nn

from skpoe.data.batch import Batch
from skpoe.distributions import HypersphericalUniform, VonMisesFisher
from skpoe.likelihoods import Bernoulli
from skpoe.model import MultimodalVAE
from skpoe.objectives import ELBO
from skpoe.posteriors import VonMisesFisher as Family
from skpoe.priors import UniformSphere
from skpoe.random import RowNoise, row_keys
from skpoe.strategies import ProductOfExperts
from skpoe.subsets import Subsets

SHAPE = (256, 5)


def peer():
    """An SVAE without its networks, of which only methods are called, or None."""
    try:
        from pythae.models import SVAE
    except ImportError:
        return None
    return SVAE.__new__(SVAE)


def ours(task, eta, weight):
    vmf = VonMisesFisher(eta=eta, validate_args=False)
    if task == "kl":
        uniform = HypersphericalUniform(eta.shape[-1], validate_args=False)
        torch.distributions.kl_divergence(vmf, uniform).sum().backward()
    elif task == "sample":
        vmf.sample()
    else:
        (vmf.rsample() * weight).sum().backward()


def theirs(task, svae, loc, kappa, weight):
    if task == "kl":
        svae._compute_kl(loc.shape[-1], kappa).sum().backward()
    elif task == "sample":
        with torch.no_grad():
            svae._sample_von_mises(loc, kappa)
    else:
        (svae._sample_von_mises(loc, kappa) * weight).sum().backward()


def medians(calls, n_runs):
    """Milliseconds of each, measured in turn."""
    times = [[] for _ in calls]
    for run in range(n_runs + 3):
        for call, kept in zip(calls, times, strict=True):
            began = time.process_time()
            call()
            if run >= 3:
                kept.append(1e3 * (time.process_time() - began))
    return [sorted(kept)[n_runs // 2] for kept in times]


def layers(*sizes):
    made = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*made[:-1])


def our_step(dim, x):
    """A function that takes one training step of an S-VAE."""
    family = Family(dim - 1)
    likelihood = Bernoulli()
    likelihood.start([(x, torch.ones(len(x), 1, dtype=torch.bool), torch.ones(len(x)))])
    encoder = layers(784, 256, 128, family.n_outputs(dim))
    strategy = ProductOfExperts(family, [encoder])
    decoders = [layers(dim, 128, 256, 784)]
    model = MultimodalVAE(
        strategy, UniformSphere(1, dim - 1), decoders, [likelihood], Subsets.full(1)
    ).float()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    batch, objective = Batch.from_arrays([x.numpy()]), ELBO()
    noise = RowNoise(0, row_keys(batch.values, batch.masks))

    def step():
        optimizer.zero_grad()
        (-objective(model, batch, noise).mean()).backward()
        optimizer.step()

    return step


def their_step(dim, x):
    from pythae.models import SVAE, SVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.net = layers(784, 256, 128, dim + 1)

        def forward(self, x):
            out = self.net(x)
            return ModelOutput(embedding=out[:, :dim], log_concentration=out[:, dim:])

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.net = layers(dim, 128, 256, 784)

        def forward(self, z):
            return ModelOutput(reconstruction=torch.sigmoid(self.net(z)))

    config = SVAEConfig(input_dim=(784,), latent_dim=dim, reconstruction_loss="bce")
    model = SVAE(config, Encoder(), Decoder())
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step():
        optimizer.zero_grad()
        model({"data": x}).loss.backward()
        optimizer.step()

    return step


def steps(n_runs, with_peer):
    x = (torch.rand(128, 784) < 0.2).float()
    print(f"{'':42s}{'ours':>8s}{'':16s}{'pythae':>8s}{'ratio':>8s}")
    for dim in (3, 6, 11):
        calls = [our_step(dim, x), *([their_step(dim, x)] if with_peer else [])]
        mine, *others = medians(calls, n_runs)
        figures = "".join(f"{other:24.2f}{other / mine:8.2f}" for other in others)
        print(f"training step, S^{dim - 1}".ljust(42) + f"{mine:8.2f}{figures}", flush=True)


def main(n_runs):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    svae = peer()
    print(f"{'':42s}{'ours':>8s}{'ive':>8s}{'ratio':>8s}{'pythae':>8s}{'ratio':>8s}")
    for dim in (5, 21, 51):
        for top in (9.0, 1e4):
            loc = torch.nn.functional.normalize(torch.randn(*SHAPE, dim), dim=-1)
            kappa = 1 + (top - 1) * torch.rand(SHAPE)
            eta, weight = (kappa[..., None] * loc).requires_grad_(), torch.randn(*SHAPE, dim)
            rows = loc.view(-1, dim).requires_grad_(), kappa.view(-1, 1).requires_grad_()
            numbers = kappa.double().numpy()
            for task in ("kl", "sample", "rsample"):
                calls = [
                    lambda t=task, e=eta, w=weight: ours(t, e, w),
                    lambda d=dim, k=numbers: scipy.special.ive(d / 2 - 1, k),
                ]
                if svae is not None:
                    flat = weight.view(-1, dim)
                    calls.append(lambda t=task, r=rows, w=flat: theirs(t, svae, *r, w))
                mine, *others = medians(calls, n_runs)
                label = {"sample": "sample, forward", "rsample": "sample, both ways"}
                label = label.get(task, "divergence, both ways")
                figures = "".join(f"{other:8.2f}{other / mine:8.2f}" for other in others)
                print(f"d={dim:<3d} kappa < {top:<7g}{label}".ljust(42), end="")
                print(f"{mine:8.2f}{figures}", flush=True)
    steps(n_runs, svae is not None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=25)
    main(parser.parse_args().runs)
