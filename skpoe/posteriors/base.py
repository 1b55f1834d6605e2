"""What every family of posteriors can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..device import holds
from ..random import RowNoise
from ..shortcuts import WithShortcuts

Params = dict[str, Tensor]
# multiplications a row below which torch's batched matrix product takes a slow way
_SMALL = 400


class LinearExpert(NamedTuple):
    """Weight (n_outputs, F) and bias (n_outputs,) of an encoder, and what rows share."""

    weight: Tensor
    bias: Tensor
    shared: Tensor | None = None


class Family(WithShortcuts, ABC):
    """A family of distributions q(z | params); no weights, no state.

    Experts and posteriors are mappings of leaves. The leaves of M *experts* lead with (N or 1, M),
    those of S *posteriors* with (S or 1, N or 1). In an exponential family experts are natural
    parameters, and a product of experts is their sum.
    """

    name: str
    # the kind of prior that the family can say: whose ``natural()`` it reads
    prior_kind = "gaussian"
    # whether several experts have a product in the family; else a subset holds one at most
    has_products = True
    # whether KL(q || q') has a closed form, and KL(q || prior); else they are averaged over draws
    has_kl = True
    has_prior_kl = True
    # whether an expert can say what a linear-Gaussian model says: see ``evidence``
    has_linear_experts = False
    # whether each row has parameters of its own, so that one network may say all of them
    has_own_scale = True

    @abstractmethod
    def n_outputs(self, latent_dim: int) -> int:
        """How many numbers an encoder emits a row."""

    def shared(
        self, n_features: int, latent_dim: int, generator: torch.Generator | None = None
    ) -> Tensor | None:
        """Draw what an expert of so many features learns once, for all rows; None if nothing."""
        return None

    def n_held(self, latent_dim: int) -> int:
        """How many numbers a posterior and its draws hold a row, to say how many fit in memory."""
        return latent_dim

    @abstractmethod
    def experts(
        self,
        raw: Tensor,
        shared: Sequence[Tensor] | None = None,
        masks: Sequence[Tensor] | None = None,
    ) -> Params:
        """Read natural parameters off encoder outputs.

        Parameters
        ----------
        raw : Tensor of shape (N, M, n_outputs)
        shared : sequence of M Tensors, default=None
            What :meth:`shared` gave each expert.
        masks : sequence of M bool Tensors of shape (N, F_m) or (N, 1), default=None
            The entries that each expert has read; all when None.
        """

    def evidence(self, loadings: Tensor, noise: Tensor, alone: bool) -> LinearExpert:
        """Say as an expert what x = loadings z + N(0, diag(noise)) tells of z; linear in x.

        Parameters
        ----------
        loadings : Tensor of shape (F, D)
        noise : Tensor of shape (F,)
            Variances.
        alone : bool
            Whether the expert stands without the prior N(0, I), and must hold it.

        A family with ``has_linear_experts`` has this.
        """
        raise NotImplementedError

    @abstractmethod
    def at(self, natural: Params) -> Params:
        """Write a prior's natural parameters, leaves (D,), as posterior params, (1, 1, ...)."""

    def lift(self, natural: Params) -> Params:
        """Write them as one expert for all rows: as :meth:`at`, where experts have its leaves."""
        return self.at(natural)

    def alone(self, experts: Params, prior: Params) -> Params:
        """Make each expert a distribution that can stand without the prior as one more expert.

        Where experts are evidence, which may say nothing of some direction, each is multiplied by
        the prior (natural parameters, leaves (D,)).
        """
        return experts

    @staticmethod
    def append(experts: Params, expert: Params) -> Params:
        """Add one expert for all rows, leaves (1, 1, ...), after the others."""
        return {
            leaf: torch.cat([value, expert[leaf].expand(len(value), *expert[leaf].shape[1:])], 1)
            for leaf, value in experts.items()
        }

    @abstractmethod
    def product(self, experts: Params, membership: Tensor) -> Params:
        """Multiply the experts in each subset; membership is (S, N, M) bool."""

    def product_with_prior(
        self, experts: Params, powers: Tensor, prior: Params, held: Tensor | None = None
    ) -> Params:
        """Multiply the experts in each subset, and the prior.

        Parameters
        ----------
        experts : Params
        powers : Tensor of shape (S, N, M)
            As :meth:`product` takes them.
        prior : Params
            Natural parameters, leaves (D,).
        held : bool Tensor of shape (S, N), default=None
            Where the prior is one of the experts; everywhere when None.
        """
        if held is None:
            n_rows = powers.shape[1]
            if powers.stride(1) == 0:  # one row stands for all: it has been expanded
                powers = powers[:, :1]
            powers = F.pad(powers, (0, 1), value=1).expand(-1, n_rows, -1)
        else:
            powers = torch.cat([powers, held[..., None].to(powers.dtype)], dim=-1)
        return self.product(self.append(experts, self.lift(prior)), powers)

    def product_or_prior(
        self, experts: Params, powers: Tensor, prior: Params, shown: Tensor
    ) -> Params:
        """Multiply the experts in each subset; the prior stands where it has none to multiply.

        There ``shown``, bool (S, N), is False. The others are as in :meth:`product_with_prior`.
        """
        if holds(shown.all(), otherwise=False):
            return self.product(experts, powers)
        return self.product_with_prior(experts, powers, prior, ~shown)

    def read(
        self,
        raw: Tensor,
        shown: Tensor,
        prior: Params,
        shared: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Params:
        """Read posteriors straight off an encoder, the prior where nothing is shown.

        Parameters
        ----------
        raw : Tensor of shape (S, N, n_outputs)
        shown : bool Tensor of shape (S, N)
        prior : Params
            Natural parameters, leaves (D,).
        shared : Tensor, default=None
            What :meth:`shared` gave for all features.
        masks : bool Tensor of shape (S, N, F), default=None
            The entries that were read; all when None.

        Returns
        -------
        params : Params
            Leaves (S, N, ...).
        """
        n_subsets = len(raw)
        said = self.experts(  # what a subset has read is an expert of its own
            raw.transpose(0, 1),
            None if shared is None else [shared] * n_subsets,
            None if masks is None else list(masks),
        )
        own = torch.eye(n_subsets, dtype=torch.bool, device=raw.device)[:, None]
        experts = self.alone(said, prior)
        return self.product_or_prior(experts, own & shown[..., None], prior, shown)

    def noise(self, source: RowNoise, n_draws: int, params: Params) -> Any:
        """Draw what :meth:`rsample` turns into n_draws samples: normal numbers (K, S, N, D)."""
        mean = self.mean(params)
        return source.normal(n_draws, len(mean), event=mean.shape[-1], dtype=mean.dtype)

    def mirror(self, noise: Any) -> Any:
        """Add the noise of draws on the other side of the mean: (2 K, ...)."""
        return torch.cat([noise, -noise])

    @property
    def mirrors(self) -> bool:
        """Whether :meth:`mirror` is of what :meth:`noise` draws: no class changed that alone."""
        kinds = type(self).__mro__
        first = {
            name: next(place for place, kind in enumerate(kinds) if name in vars(kind))
            for name in ("noise", "mirror")
        }
        return first["mirror"] <= first["noise"]

    @abstractmethod
    def rsample(self, params: Params, noise: Any) -> Tensor:
        """Map noise to z, shape (K, S, N, D), differentiably; pure."""

    def log_prob_of(self, params: Params, noise: Any) -> Tensor | None:
        """Log-density in nats of what :meth:`rsample` makes of noise, (K, S, N).

        Its gradient is that of :meth:`log_prob`, to the parameters and by way of z. None where
        that takes no less work.
        """
        return None

    @abstractmethod
    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        """Log-density in nats of z (K, S, N, D), shape (K, S, N)."""

    @abstractmethod
    def kl(self, params: Params, other: Params) -> Tensor:
        """KL(params || other) in nats, shape (S, N); either side may have S = 1 or N = 1."""

    def prior_kl(self, params: Params, prior: Params) -> Tensor:
        """KL(params || prior) in nats, (S, N), of a prior by its natural parameters, (D,)."""
        return self.kl(params, self.at(prior))

    @abstractmethod
    def mean(self, params: Params) -> Tensor:
        """Mean of z, shape (S, N, D)."""

    def place(self, mean: Tensor) -> Tensor:
        """Take a mean, (..., D), to where z lives; as it is, unless z lives on a surface."""
        return mean


def added(leaves: Sequence[Tensor], membership: Tensor) -> Sequence[Tensor]:
    """Add up what the members of each subset say: each (N, M, P) and (S, N, M) to (S, N, P)."""
    n_rows, n_experts, _ = leaves[0].shape
    dtype = leaves[0].dtype
    if membership.stride(1) == 0 and n_rows == membership.shape[1]:
        # one row stands for all: it has been expanded
        weights = membership[:, 0].to(dtype)
        # modality by modality, as networks that are stacked give them
        flat = [leaf.transpose(0, 1).reshape(n_experts, -1) for leaf in leaves]
        return [(weights @ each).unflatten(1, (n_rows, -1)) for each in flat]
    weights = membership.to(dtype)
    experts = leaves[0] if len(leaves) == 1 else torch.cat(list(leaves), dim=-1)
    if len(weights) * n_experts * experts.shape[2] < _SMALL:
        together = (weights[..., None] * experts).sum(2)
    else:
        together = torch.bmm(weights.transpose(0, 1), experts).transpose(0, 1)
    return together.split([leaf.shape[-1] for leaf in leaves], dim=-1)
