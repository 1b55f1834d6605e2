"""Which modalities a posterior may read: subsets as a 0/1 matrix, met with what a row shows."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from .device import can_ask, kept
from .random import RowNoise, hash_weights

# a powerset of more modalities is sampled
MOST_ENUMERATED = 12


class Subsets(nn.Module):
    """A weighted list of subsets of M modalities.

    One rule serves missing data everywhere: intersect each subset with what the row shows, drop
    the empty ones, renormalise the weights; if nothing is left, the posterior is the prior.

    Parameters
    ----------
    members : bool Tensor of shape (S, M)
        True where the subset holds the modality.
        A subset that holds nothing is the prior, as a component of its own.
    weights : Tensor of shape (S,), default=None
        Positive; equal weights when None.
    n_sampled : int, default=0
        Draw so many subsets anew for each row instead, uniformly among the non-empty subsets of
        what it shows; ``members`` then says the number of modalities alone.

    Examples
    --------
    >>> from skpoe.subsets import Subsets
    >>> (Subsets.full(2) | Subsets.singletons(2)).members.int().tolist()
    [[1, 1], [1, 0], [0, 1]]
    """

    members: Tensor
    weights: Tensor

    def __init__(self, members: Tensor, weights: Tensor | None = None, n_sampled: int = 0) -> None:
        super().__init__()
        equal = torch.ones(len(members))
        self.register_buffer("members", members.bool(), persistent=False)
        weights = (equal if weights is None else weights).double()
        self.register_buffer("weights", weights, persistent=False)
        self.n_sampled = n_sampled
        self._told = bytes(self.members.flatten().tolist()), tuple(weights.tolist())

    def __len__(self) -> int:
        return self.n_sampled or len(self.members)

    @classmethod
    def full(cls, n_modalities: int) -> Subsets:
        """All modalities together: a product of experts."""
        return cls(torch.ones(1, n_modalities))

    @classmethod
    def singletons(cls, n_modalities: int) -> Subsets:
        """Each modality alone: a mixture of experts."""
        return cls(torch.eye(n_modalities))

    @classmethod
    def powerset(cls, n_modalities: int) -> Subsets:
        """Every non-empty subset: a mixture of products of experts."""
        if n_modalities > MOST_ENUMERATED:
            raise ValueError(
                f"The powerset of {n_modalities} modalities is too large; at most "
                f"{MOST_ENUMERATED} can be enumerated. Sample subsets instead."
            )
        rows = list(itertools.product((0, 1), repeat=n_modalities))
        return cls(torch.tensor(rows[1:]))

    @classmethod
    def sampled(cls, n_modalities: int, n_subsets: int) -> Subsets:
        """Non-empty subsets drawn for each row: an unbiased estimate of the whole powerset."""
        return cls(torch.ones(1, n_modalities), n_sampled=n_subsets)

    @classmethod
    def nothing(cls, n_modalities: int) -> Subsets:
        """Hold the empty subset alone: the prior, as a component of a mixture."""
        return cls(torch.zeros(1, n_modalities))

    def __or__(self, other: Subsets) -> Subsets:
        return Subsets(
            torch.cat([self.members, other.members]), torch.cat([self.weights, other.weights])
        )

    def within(
        self,
        observed: Tensor,
        noise: RowNoise | None = None,
        *,
        whole: bool = False,
        dtype: torch.dtype = torch.float64,
    ) -> tuple[Tensor, Tensor]:
        """Intersect with what each row shows.

        Parameters
        ----------
        observed : bool Tensor of shape (N, M)
        noise : RowNoise, default=None
            Needed where subsets are sampled.
        whole : bool, default=False
            Whether it is known that all rows show all modalities.
        dtype : torch.dtype, default=torch.float64
            Of the weights.

        Returns
        -------
        membership : bool Tensor of shape (S, N, M)
        log_weights : Tensor of shape (S, N)
            They sum to one over S in each row; -inf for an intersection that became empty, but the
            first subset has weight one in a row that shows nothing (its posterior is the prior).
        """
        if self.n_sampled:
            if noise is None:
                raise ValueError("Subsets that are sampled need noise.")
            uniform = noise.fold("subsets").uniform(
                self.n_sampled, event=observed.shape[1] + 1, dtype=torch.float64
            )
            membership = sample_uniformly(observed, uniform)
            return membership, equal_log_weights(membership, dtype)
        if whole:
            return _of_whole(self._told, *observed.shape, observed.device, dtype)
        members = self.members
        membership = members[:, None] & observed
        if len(members) == 1:
            return membership, equal_log_weights(membership, dtype)
        kept = membership.any(-1) | ~members.any(-1)[:, None]
        weights = self.weights.double()[:, None] * kept
        weights[0] += weights.sum(0) == 0
        return membership, (weights / weights.sum(0)).log().to(dtype)


@kept
def _of_whole(
    told: tuple[bytes, tuple[float, ...]],
    n_rows: int,
    n_modalities: int,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Give what :meth:`Subsets.within` gives for rows that show all modalities."""
    members, weights = (torch.tensor(list(part), device=device) for part in told)
    membership = members.bool().view(-1, 1, n_modalities).expand(-1, n_rows, -1)
    if len({*told[1]}) == 1:
        return membership, equal_log_weights(membership, dtype)
    log_weights = (weights.double() / weights.double().sum()).log().to(dtype)
    return membership, log_weights[:, None].expand(-1, n_rows)


@kept
def all_and_each(n_modalities: int, device: torch.device | None = None) -> Tensor:
    """Members of all modalities together, then of each of them alone: bool (1 + M, M)."""
    each = torch.eye(n_modalities, dtype=torch.bool, device=device)
    return torch.cat([torch.ones_like(each[:1]), each])


def all_each_and_some(
    observed: Tensor, noise: RowNoise, n_sampled: int, *, whole: bool = False
) -> tuple[Tensor, Tensor]:
    """Give all that rows show, each modality of it alone, and random subsets of sizes between.

    Parameters
    ----------
    observed : bool Tensor of shape (N, M)
    noise : RowNoise
    n_sampled : int
        How many are drawn for each row, of more than one modality and fewer than all it shows;
        none where there are not three modalities.
    whole : bool, default=False
        Whether it is known that all rows show all modalities.

    Returns
    -------
    membership : bool Tensor of shape (S, N, M)
    scored : bool Tensor of shape (S, M)
        Which modalities each subset holds in any row; on the CPU.
    """
    n_modalities = observed.shape[1]
    each = all_and_each(n_modalities, observed.device)[:, None]
    membership = each.expand(-1, *observed.shape) if whole else each & observed
    scored = all_and_each(n_modalities)
    if not n_sampled or n_modalities < 3:
        return membership, scored
    uniform = noise.fold("subsets").uniform(n_sampled, event=n_modalities + 1)
    sampled = sample_within(observed, uniform, lowest=2, below_all=1)
    return torch.cat([membership, sampled]), torch.cat([scored, held_anywhere(sampled)])


def held_anywhere(membership: Tensor) -> Tensor:
    """Say which modalities each subset holds in any row, (S, N, M) to bool (S, M) on the CPU.

    All, where that cannot be asked.
    """
    if can_ask(membership):
        return membership.any(1)
    return torch.ones(membership.shape[::2], dtype=torch.bool)


def equal_log_weights(membership: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Weigh all subsets alike: (S, N, M) to (S, N)."""
    return _equal(len(membership), membership.device, dtype).expand(membership.shape[:2])


@kept
def _equal(n_subsets: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.full((), -math.log(n_subsets), dtype=dtype, device=device)


def codes(membership: Tensor) -> Tensor:
    """Name each subset by an integer: (..., M) bool -> (...) int64, equal if and only if equal.

    (For more than 62 modalities "only if" holds up to 64-bit hash collisions.)
    """
    n_modalities = membership.shape[-1]
    if n_modalities <= 62:
        weights = 2 ** torch.arange(n_modalities, device=membership.device)
    else:
        weights = hash_weights(n_modalities, 0, membership.device)
    return (membership * weights).sum(-1)


def distinct(membership: Tensor) -> Tensor:
    """Mark the non-empty subsets of a row that no earlier one repeats: (S, N, M) -> (S, N) bool.

    A subset met with a row's observed modalities may coincide with another; counting it twice
    would weigh that row's terms by an accident of what is missing.
    """
    code = codes(membership)
    earlier = torch.ones(len(code), len(code), device=code.device).tril(-1).bool()
    repeats = ((code[:, None] == code) & earlier[..., None]).any(1)  # (S, S, N) -> (S, N)
    return ~repeats & membership.any(-1)


def sample_within(observed: Tensor, uniform: Tensor, lowest: int, below_all: int) -> Tensor:
    """Draw a subset of what each row shows: first its size, uniformly, then its members.

    Parameters
    ----------
    observed : bool Tensor of shape (N, M)
    uniform : Tensor of shape (S, N, M + 1)
        Uniform numbers on (0, 1).
    lowest : int
        The smallest size.
    below_all : int
        How many of the n observed modalities the largest subset lacks.

    Returns
    -------
    membership : bool Tensor of shape (S, N, M)
        Empty where n leaves no size between ``lowest`` and ``n - below_all``.
    """
    n_sizes = (observed.sum(-1) - below_all - lowest + 1).clamp(min=0)
    size = (uniform[..., -1] * n_sizes).long() + lowest
    size = torch.where(n_sizes > 0, size, 0)
    order = uniform[..., :-1].masked_fill(~observed, 2.0)  # what is missing comes last
    rank = order.argsort(-1).argsort(-1)
    return (rank < size[..., None]) & observed


def sample_uniformly(observed: Tensor, uniform: Tensor) -> Tensor:
    """Draw a non-empty subset of what each row shows, every one with the same probability.

    Parameters
    ----------
    observed : bool Tensor of shape (N, M)
    uniform : Tensor of shape (S, N, M + 1)
        Uniform numbers on (0, 1).

    Returns
    -------
    membership : bool Tensor of shape (S, N, M)
        Empty in a row that shows nothing.
    """
    place = observed.cumsum(-1) - 1  # of a modality among those that are shown
    count = observed.sum(-1).to(uniform.dtype)
    # the first member is number i with probability 2^-(i + 1) / (1 - 2^-n); the later ones are
    # members or not as coins fall
    share = uniform[..., -1] * (1.0 - 0.5**count)
    first = (-torch.log2(1.0 - share)).floor().clamp(max=count - 1)[..., None]
    coin = uniform[..., :-1] < 0.5
    return observed & ((place == first) | ((place > first) & coin))
