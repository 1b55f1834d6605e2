"""Data in the support of each likelihood, and what each says it is in scipy's words."""

import numpy as np
import torch
from scipy import special, stats

from skpoe.likelihoods import LIKELIHOODS

N, F = 8, 3
# 2, 3 and 4 levels, of which each is shown
SHOWN = np.array(
    [[0, 1, 1, 0, 0, 1, 0, 1], [0, 1, 2, 1, 0, 2, 2, 0], [0, 1, 2, 3, 3, 1, 0, 2]], dtype=float
).T
LEVELS = ("categorical", "ordinal")
COUNTS = ("poisson", "negative_binomial", "zero_inflated_negative_binomial")


def data(name):
    """Data in the support, with one entry missing in every row: x zero-filled, and the mask."""
    rng = np.random.default_rng(0)
    x = {
        "gaussian": 50 + 7 * rng.normal(size=(N, F)),
        "student_t": 50 + 7 * rng.normal(size=(N, F)),
        "student_t_decoder": 50 + 7 * rng.normal(size=(N, F)),
        "bernoulli": rng.integers(0, 2, size=(N, F)).astype(float),
        "poisson": rng.poisson((0.8, 5, 40), size=(N, F)).astype(float),
        "negative_binomial": rng.negative_binomial(2, (0.5, 0.3, 0.1), size=(N, F)).astype(float),
        "zero_inflated_negative_binomial": rng.negative_binomial(
            2, (0.5, 0.3, 0.1), size=(N, F)
        ).astype(float)
        * rng.integers(0, 2, size=(N, F)),
        "laplace": 50 + 7 * rng.laplace(size=(N, F)),
        "log_normal": np.exp((0, 1, 3) + 0.4 * rng.normal(size=(N, F))),
        "continuous_bernoulli": rng.uniform(-0.2, 1.2, size=(N, F)).clip(0, 1),
        "beta": rng.beta(40, 60, size=(N, F)),
        "gaussian_decoder": 50 + 7 * rng.normal(size=(N, F)),
        "censored_gaussian": 50 + 7 * rng.normal(size=(N, F)),
        "categorical": SHOWN,
        "ordinal": SHOWN,
    }[name]
    mask = np.ones((N, F), dtype=bool)
    mask[np.arange(N), np.arange(N) % F] = False
    return torch.from_numpy(np.where(mask, x, 0.0)), torch.from_numpy(mask)


def started(name):
    x, mask = data(name)
    likelihood = LIKELIHOODS[name]()
    likelihood.start([(x, mask, torch.ones(len(x)))])
    return likelihood.double(), x, mask


class Inflated:
    """Zero with probability share, else what the counts are."""

    def __init__(self, counts, share):
        self.counts, self.share = counts, share

    def pmf(self, x):
        return self.share * (np.asarray(x) == 0) + (1 - self.share) * self.counts.pmf(x)

    def logpmf(self, x):
        with np.errstate(divide="ignore"):  # far out the mass itself is zero
            return np.where(
                x == 0, np.log(self.pmf(x)), np.log1p(-self.share) + self.counts.logpmf(x)
            )

    def mean(self):
        return (1 - self.share) * self.counts.mean()

    def var(self):
        second = self.counts.var() + self.counts.mean() ** 2
        return (1 - self.share) * second - self.mean() ** 2

    def std(self):
        return np.sqrt(self.var())


class Tilted:
    """Density proportional to exp(slope x) on [0, 1]: a truncated exponential, or its mirror."""

    def __init__(self, slope):
        self.up = slope > 0
        self.falling = stats.truncexpon(b=np.abs(slope), scale=1 / np.abs(slope))

    def _mirror(self, x):
        return np.where(self.up, 1 - x, x)

    def logpdf(self, x):
        inside = self._mirror(x).clip(max=1 - 1e-15)  # rounding puts the end itself outside
        return self.falling.logpdf(inside)

    def cdf(self, x):
        below = self.falling.cdf(self._mirror(x))
        return np.where(self.up, 1 - below, below)

    def mean(self):
        return self._mirror(self.falling.mean())

    def std(self):
        return self.falling.std()


def scipy_of(name, likelihood, raw):
    """What the likelihood says it is, in scipy's words."""
    raw = raw.detach().numpy()
    if name == "gaussian_decoder":  # raw: means and scales, in halves
        mean, scale = np.split(raw, 2, axis=-1)
        shift, spread = likelihood.shift.numpy(), likelihood.spread.numpy()
        return stats.norm(shift + spread * mean, (np.logaddexp(0, scale) + 0.05) * spread)
    if name in ("gaussian", "laplace", "censored_gaussian"):
        mean = likelihood.shift.numpy() + likelihood.spread.numpy() * raw
        kind = stats.laplace if name == "laplace" else stats.norm
        scale = (
            np.logaddexp(0, likelihood.rho.detach().numpy()) + 0.05
        ) * likelihood.spread.numpy()
        return kind(mean, scale)
    if name == "log_normal":
        location = likelihood.shift.numpy() + likelihood.spread.numpy() * raw
        scale = (
            np.logaddexp(0, likelihood.rho.detach().numpy()) + 0.05
        ) * likelihood.spread.numpy()
        return stats.lognorm(np.broadcast_to(scale, raw.shape), scale=np.exp(location))
    if name == "continuous_bernoulli":
        return Tilted(raw)
    if name == "beta":
        mean = special.expit(likelihood.centre.numpy() + 15 * np.tanh(raw / 15))
        total = 0.1 + np.exp(15 * np.tanh(likelihood.rho.detach().numpy() / 15))
        return stats.beta(mean * total, (1 - mean) * total)
    if name == "student_t":
        mean = likelihood.shift.numpy() + likelihood.spread.numpy() * raw
        df = 2 + np.logaddexp(0, likelihood.tail.item())
        scale = np.sqrt(0.05**2 + np.exp(2 * likelihood.rho.detach().numpy()))
        return stats.t(df, mean, scale * likelihood.spread.numpy())
    if name == "student_t_decoder":  # raw: means, scales and degrees of freedom, in thirds
        mean, scale, df = np.split(raw, 3, axis=-1)
        shift, spread = likelihood.shift.numpy(), likelihood.spread.numpy()
        scale = (np.logaddexp(0, scale) + 1e-3) * spread
        return stats.t(3 + np.logaddexp(0, df), shift + spread * mean, scale)
    if name in COUNTS:
        rate = likelihood.base.numpy() * np.exp(15 * np.tanh(raw[..., :F] / 15))
        if name == "poisson":
            return stats.poisson(rate)
        theta = np.exp(15 * np.tanh(likelihood.dispersion.rho.detach().double().numpy() / 15))
        counts = stats.nbinom(theta, theta / (theta + rate))
        if name == "negative_binomial":
            return counts
        return Inflated(counts, 1 / (1 + np.exp(3 - raw[..., F:])))
    return stats.bernoulli(1 / (1 + np.exp(-raw)))


def quadrature(name, x):
    """Points of the support and their weights: sums of them are integrals over the support."""
    if name == "bernoulli":
        return torch.tensor([0.0, 1.0]).double(), torch.ones(2).double()
    if name in COUNTS:
        return torch.arange(20000).double(), torch.ones(20000).double()
    if name == "continuous_bernoulli":
        points, weights = np.polynomial.legendre.leggauss(50)
        return torch.from_numpy((points + 1) / 2), torch.from_numpy(weights / 2)
    if name in ("log_normal", "beta"):  # densities of logarithms and logits are smooth
        ends = torch.linspace(-34, 34, 20001, dtype=torch.float64)
        grid = ends.exp() if name == "log_normal" else ends.sigmoid()
        return grid, (ends[1] - ends[0]) * grid * (1 if name == "log_normal" else 1 - grid)
    grid = torch.linspace(x.min() - 400, x.max() + 400, 200001, dtype=torch.float64)
    return grid, (grid[1] - grid[0]).expand_as(grid)
