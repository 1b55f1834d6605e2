"""From flat parameters to the pieces that an estimator is composed of."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor, nn

from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..nn import ARCHITECTURES, InBfloat16, LinearPlus, MLPFactory, Shared, mlp
from ..nn.networks import Networks, SeparateNetworks, SharedNetwork
from ..nn.stacked import StackedNetworks
from ..objectives import IWAE, Objective
from ..posteriors import DiagonalGaussian, Family, FullGaussian
from ..priors import Prior
from ..private import PrivateLatents
from ..random import derive_seed, lend_global_generator
from ..strategies import (
    JointEncoder,
    ProductOfExperts,
    ProductWithStandIns,
    Strategy,
    SubsetEncoders,
)
from ..subsets import Subsets
from .starting import most_latent, powers_up_to

# networks beside a linear part read values clipped to so many deviations
_REACH = 5.0
# and in training do not see this share of their inputs
_DROPOUT = 0.2


def per_modality(parameter: Any, names: Sequence[str], what: str) -> list[Any]:
    """Read a parameter that is one for all modalities, or a list or dict of one each."""
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
    likelihoods : list of Likelihood
        Started on the data.
    seed : int
    n_rows : int
    linear : bool, default=False
        Whether networks are ``LinearPlus``, to start at factor analysis.
    latent_dim : int, default=None
        D; the largest of ``latent_dims`` when None.
    """

    def __init__(
        self,
        estimator: Any,
        names: Sequence[str],
        likelihoods: list[Likelihood],
        seed: int,
        n_rows: int,
        linear: bool = False,
        latent_dim: int | None = None,
    ) -> None:
        self.n_rows, self.linear = n_rows, linear
        if linear:
            for likelihood in likelihoods:
                likelihood.read_linearly()
        self.names, self.likelihoods = names, likelihoods
        # of what encoders read: a category is as wide as it has levels
        self.widths = [likelihood.width for likelihood in likelihoods]
        self.generator = torch.Generator().manual_seed(seed)
        self.seed = seed
        self._estimator = estimator
        # what was read for parameters that may be "auto"
        self.auto: dict[str, Any] = {}
        self._latent_dim = latent_dim
        self._n_made = 0
        self._tied: dict[int, nn.Parameter] = {}

    @property
    def n_modalities(self) -> int:
        """M."""
        return len(self.names)

    @property
    def n_features(self) -> int:
        """Of all modalities together."""
        return sum(self.widths)

    @property
    def latent_dim(self) -> int:
        """D."""
        return self.latent_dims[-1] if self._latent_dim is None else self._latent_dim

    @property
    def latent_dims(self) -> list[int]:
        """What D may be: more than one where held-out rows are to choose, the largest last."""
        wanted = self._estimator.latent_dim
        if not isinstance(wanted, str):
            return [int(wanted)]
        half = -(-self.n_features // 2)
        if not self.linear:
            return [min(64, half)]
        most = max(half, self._estimator._auto_least_latent)
        most = min(most, most_latent(self.n_rows, self.n_features))
        # where features outnumber rows, training seldom improves on the start, and a start with
        # many factors is too sure of what it has seen
        return powers_up_to(most) if self.n_features > self.n_rows else [most]

    def choice(self, name: str, usual: Any) -> Any:
        """Read a parameter that may be "auto": as it was in an earlier fit, or else as usual."""
        wanted = getattr(self._estimator, name)
        value = self.auto.get(name, usual) if wanted == "auto" else wanted
        self.auto[name] = type(usual)(value)
        return self.auto[name]

    def gaussian(self, auto: str = "diag") -> Family:
        """Give the Gaussian family that ``covariance`` names."""
        full = self.choice("covariance", auto) == "full"
        return FullGaussian() if full else DiagonalGaussian()

    def encoders(self, family: Family, latent_dim: int | None = None) -> Networks:
        """One network a modality, (N, F_m) -> (N, outputs of the family)."""
        n_out = family.n_outputs(self.latent_dim if latent_dim is None else latent_dim)
        return self._networks("encoder", list(self.widths), [n_out] * self.n_modalities)

    def joint_encoder(
        self, family: Family, n_in: int, what: str = "encoder", size: int | None = None
    ) -> nn.Module:
        """One network for all modalities, (N, n_in) -> (N, outputs of the family)."""
        factory = self._wanted(what)
        if not (factory is None or callable(factory)):
            raise TypeError(
                f"The {what} of {type(self._estimator).__name__} reads all modalities at once: "
                "pass one factory, a callable (n_in, n_out) -> nn.Module. Got "
                f"{factory!r} instead."
            )
        n_out = family.n_outputs(self.latent_dim if size is None else size)
        network = self._network(what, factory, n_in, n_out)
        if not self.linear:
            return network
        return self._plus(what, network, self.n_features, n_out, n_read=n_in, reads=True)

    def product(
        self, family: Family, latent_dim: int | None = None, *, prior_expert: bool = True
    ) -> ProductOfExperts:
        """One expert a modality; a subset takes the product of those of its members."""
        return ProductOfExperts(
            family,
            self.encoders(family, latent_dim),
            shared=self._shared_by_rows(family, self.widths, latent_dim),
            prior_expert=prior_expert,
        )

    def joint(self, family: Family, latent_dim: int | None = None) -> JointEncoder:
        """One encoder for all modalities, which also reads what is hidden."""
        encoder = self.joint_encoder(family, 2 * self.n_features, size=latent_dim)
        shared = self._shared_by_rows(family, [self.n_features], latent_dim)
        return JointEncoder(family, encoder, None if shared is None else shared[0])

    def subset_encoders(self, family: Family, latent_dim: int | None = None) -> SubsetEncoders:
        """One encoder a modality, and another for several, which also reads what is hidden."""
        joint = self.joint_encoder(family, 2 * self.n_features, "joint_encoder", latent_dim)
        return SubsetEncoders(family, joint, self.encoders(family, latent_dim))

    def product_with_stand_ins(
        self, family: Family, latent_dim: int | None = None
    ) -> ProductWithStandIns:
        """One expert a modality, and one that speaks for the others."""
        encoders, stand_ins = (self.encoders(family, latent_dim) for _ in range(2))
        return ProductWithStandIns(family, encoders, stand_ins)

    def _shared_by_rows(
        self, family: Family, widths: Sequence[int], latent_dim: int | None
    ) -> list[Tensor] | None:
        size = self.latent_dim if latent_dim is None else latent_dim
        made = [family.shared(width, size, self.generator) for width in widths]
        return [tensor for tensor in made if tensor is not None] or None

    def decoders(self, latent_dim: int) -> Networks:
        """One network a modality, (N, D) -> (N, outputs of the likelihood)."""
        n_outs = [likelihood.n_outputs(len(likelihood.seen)) for likelihood in self.likelihoods]
        return self._networks("decoder", [latent_dim] * len(n_outs), n_outs)

    def model(
        self,
        strategy: Strategy,
        prior: Prior,
        subsets: Subsets | None = None,
        private: PrivateLatents | None = None,
        *,
        predicts: bool = False,
    ) -> MultimodalVAE:
        """Compose a model: its decoders are made last, its subsets are all modalities together.

        ``predicts`` says whether networks like its decoders are to predict what is hidden.
        """
        seen = prior.latent_dim + (0 if private is None else private.prior.latent_dim)
        decoders = self.decoders(seen)
        self._tied.clear()  # what predicts shares nothing with the rest
        return MultimodalVAE(
            strategy,
            prior,
            decoders,
            self.likelihoods,
            Subsets.full(self.n_modalities) if subsets is None else subsets,
            private,
            self.decoders(seen) if predicts else None,
        )

    def objective(self, kind: type[Objective], **more: Any) -> Objective:
        """Make an objective with the parameters that the estimator has for all of them."""
        estimator = self._estimator
        if estimator.free_bits:
            if issubclass(kind, IWAE):
                raise ValueError(
                    f"free_bits={estimator.free_bits} is about a KL, and importance-weighted "
                    "objectives have none. Leave it at 0, or take an ELBO."
                )
            more["free_bits"] = float(estimator.free_bits)
        return kind(
            float(estimator.beta),
            int(estimator.n_samples),
            likelihood_weights=self._likelihood_weights(),
            **more,
        )

    def _likelihood_weights(self) -> list[float] | None:
        wanted = self._estimator.likelihood_weights
        if wanted is None:
            return None
        given = wanted if isinstance(wanted, Mapping) else list(wanted)
        weights = per_modality(given, self.names, "likelihood_weights")
        known = all(isinstance(weight, Real) and 0 <= weight < math.inf for weight in weights)
        if not (known and any(weights)):
            raise ValueError(
                "likelihood_weights must be finite numbers of at least 0, and not all 0; got "
                f"{wanted!r}."
            )
        return [float(weight) for weight in weights]

    def _wanted(self, what: str) -> Any:
        """Read the parameter of a network, which may name an architecture."""
        wanted = getattr(self._estimator, what)
        return getattr(ARCHITECTURES[wanted], what) if isinstance(wanted, str) else wanted

    def _networks(self, what: str, n_ins: list[int], n_outs: list[int]) -> Networks:
        wanted = self._wanted(what)
        if isinstance(wanted, Shared):
            return self._shared(what, wanted, n_ins, n_outs)
        factories = per_modality(wanted, self.names, what)
        made = []
        for name, factory, n_in, n_out in zip(self.names, factories, n_ins, n_outs, strict=True):
            label = f"{what} of modality '{name}'"
            network = self._network(label, factory, n_in, n_out)
            if self.linear:
                network = self._plus(label, network, n_in, n_out, reads=what == "encoder")
            made.append(network)
        # a network that a user makes stays as it is
        plain = all(factory is None or isinstance(factory, MLPFactory) for factory in factories)
        if plain and len(made) > 1 and StackedNetworks.can_hold(made):
            return StackedNetworks(made)
        return SeparateNetworks(made)

    def _plus(
        self,
        what: str,
        network: nn.Module,
        n_in: int,
        n_out: int,
        *,
        n_read: int | None = None,
        reads: bool,
    ) -> nn.Module:
        """Add the linear part that starts at factor analysis; ``reads`` says it is an encoder."""
        self._n_made += 1
        how = (_REACH, _DROPOUT, derive_seed(self.seed, self._n_made)) if reads else ()
        both = LinearPlus(n_in, n_out, network, *how)
        with torch.no_grad():
            ones = torch.ones(2, n_in if n_read is None else n_read, dtype=_dtype_of(network))
            if network.eval()(ones).any():
                raise ValueError(
                    f"The {what} does not end with a linear layer or a convolution, so it cannot "
                    "start at zero beside factor analysis. Let it, or take init='random'."
                )
        return both

    def _shared(self, what: str, wanted: Shared, n_ins: list[int], n_outs: list[int]) -> Networks:
        if len({*zip(n_ins, n_outs, strict=True)}) > 1:
            raise ValueError(
                f"{what}=Shared(...) is one network for all modalities, which must have the same "
                f"number of features and likelihoods of one kind; the widths are "
                f"{dict(zip(self.names, self.widths, strict=True))}."
            )
        size = wanted.embedding_dim
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(
                f"embedding_dim of Shared, the {what}, must be a positive integer; got {size!r}."
            )
        embedding = nn.Parameter(torch.randn(self.n_modalities, size, generator=self.generator))
        if wanted.tied:
            embedding = self._tied.setdefault(size, embedding)
        n_read = SharedNetwork.n_read(n_ins[0], size)
        network = self._network(what, wanted.factory, n_read, n_outs[0])
        return SharedNetwork(network, embedding, n_ins[0], self.generator)

    def _network(
        self, what: str, factory: Callable[[int, int], nn.Module] | None, n_in: int, n_out: int
    ) -> nn.Module:
        if factory is None:
            estimator = self._estimator
            sizes = list(estimator.hidden_layer_sizes)
            # by kind of number: a file may say a million of them
            if not all(issubclass(kind, Integral) for kind in set(map(type, sizes))) or not all(
                size > 0 for size in sizes
            ):
                raise ValueError(f"hidden_layer_sizes must be positive integers; got {sizes}.")
            made = mlp(n_in, n_out, [*map(int, sizes)], estimator.activation, self.generator)
            return self._in_precision(made)
        if not callable(factory) or isinstance(factory, nn.Module):
            raise TypeError(
                f"The {what} must be a factory, a callable (n_in, n_out) -> nn.Module, so that "
                f"every fit starts from fresh weights. Got {factory!r} instead."
            )
        # a factory draws its weights from torch's global generator: lend it a seeded one
        self._n_made += 1
        _refuse_other_words(what, factory)
        with lend_global_generator(derive_seed(self.seed, self._n_made)):
            network = factory(n_in, n_out)
            if not isinstance(network, nn.Module):
                raise TypeError(f"The {what} must make an nn.Module; it made {network!r}.")
            try:
                with torch.no_grad():
                    zeros = torch.zeros(2, n_in, dtype=_dtype_of(network))
                    made = network.eval()(zeros)
            except RuntimeError as error:
                raise ValueError(
                    f"The {what} must map (N, {n_in}) to (N, {n_out}); for N = 2 it failed. "
                    f"torch says: {error}"
                ) from error
        gave = tuple(made.shape) if isinstance(made, Tensor) else f"a {type(made).__name__}"
        if gave != (2, n_out):
            raise ValueError(
                f"The {what} must map (N, {n_in}) to (N, {n_out}); for N = 2 it gave {gave}."
            )
        return self._in_precision(network)

    def _in_precision(self, network: nn.Module) -> nn.Module:
        return InBfloat16(network) if self._estimator.dtype == "bfloat16" else network


def _refuse_other_words(what: str, factory: Callable[[int, int], nn.Module]) -> None:
    """Refuse a factory that cannot be called with two sizes."""
    try:
        words = inspect.signature(factory)
    except ValueError:  # some that are written in C have none
        return
    try:
        words.bind(1, 1)
    except TypeError as error:
        raise TypeError(
            f"The {what} must be a factory, a callable (n_in, n_out) -> nn.Module; it takes "
            f"{words} instead."
        ) from error


def _dtype_of(network: nn.Module) -> torch.dtype:
    return next((p.dtype for p in network.parameters()), torch.get_default_dtype())
