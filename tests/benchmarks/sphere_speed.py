"""What a von Mises-Fisher layer costs: milliseconds of CPU time for 256 x 5 distributions.

    python tests/benchmarks/sphere_speed.py

Columns, in turn, in one run: this library; one call of scipy.special.ive, the least that other
code pays for a divergence; and the sampler and the divergence of pythae's SVAE. The last is left
out unless it is installed, best in an environment of its own:

    python -m venv --system-site-packages bench && bench/bin/pip install --no-deps pythae==0.1.2
    bench/bin/pip install cloudpickle imageio pydantic tqdm

Medians. A ratio above 1 says that ours is that many times faster. The gradient of pythae's sampler
is not the gradient of what is sampled, as it leaves out that of the rejections.
"""

import argparse
import time

import scipy.special
import torch

from skpoe.distributions import HypersphericalUniform, VonMisesFisher

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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=25)
    main(parser.parse_args().runs)
