"""Which modalities a posterior may read: subsets as a 0/1 matrix, met with what a row shows."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .random import hash_weights

_MOST_POWERSET = 16


class Subsets:
    """A weighted list of subsets of M modalities.

    One rule serves missing data everywhere: intersect each subset with what the row shows, drop
    the empty ones, renormalise the weights; if nothing is left, the posterior is the prior.

    Parameters
    ----------
    members : bool Tensor of shape (S, M)
        True where the subset holds the modality.
    weights : Tensor of shape (S,), default=None
        Positive; equal weights when None.

    Examples
    --------
    >>> from skpoe.subsets import Subsets
    >>> (Subsets.full(2) | Subsets.singletons(2)).members.int().tolist()
    [[1, 1], [1, 0], [0, 1]]
    """

    def __init__(self, members: Tensor, weights: Tensor | None = None) -> None:
        self.members = members.bool()
        self.weights = torch.ones(len(members)) if weights is None else weights

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
        if n_modalities > _MOST_POWERSET:
            raise ValueError(
                f"The powerset of {n_modalities} modalities is too large; at most "
                f"{_MOST_POWERSET} can be enumerated. Sample subsets instead."
            )
        rows = list(itertools.product((0, 1), repeat=n_modalities))
        return cls(torch.tensor(rows[1:]))

    def __or__(self, other: Subsets) -> Subsets:
        return Subsets(
            torch.cat([self.members, other.members]), torch.cat([self.weights, other.weights])
        )

    def within(self, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Intersect with what each row shows.

        Parameters
        ----------
        observed : bool Tensor of shape (N, M)

        Returns
        -------
        membership : bool Tensor of shape (S, N, M)
        log_weights : Tensor of shape (S, N)
            They sum to one over S in each row; -inf for an empty intersection, but the first
            subset has weight one in a row that shows nothing (its posterior is the prior).
        """
        membership = self.members.to(observed.device)[:, None] & observed
        weights = self.weights.to(observed.device)[:, None] * membership.any(-1)
        weights[0] += weights.sum(0) == 0
        return membership, (weights / weights.sum(0)).log()


def codes(membership: Tensor) -> Tensor:
    """Name each subset by an integer: (..., M) bool -> (...) int64, equal if and only if equal.

    (For more than 62 modalities "only if" holds up to 64-bit hash collisions.)
    """
    n_modalities = membership.shape[-1]
    if n_modalities <= 62:
        weights = 2 ** torch.arange(n_modalities, device=membership.device)
    else:
        weights = hash_weights(n_modalities, device=membership.device)
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
