"""The multimodal VAE: six slots and three verbs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .data.batch import Batch
from .likelihoods import Likelihood
from .posteriors import SubsetPosterior
from .priors import Prior
from .strategies import Strategy
from .subsets import Subsets


class MultimodalVAE(nn.Module):
    """A multimodal variational autoencoder.

    It holds weights and returns values; it remembers nothing of a batch.

    Parameters
    ----------
    strategy : Strategy
        Reads any subset of the modalities.
    prior : Prior
    decoders : sequence of nn.Module
        One a modality, (N, D) -> (N, likelihood.n_outputs(F_m)).
    likelihoods : sequence of Likelihood
        One a modality.
    subsets : Subsets
        The components of the posterior at inference.
    """

    # a ModuleList, read as what it holds
    likelihoods: Sequence[Likelihood]

    def __init__(
        self,
        strategy: Strategy,
        prior: Prior,
        decoders: Sequence[nn.Module],
        likelihoods: Sequence[Likelihood],
        subsets: Subsets,
    ) -> None:
        super().__init__()
        self.strategy = strategy
        self.prior = prior
        self.decoders = nn.ModuleList(decoders)
        self.likelihoods = nn.ModuleList(likelihoods)  # type: ignore[assignment]
        self.subsets = subsets

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.prior.latent_dim

    def posterior(
        self, batch: Batch, membership: Tensor | None = None, log_weights: Tensor | None = None
    ) -> SubsetPosterior:
        """Infer z from what each row shows.

        Parameters
        ----------
        batch : Batch
            Standardised values.
        membership : bool Tensor of shape (S, N, M), default=None
            What each posterior may read; the model's subsets within what is observed when None.
        log_weights : Tensor of shape (S, N), default=None
            Mixture weights that go with ``membership``; equal when None.
        """
        family = self.strategy.family
        if membership is None:
            membership, log_weights = self.subsets.within(batch.observed)
        elif log_weights is None:
            equal = -math.log(len(membership))
            log_weights = torch.full(membership.shape[:2], equal, device=membership.device)
        natural = self.prior.natural()
        params = self.strategy(self.encoded(batch), membership, natural)
        return SubsetPosterior(family, params, log_weights, family.at(natural))

    def read(self, arrays: Sequence[np.ndarray]) -> Batch:
        """Read data in their own units, float arrays (N, F_m), NaN where missing.

        The batch is standardised, where the model is and in its precision. A column that training
        never saw has weights that never learned: it is not read.
        """
        here = next(self.parameters())
        raw = Batch.from_arrays(arrays).to(here.device)
        seen = [likelihood.seen for likelihood in self.likelihoods]
        batch = raw.only(seen).map([likelihood.standardise for likelihood in self.likelihoods])
        return batch.to(dtype=here.dtype)

    def encoded(self, batch: Batch) -> Batch:
        """Take standardised values to what encoders read."""
        return batch.map([likelihood.encode for likelihood in self.likelihoods])

    def log_likelihood(self, z: Tensor, batch: Batch, scored: Tensor | None = None) -> Tensor:
        """Log p(x_m | z) of every modality, over its observed features.

        Parameters
        ----------
        z : Tensor of shape (K, S, N, D)
        batch : Batch
            Standardised values.
        scored : bool Tensor of shape (S, M), default=None
            Which modalities the draws of a subset must explain; only those are decoded. All when
            None.

        Returns
        -------
        log_likelihood : Tensor of shape (K, S, N, M)
            Nats in the data's units; zero where not scored or nothing is observed.
        """
        terms = []
        for m, likelihood in enumerate(self.likelihoods):
            draws, where = z, None
            if scored is not None and not scored[:, m].all():
                where = scored[:, m].nonzero()[:, 0]
                draws = z[:, where]
            raw = self.decode(draws, m)
            term = likelihood.log_prob(batch.values[m], batch.masks[m], raw)
            if where is not None:
                term = term.new_zeros(z.shape[:-1]).index_copy(1, where, term)
            terms.append(term)
        return torch.stack(terms, dim=-1)

    def decode(self, z: Tensor, modality: int) -> Tensor:
        """Apply the decoder of modality m, which sees rows alone: (..., D) -> (..., n_outputs)."""
        raw = self.decoders[modality](z.flatten(0, -2))
        return raw.unflatten(0, z.shape[:-1])

    def mean(self, z: Tensor, modality: int) -> Tensor:
        """Mean of modality m given z (..., N, D), in the data's units: (..., N, F_m)."""
        return self.likelihoods[modality].mean(self.decode(z, modality))
