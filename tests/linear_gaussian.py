"""A linear-Gaussian world in which everything has a closed form, by numpy alone.

z ~ N(0, I), x_m = W_m z + b_m + noise, noise ~ N(0, diag(s2_m)).
"""

import itertools

import numpy as np
import torch
from scipy.stats import multivariate_normal

from skpoe.data.batch import Batch
from skpoe.likelihoods import Gaussian
from skpoe.model import MultimodalVAE
from skpoe.posteriors import DiagonalGaussian, FullGaussian
from skpoe.priors import StandardGaussian
from skpoe.strategies import ProductOfExperts
from skpoe.subsets import Subsets


class LinearGaussian:
    def __init__(self, widths=(4, 5, 3), latent_dim=3, n=40, seed=0, orthogonal=False):
        rng = np.random.default_rng(seed)
        self.widths, self.latent_dim, self.n = widths, latent_dim, n
        self.W = [rng.normal(size=(w, latent_dim)) for w in widths]
        self.s2 = [0.3 + rng.uniform(size=w) for w in widths]
        if orthogonal:  # then a diagonal posterior is exact
            self.W = [np.linalg.qr(W)[0] * rng.uniform(0.5, 2, latent_dim) for W in self.W]
            self.s2 = [np.full(w, 0.3 + rng.uniform()) for w in widths]
        self.b = [rng.normal(size=w) for w in widths]
        z = rng.normal(size=(n, latent_dim))
        self.x = [
            z @ W.T + b + rng.normal(size=(n, len(b))) * np.sqrt(s2)
            for W, b, s2 in zip(self.W, self.b, self.s2, strict=True)
        ]

    @property
    def subsets(self):
        m = len(self.widths)
        return [s for k in range(1, m + 1) for s in itertools.combinations(range(m), k)]

    def stacked(self, subset):
        W = np.concatenate([self.W[m] for m in subset])
        b = np.concatenate([self.b[m] for m in subset])
        s2 = np.concatenate([self.s2[m] for m in subset])
        x = np.concatenate([self.x[m] for m in subset], axis=1)
        return W, b, s2, x

    def log_prob(self, subset):
        """Exact log p(x_s), shape (N,)."""
        if not subset:
            return np.zeros(self.n)
        W, b, s2, x = self.stacked(subset)
        return multivariate_normal(b, W @ W.T + np.diag(s2)).logpdf(x)

    def posterior(self, subset):
        """Exact mean (N, D) and covariance (D, D) of z given x_s."""
        if not subset:
            return np.zeros((self.n, self.latent_dim)), np.eye(self.latent_dim)
        W, b, s2, x = self.stacked(subset)
        covariance = np.linalg.inv(np.eye(self.latent_dim) + W.T @ (W / s2[:, None]))
        return (x - b) / s2 @ W @ covariance, covariance

    def conditional_mean(self, m, subset):
        """Exact E[x_m | x_s], by the block formula of the joint Gaussian of x."""
        W, b, s2, x = self.stacked(subset)
        gain = self.W[m] @ W.T @ np.linalg.inv(W @ W.T + np.diag(s2))
        return self.b[m] + (x - b) @ gain.T

    def expected_fit(self, m, subset):
        """Exact mean of log p(x_m | z) over z ~ p(z | x_s), shape (N,)."""
        mean, covariance = self.posterior(subset)
        W, s2 = self.W[m], self.s2[m]
        square = (self.x[m] - mean @ W.T - self.b[m]) ** 2
        spread = np.einsum("fd,de,fe->f", W, covariance, W)
        return -0.5 * (np.log(2 * np.pi * s2) + (square + spread) / s2).sum(1)

    def kl_posteriors(self, subset, other):
        """KL(p(z | x_s) || p(z | x_t)), shape (N,)."""
        (m0, c0), (m1, c1) = self.posterior(subset), self.posterior(other)
        p1, gap = np.linalg.inv(c1), m1 - m0
        logs = np.linalg.slogdet(c1)[1] - np.linalg.slogdet(c0)[1]
        square = np.einsum("nd,de,ne->n", gap, p1, gap)
        return 0.5 * (np.trace(p1 @ c0) - self.latent_dim + square + logs)

    def batch(self, observed=None):
        """A float64 Batch; observed (N, M) bool hides modalities."""
        arrays = [x.copy() for x in self.x]
        if observed is not None:
            for m, x in enumerate(arrays):
                x[~observed[:, m]] = np.nan
        return Batch.from_arrays(arrays)

    def likelihoods(self):
        made = []
        for s2 in self.s2:
            likelihood = Gaussian()
            width = len(s2)
            likelihood.start(
                [(torch.zeros(2, width), torch.ones(2, 1, dtype=torch.bool), torch.ones(2))]
            )
            rho = np.log(np.expm1(np.sqrt(s2) - likelihood.floor))
            likelihood.reach = np.inf  # the exact encoder is linear everywhere
            likelihood.rho.data = torch.from_numpy(rho)
            made.append(likelihood)
        return made

    def model(
        self, family="full_gaussian", prior_expert=True, perturb=0.0, seed=1, subsets=Subsets.full
    ):
        """The model whose posteriors are exact, or one that is off by ``perturb``."""
        rng = np.random.default_rng(seed)
        encoders, shared = [], []
        for W, b, s2 in zip(self.W, self.b, self.s2, strict=True):
            natural = W.T / s2  # h = natural (x - b)
            precision = natural @ W
            if family == "full_gaussian":
                weight, bias = natural, -natural @ b
                shared.append(torch.from_numpy(W / np.sqrt(s2)[:, None]))
            else:
                diagonal = np.diag(precision)
                weight = np.concatenate([natural / diagonal[:, None], np.zeros_like(natural)])
                bias = np.concatenate([-natural @ b / diagonal, np.log(diagonal)])
            weight = weight + perturb * rng.normal(size=weight.shape)
            bias = bias + perturb * rng.normal(size=bias.shape)
            encoders.append(_linear(weight, bias))
        made = {"full_gaussian": FullGaussian, "diagonal_gaussian": DiagonalGaussian}[family]()
        strategy = ProductOfExperts(
            made, encoders, shared=shared or None, prior_expert=prior_expert
        )
        decoders = [_linear(W, b) for W, b in zip(self.W, self.b, strict=True)]
        subsets = subsets(len(self.widths))
        prior = StandardGaussian(self.latent_dim)
        return MultimodalVAE(strategy, prior, decoders, self.likelihoods(), subsets).double()

    def membership(self):
        """All non-empty subsets for all rows, (S, N, M)."""
        rows = np.zeros((len(self.subsets), len(self.widths)), dtype=bool)
        for s, subset in enumerate(self.subsets):
            rows[s, list(subset)] = True
        return torch.from_numpy(rows)[:, None].expand(-1, self.n, -1)


def _linear(weight, bias):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0]).double()
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)  # copies
    return layer
