"""From flat parameters to the pieces that an estimator is composed of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..likelihoods import LIKELIHOODS, Likelihood
from ..model import MultimodalVAE
from ..nn import mlp
from ..posteriors import DiagonalGaussian, Family, FullGaussian
from ..priors import StandardGaussian
from ..random import derive_seed
from ..strategies import ProductOfExperts
from ..subsets import Subsets

_COVARIANCES: dict[str, type[Family]] = {"diag": DiagonalGaussian, "full": FullGaussian}


def gaussian_space(
    latent_dim: int | str, covariance: str, n_features: int
) -> tuple[Family, StandardGaussian]:
    """Read ``latent_dim`` and ``covariance``, "diag" or "full"."""
    size = min(64, -(-n_features // 2)) if isinstance(latent_dim, str) else int(latent_dim)
    return _COVARIANCES[covariance](), StandardGaussian(size)


def make_likelihoods(likelihood: Any, names: Sequence[str]) -> list[Likelihood]:
    """Read the ``likelihood`` parameter: one for all, or a list or dict, one a modality."""
    chosen = _per_modality(likelihood, names, "likelihood")
    made = []
    for name, choice in zip(names, chosen, strict=True):
        if isinstance(choice, str) and choice in LIKELIHOODS:
            made.append(LIKELIHOODS[choice]())
        elif isinstance(choice, Likelihood):
            made.append(copy.deepcopy(choice))  # the caller's object is never fitted
        else:
            raise ValueError(
                f"The likelihood of modality '{name}' must be one of {sorted(LIKELIHOODS)} or an "
                f"instance of skpoe.likelihoods.Likelihood. Got {choice!r} instead."
            )
    return made


def _per_modality(parameter: Any, names: Sequence[str], what: str) -> list[Any]:
    if isinstance(parameter, Mapping):
        if set(parameter) != set(names):
            raise ValueError(
                f"{what} must name each modality of {list(names)} once; got {list(parameter)}."
            )
        return [parameter[name] for name in names]
    if isinstance(parameter, (list, tuple)):
        if len(parameter) != len(names):
            raise ValueError(
                f"{what} must have one item for each of the {len(names)} modalities; got "
                f"{len(parameter)}."
            )
        return list(parameter)
    return [parameter] * len(names)


class Pieces:
    """Everything that ``_compose`` puts together; networks get their weights from one generator.

    Parameters
    ----------
    estimator : BaseVAE
        Its flat parameters are read here and nowhere else.
    names : sequence of str
        Modalities.
    widths : sequence of int
        Their numbers of features.
    likelihoods : list of Likelihood
        Started on the data.
    seed : int
    """

    def __init__(
        self,
        estimator: Any,
        names: Sequence[str],
        widths: Sequence[int],
        likelihoods: list[Likelihood],
        seed: int,
    ) -> None:
        self.names, self.widths, self.likelihoods = names, widths, likelihoods
        self.family, self.prior = estimator._latent_space(sum(widths))
        self.latent_dim = self.prior.latent_dim
        self._estimator = estimator
        self._generator = torch.Generator().manual_seed(seed)
        self._seed = seed
        self._n_made = 0

    def encoders(self) -> list[nn.Module]:
        """One network a modality, (N, F_m) -> (N, outputs of the family)."""
        n_out = self.family.n_outputs(self.latent_dim)
        return self._networks("encoder", list(self.widths), [n_out] * len(self.widths))

    def decoders(self) -> list[nn.Module]:
        """One network a modality, (N, D) -> (N, outputs of the likelihood)."""
        n_outs = [
            likelihood.n_outputs(width)
            for likelihood, width in zip(self.likelihoods, self.widths, strict=True)
        ]
        return self._networks("decoder", [self.latent_dim] * len(n_outs), n_outs)

    def product_of_experts(self) -> MultimodalVAE:
        """Compose a model whose posterior is the product of all experts and the prior."""
        return MultimodalVAE(
            ProductOfExperts(self.family, self.encoders(), self.latent_dim),
            self.prior,
            self.decoders(),
            self.likelihoods,
            Subsets.full(len(self.widths)),
        )

    def _networks(self, what: str, n_ins: list[int], n_outs: list[int]) -> list[nn.Module]:
        factories = _per_modality(getattr(self._estimator, what), self.names, what)
        return [
            self._default(n_in, n_out)
            if factory is None
            else self._from_factory(f"{what} of modality '{name}'", factory, n_in, n_out)
            for name, factory, n_in, n_out in zip(
                self.names, factories, n_ins, n_outs, strict=True
            )
        ]

    def _default(self, n_in: int, n_out: int) -> nn.Module:
        estimator = self._estimator
        sizes = [int(size) for size in estimator.hidden_layer_sizes]
        return mlp(n_in, n_out, sizes, estimator.activation, self._generator)

    def _from_factory(
        self, what: str, factory: Callable[[int, int], nn.Module], n_in: int, n_out: int
    ) -> nn.Module:
        if not callable(factory) or isinstance(factory, nn.Module):
            raise TypeError(
                f"The {what} must be a factory, a callable (n_in, n_out) -> nn.Module, so that "
                f"every fit starts from fresh weights. Got {factory!r} instead."
            )
        # a factory draws its weights from torch's global generator: lend it a seeded one
        with torch.random.fork_rng(devices=[]):
            self._n_made += 1
            torch.manual_seed(derive_seed(self._seed, self._n_made))
            network = factory(n_in, n_out)
            if not isinstance(network, nn.Module):
                raise TypeError(f"The {what} must make an nn.Module; it made {network!r}.")
            with torch.no_grad():
                zeros = torch.zeros(2, n_in, dtype=_dtype_of(network))
                shape = tuple(network.eval()(zeros).shape)
        if shape != (2, n_out):
            raise ValueError(
                f"The {what} must map (N, {n_in}) to (N, {n_out}); for N = 2 it gave {shape}."
            )
        return network


def _dtype_of(network: nn.Module) -> torch.dtype:
    return next((p.dtype for p in network.parameters()), torch.get_default_dtype())
