"""Priors that are mixtures of Gaussians: of free components, or of posteriors (VampPrior)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..random import RowNoise
from .base import Natural, Prior


class _Mixture(Prior):
    """An equal mixture of C diagonal Gaussians."""

    @abstractmethod
    def components(self) -> tuple[Tensor, Tensor]:
        """Means and precisions, each (C, D)."""

    def natural(self) -> Natural:
        mean, precision = self.components()
        centre = mean.mean(0)
        variance = (precision.reciprocal() + mean.square()).mean(0) - centre.square()
        return {"h": centre / variance, "precision": variance.reciprocal()}

    def log_prob(self, z: Tensor) -> Tensor:
        mean, precision = self.components()
        # (z - m)^2 p as matrix products: no (..., C, D) is ever made
        square = z.square() @ precision.mT - 2 * (z @ (precision * mean).mT)
        constant = (precision.log() - precision * mean.square()).sum(-1)
        log_density = 0.5 * (constant - square - z.shape[-1] * math.log(2 * math.pi))
        return log_density.logsumexp(-1) - math.log(len(mean))

    def sample(self, noise: RowNoise) -> Tensor:
        mean, precision = self.components()
        uniform = noise.fold("component").uniform(event=1, dtype=mean.dtype)[:, 0]
        which = (uniform * len(mean)).long()
        normals = noise.normal(event=mean.shape[1], dtype=mean.dtype)
        return mean[which] + precision[which].rsqrt() * normals


class GaussianMixture(_Mixture):
    """An equal mixture of Gaussians with learned means and diagonal covariances.

    Parameters
    ----------
    latent_dim : int
        D.
    n_components : int, default=10
        C.
    seed : int, default=0
        Where the means start: standard normal draws.
    """

    def __init__(self, latent_dim: int, n_components: int = 10, seed: int = 0) -> None:
        super().__init__()
        self.n_components, self.seed = n_components, seed
        generator = torch.Generator().manual_seed(seed)
        self.means = nn.Parameter(torch.randn(n_components, latent_dim, generator=generator))
        self.log_precisions = nn.Parameter(torch.zeros(n_components, latent_dim))

    @property
    def latent_dim(self) -> int:
        return self.means.shape[1]

    def components(self) -> tuple[Tensor, Tensor]:
        return self.means, self.log_precisions.exp()


class VampPrior(_Mixture):
    r"""The posteriors of learned pseudo-inputs, equally mixed.

    .. math:: p(z) = \frac{1}{C} \sum_{c=1}^C q(z \mid u_c)

    Each pseudo-input shows all modalities, in the values that encoders read.

    Parameters
    ----------
    latent_dim : int
        D.
    n_features : sequence of int
        Widths of the modalities.
    n_components : int, default=10
        C.
    seed : int, default=0
        Where the pseudo-inputs start: standard normal draws.

    References
    ----------
    VAE with a VampPrior (Tomczak & Welling, 2018), https://arxiv.org/abs/1705.07120, equation 9.
    """

    precision: Tensor

    def __init__(
        self, latent_dim: int, n_features: Sequence[int], n_components: int = 10, seed: int = 0
    ) -> None:
        super().__init__()
        self.n_features, self.n_components, self.seed = list(n_features), n_components, seed
        generator = torch.Generator().manual_seed(seed)
        self.inputs = nn.ParameterList(
            torch.randn(n_components, width, generator=generator) for width in n_features
        )
        self.register_buffer("precision", torch.ones(latent_dim), persistent=False)
        self._strategy: tuple[nn.Module, ...] = ()

    @property
    def latent_dim(self) -> int:
        return len(self.precision)

    def bind(self, strategy: nn.Module) -> None:
        """Remember whose posteriors these are; in a tuple, for its weights are not the prior's."""
        self._strategy = (strategy,)

    def components(self) -> tuple[Tensor, Tensor]:
        (strategy,) = self._strategy
        all_shown = self.precision.new_ones(len(self.inputs[0]), 1, dtype=torch.bool)
        batch = Batch(list(self.inputs), [all_shown] * len(self.inputs))
        standard = {"h": torch.zeros_like(self.precision), "precision": self.precision}
        params = strategy(batch, batch.observed[None], standard)
        return params["mean"][0], params["precision"][0]
