"""The multimodal VAE: its slots and three verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from .data.batch import Batch
from .device import kept
from .factor_analysis import FactorAnalysis
from .likelihoods import Likelihood
from .nn import LinearPlus
from .nn.networks import Networks, SeparateNetworks, networks_of
from .posteriors import SubsetPosterior
from .priors import Prior, StandardGaussian
from .private import PrivateLatents
from .random import RowNoise
from .slots import slot
from .strategies import Strategy
from .subsets import Subsets, equal_log_weights


class MultimodalVAE(nn.Module):
    """A multimodal variational autoencoder.

    It holds weights and returns values; it remembers nothing of a batch.

    Parameters
    ----------
    strategy : Strategy
        Reads any subset of the modalities.
    prior : Prior
    decoders : Networks, or sequence of nn.Module
        One a modality, (N, D) -> (N, likelihood.n_outputs(F_m)); with private variables,
        (N, D + P).
    likelihoods : sequence of Likelihood
        One a modality.
    subsets : Subsets
        The components of the posterior at inference.
    private : PrivateLatents, default=None
        Latent variables that belong to one modality each. z is then (K, S, N, D + M * P), the
        private parts behind the shared one.
    prediction_networks : Networks, default=None
        As decoders, for posterior means of rows that lack the modality: such a mean lies between
        what z may be, and a decoder is at its best where z is likely to be.
    """

    strategy: Strategy = slot()
    prior: Prior = slot()
    decoders: Networks = slot()
    # a ModuleList, read as what it holds
    likelihoods: Sequence[Likelihood] = slot()
    subsets: Subsets = slot()

    def __init__(
        self,
        strategy: Strategy,
        prior: Prior,
        decoders: Networks | Sequence[nn.Module],
        likelihoods: Sequence[Likelihood],
        subsets: Subsets,
        private: PrivateLatents | None = None,
        prediction_networks: Networks | None = None,
    ) -> None:
        super().__init__()
        self.strategy = strategy
        self.prior = prior
        prior.bind(strategy)
        self.private = private
        self.decoders = networks_of(decoders)
        self.prediction_networks = prediction_networks
        self.likelihoods = nn.ModuleList(likelihoods)  # type: ignore[assignment]
        self.subsets = subsets
        self.has_started = False
        self._are_alike = len({*map(type, likelihoods)}) == 1

    @property
    def latent_dim(self) -> int:
        """D: the shared variables."""
        return self.prior.latent_dim

    @property
    def n_modalities(self) -> int:
        """M."""
        return len(self.likelihoods)

    @property
    def has_linear_start(self) -> bool:
        """Whether :meth:`start_at` can be called, given ``nn.LinearPlus`` networks."""
        return (
            self.strategy.has_linear_start
            and self.private is None
            and isinstance(self.prior, StandardGaussian)
            and self.prior.is_natural
            and all(isinstance(network, LinearPlus) for network in self._separate_decoders())
            and all(likelihood.can_start for likelihood in self.likelihoods)
        )

    def _separate_decoders(self) -> Sequence[nn.Module]:
        decoders = self.decoders
        return list(decoders.networks) if isinstance(decoders, SeparateNetworks) else [decoders]

    @torch.no_grad()
    def start_at(self, start: FactorAnalysis, trust: float = 1.0) -> None:
        """Start as a factor analysis of what encoders read.

        Its mean may become the zero of the model's units, so batches that were read before are
        off.
        """
        widths = [likelihood.width for likelihood in self.likelihoods]
        noises = []
        for likelihood, decoder, part in zip(
            self.likelihoods, self._separate_decoders(), start.split(widths), strict=True
        ):
            weight, bias, noise = likelihood.start_at(part.loadings, part.mean, part.noise)
            cast("LinearPlus", decoder).start(weight, bias)
            noises.append(noise)
        if self.prediction_networks is not None:
            self.prediction_networks.load_state_dict(self.decoders.state_dict())
        self.strategy.start_at(replace(start, noise=torch.cat(noises)), widths, trust)
        self.has_started = True

    def started(self) -> Iterator[nn.Parameter]:
        """Give the parameters that :meth:`start_at` has set."""
        if not self.has_started:
            return
        for module in self.modules():
            if isinstance(module, (LinearPlus, Strategy, Likelihood)):
                yield from module.parameters(recurse=False)
        if isinstance(shared := getattr(self.strategy, "shared", None), nn.ParameterList):
            yield from shared.parameters()

    def posterior(
        self,
        batch: Batch,
        membership: Tensor | None = None,
        log_weights: Tensor | None = None,
        *,
        reach: Tensor | None = None,
        noise: RowNoise | None = None,
    ) -> SubsetPosterior:
        """Infer z from what each row shows.

        Parameters
        ----------
        batch : Batch
            Standardised values.
        membership : bool Tensor of shape (S, N, M)
            What each posterior may read; the model's subsets within what is observed when None.
        log_weights : Tensor of shape (S, N), default=None
            Mixture weights that go with ``membership``; equal when None.
        reach : bool Tensor of shape (S, N, M), default=None
            Where private variables are inferred; ``membership`` when None.
        noise : RowNoise, default=None
            Needed where the model's subsets are sampled.
        """
        family = self.strategy.family
        if membership is None:
            membership, log_weights = self.subsets.within(
                batch.observed, noise, whole=batch.is_whole, dtype=batch.dtype
            )
        if log_weights is None:
            log_weights = equal_log_weights(membership, batch.dtype)
        encoded = self.encoded(batch)
        params = self.strategy(encoded, membership, self.prior.natural())
        log_weights = log_weights.to(encoded.values[0].dtype)
        posterior = SubsetPosterior(family, params, log_weights, self.prior)
        if self.private is None:
            return posterior
        private = self.private(encoded, membership if reach is None else reach)
        return replace(posterior, private=private)

    def read(self, arrays: Sequence[np.ndarray]) -> Batch:
        """Read data in their own units, float arrays (N, F_m), NaN where missing.

        The batch is standardised, where the model is and in its precision. A column that training
        never saw has weights that never learned: it is not read.
        """
        here = next(self.parameters())
        raw = Batch.from_arrays(arrays).to(here.device)
        seen = [likelihood.seen for likelihood in self.likelihoods]
        batch = raw.only(seen).map(
            [likelihood.standardise for likelihood in self.likelihoods],
            [likelihood.feature_of for likelihood in self.likelihoods],
        )
        return batch.to(dtype=here.dtype)

    def encoded(self, batch: Batch) -> Batch:
        """Take standardised values to what encoders read."""
        if batch.encoded is not None:
            return batch.encoded
        return batch.map([likelihood.encode for likelihood in self.likelihoods])

    def encoded_ahead(self, batch: Batch) -> Batch | None:
        """Do so for steps to come; None where training changes how values are read."""
        encoded = self.encoded(batch)
        return None if any(value.requires_grad for value in encoded.values) else encoded

    def log_likelihood(self, z: Tensor, batch: Batch, scored: Tensor | None = None) -> Tensor:
        """Log p(x_m | z) of every modality, over its observed features.

        Parameters
        ----------
        z : Tensor of shape (K, S, N, D)
        batch : Batch
            Standardised values.
        scored : bool Tensor of shape (S, M), default=None
            Which modalities the draws of a subset must explain; only those are decoded. All when
            None. On the CPU: which networks run is decided there.

        Returns
        -------
        log_likelihood : Tensor of shape (K, S, N, M)
            Nats in the data's units; zero where not scored or nothing is observed.
        """
        asked = () if scored is None else tuple(map(tuple, scored.T.tolist()))
        if self.private is None and all(map(all, asked)):
            raws = self.decoders.every(z.flatten(0, -2))
            return self.log_probs(batch, raws, z.shape[:-1])
        if scored is None:
            return self.terms([z] * self.n_modalities, batch)
        places = _places(asked, z.device)
        draws = z.index_select(1, places.flatten()).unflatten(1, places.shape).movedim(1, 0)
        own = self.terms(draws, batch)  # (K, C, N, M)
        at = places.mT[None, :, None].expand_as(own)
        result = own.new_zeros(*z.shape[:-1], len(asked)).scatter(1, at, own)
        if len({*map(sum, asked)}) > 1:  # some were scored that nobody asked for
            result = result * scored[:, None].to(z.device)
        return result

    def term(self, z: Tensor, batch: Batch, modality: int) -> Tensor:
        """Log p(x_m | z) of one modality: z (..., N, D) to (..., N) nats."""
        return self._log_prob(modality, batch, self.decode(z, modality))

    def terms(self, draws: Sequence[Tensor] | Tensor, batch: Batch) -> Tensor:
        """Log p(x_m | z_m) of every modality by draws of its own: M of (..., N, D) to (..., N, M).

        All of the same shape; they may come stacked, as one tensor.
        """
        return self.log_probs(batch, self._own(self.decoders, draws), draws[0].shape[:-1])

    def log_probs(
        self, batch: Batch, raws: Sequence[Tensor] | Tensor, shape: torch.Size
    ) -> Tensor:
        """Log-densities of every modality, of what its network says, (R, W).

        They are of shape ``(*shape, M)``, where ``shape`` is that of R.
        """
        like = self.likelihoods[0]
        if isinstance(raws, Tensor) and like.is_stateless and self._are_alike:
            axes = (slice(None), *[None] * (len(shape) - 1))
            mask = None if batch.is_whole else batch.stacked_masks[axes]
            x = batch.stacked[axes]
            return like.log_prob(x, mask, raws.unflatten(1, shape)).movedim(0, -1)
        terms = [self._log_prob(m, batch, raw.unflatten(0, shape)) for m, raw in enumerate(raws)]
        return terms[0][..., None] if len(terms) == 1 else torch.stack(terms, dim=-1)

    def _log_prob(self, modality: int, batch: Batch, raw: Tensor) -> Tensor:
        mask = None if batch.complete[modality] else batch.masks[modality]
        return self.likelihoods[modality].log_prob(batch.values[modality], mask, raw)

    def decode(self, z: Tensor, modality: int) -> Tensor:
        """Apply the decoder of modality m, which sees rows alone: (..., D) -> (..., n_outputs).

        Where there are private variables and z holds the shared ones alone, they are zero: the
        mean of their prior.
        """
        return self._one(self.decoders, z, modality)

    def decode_own(self, draws: Sequence[Tensor]) -> list[Tensor]:
        """Apply every decoder to draws of its own, as :meth:`decode` does: M tensors (..., D)."""
        raws = self._own(self.decoders, draws)
        return [raw.unflatten(0, z.shape[:-1]) for raw, z in zip(raws, draws, strict=True)]

    def predict(self, centre: Tensor, modality: int) -> Tensor:
        """Say what to expect of a modality where it was not read: (..., D) -> (..., n_outputs).

        Of a posterior mean, as :meth:`decode` does where there are no networks for it.
        """
        return self._one(self._predicting, centre, modality)

    def predict_own(self, centres: Tensor) -> Sequence[Tensor] | Tensor:
        """Say so of every modality, each of posterior means of its own, (M, N, D)."""
        return self._own(self._predicting, centres)

    @property
    def _predicting(self) -> Networks:
        return self.decoders if self.prediction_networks is None else self.prediction_networks

    def _one(self, networks: Networks, z: Tensor, modality: int) -> Tensor:
        raw = networks.one(modality, self._seen(z, modality).flatten(0, -2))
        return raw.unflatten(0, z.shape[:-1])

    def _own(
        self, networks: Networks, draws: Sequence[Tensor] | Tensor
    ) -> Sequence[Tensor] | Tensor:
        if isinstance(draws, Tensor) and self.private is None:
            return networks.own(draws.flatten(1, -2))
        return networks.own([self._seen(z, m).flatten(0, -2) for m, z in enumerate(draws)])

    def _seen(self, z: Tensor, modality: int) -> Tensor:
        private = self.private
        return z if private is None else private.seen_by(modality, z, self.latent_dim)

    def sample(self, noise: RowNoise) -> Tensor:
        """Draw z from the prior, private variables included: (N, D or D + M * P)."""
        z = self.prior.sample(noise)
        return z if self.private is None else torch.cat([z, self.private.sample(noise)], dim=-1)

    def mean(self, z: Tensor, modality: int) -> Tensor:
        """Mean of modality m given z (..., N, D), in the data's units: (..., N, W_m)."""
        return self.likelihoods[modality].mean(self.decode(z, modality))


@kept
def _places(marked: Sequence[Sequence[bool]], device: torch.device) -> Tensor:
    """Say where True stands in each row, int64 (M, C); then come others, if it has fewer."""
    most = max(map(sum, marked))
    rows = [sorted(range(len(row)), key=lambda place: not row[place])[:most] for row in marked]
    # made there, not sent
    numbers = [torch.full((), place, device=device) for row in rows for place in row]
    return torch.stack(numbers).view(len(marked), most)
