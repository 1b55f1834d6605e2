"""Gaussian posteriors with a full covariance: one Cholesky for each pattern of what is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..device import can_ask, holds, kept_if_small
from ..random import hash_weights
from ..subsets import codes
from .base import Family, LinearExpert, Params, added

# up to so many patterns, one matrix product over all of them beats a gather of matrices
_FEW_PATTERNS = 16


class _Root(torch.autograd.Function):
    """Inverse of the lower Cholesky factor of each precision, (U, D, D).

    With a gradient of its own: three products with what is there, where torch would go back
    through the inverse and the factor by triangular systems.

    References
    ----------
    Differentiation of the Cholesky decomposition (Murray, 2016), https://arxiv.org/abs/1602.07527,
    section 3.
    """

    @staticmethod
    def forward(ctx: Any, precision: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(precision)
        factor.masked_fill_((failed > 0)[:, None, None], torch.nan)  # training will say
        eye = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
        root = torch.linalg.solve_triangular(factor, eye, upper=False)
        ctx.save_for_backward(root)
        return root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (root,) = ctx.saved_tensors
        inner = (gradient @ root.mT).tril_()
        inner.diagonal(dim1=-2, dim2=-1).mul_(0.5)
        return root.mT @ (inner + inner.mT).mul_(-0.5) @ root


class FullGaussian(Family):
    """N(precision^-1 h, precision^-1), where an entry is as sure in one row as in another.

    An encoder emits h; entry d of an expert adds a_d a_d' to the precision wherever it is shown,
    and the vectors a_d are learned parameters of the model. So rows that show the same entries
    share their precision, and it is factorised once; and an expert that has read half of its
    modality is less sure than one that has read all of it, as in factor analysis.

    Leaves of experts: ``h`` (N, M, D); the R distinct precisions of any of them, ``precision``
    (1, R, D, D); and ``which`` of them is that of an expert in a row, (N or 1, M). Leaves of
    posteriors: ``mean`` (S, N, D); ``pattern`` (S, N), a row's index into the U distinct patterns;
    and for each pattern, (1, U, D, D), its ``precision`` and the ``root`` with root' root =
    covariance, the inverse of the lower Cholesky factor of the precision.
    """

    name = "full_gaussian"
    has_linear_experts = True
    shortcuts = {
        "has_linear_experts": ("n_outputs", "experts"),
        "read": ("experts", "alone", "product"),
        "log_prob_of": ("rsample", "log_prob"),
        "prior_kl": ("at", "kl"),
    }
    has_own_scale = False

    def n_outputs(self, latent_dim: int) -> int:
        return latent_dim

    def shared(
        self, n_features: int, latent_dim: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Vectors a_d, (F, D): on average, the entries together say as much as the prior does."""
        size = (n_features, latent_dim)
        return torch.randn(size, generator=generator, dtype=torch.float32) * n_features**-0.5

    def n_held(self, latent_dim: int) -> int:
        return latent_dim**2

    def experts(
        self,
        raw: Tensor,
        shared: Sequence[Tensor] | None = None,
        masks: Sequence[Tensor] | None = None,
    ) -> Params:
        if shared is None:
            raise ValueError(
                "FullGaussian needs what the entries of its experts say: one tensor (F_m, D) for "
                "each, as FullGaussian.shared makes them."
            )
        precisions: list[Tensor] = []
        which: list[Tensor] = []
        n_before = 0
        for m, factors in enumerate(shared):
            mask = None if masks is None else masks[m]
            if mask is None or mask.shape[-1] == 1:  # read whole or not at all
                said, index = _whole(factors)
            else:
                said, index = _by_pattern(factors, mask)
            precisions.append(said)
            which.append((index + n_before).expand(len(raw)))
            n_before += len(said)
        return {
            "h": raw,
            "precision": torch.cat(precisions)[None],
            "which": torch.stack(which, dim=-1),
        }

    def evidence(self, loadings: Tensor, noise: Tensor, alone: bool) -> LinearExpert:
        """Exact, whatever entries are shown; :meth:`alone` adds the prior."""
        weight = (loadings / noise[:, None]).mT
        return LinearExpert(
            weight, weight.new_zeros(len(weight)), loadings / noise.sqrt()[:, None]
        )

    def read(
        self, raw: Tensor, shown: Tensor, prior: Params, shared: Any = None, masks: Any = None
    ) -> Params:
        if shared is None or masks is None:
            return super().read(raw, shown, prior, shared, masks)
        # where nothing is shown no entry adds to the prior, and the encoder is not heard
        h = prior["h"] + raw * shown[..., None]
        said, pattern = _by_pattern(shared, masks.flatten(0, 1))
        precision = said + prior["precision"].diag_embed()
        return _posterior(h, precision, pattern.expand(shown.numel()).view(shown.shape))

    def lift(self, natural: Params) -> Params:
        return {
            "h": natural["h"][None, None],
            "precision": natural["precision"].diag_embed()[None, None],
            "which": torch.zeros(1, 1, dtype=torch.long, device=natural["h"].device),
        }

    def alone(self, experts: Params, prior: Params) -> Params:
        return {
            **experts,
            "h": experts["h"] + prior["h"],
            "precision": experts["precision"] + prior["precision"].diag_embed(),
        }

    def at(self, natural: Params) -> Params:
        precision = natural["precision"][None, None]
        return {
            "mean": natural["h"] / precision,
            "pattern": torch.zeros(1, 1, dtype=torch.long, device=precision.device),
            "precision": precision.diag_embed(),
            "root": precision.rsqrt().diag_embed(),
        }

    @staticmethod
    def append(experts: Params, expert: Params) -> Params:
        both = Family.append(experts, expert)
        both["which"][:, -1] += experts["precision"].shape[1]
        return both

    def product(self, experts: Params, membership: Tensor) -> Params:
        (h,) = added([experts["h"]], membership)
        which, n_precisions = experts["which"], experts["precision"].shape[1]
        n_rows, n_experts = membership.shape[1:]
        reads_alike = n_precisions <= n_experts
        if reads_alike and membership.stride(1) == 0:  # one row stands for all: it was expanded
            membership, which, n_rows = membership[:, :1], which[:1], 1
        # powers of experts may stand for membership, if rows with the same members have the same
        powers, membership = membership.to(h.dtype), membership > 0
        code = codes(membership)
        if not reads_alike:  # some have read other entries than others
            told = which * hash_weights(n_experts, 1, h.device)
            code = code + (membership * told).sum(-1)
        pattern, first = _number(code)
        members = powers.flatten(0, 1)[first]  # (U, M): any row of the pattern
        index = which.expand(n_rows, -1)[first % n_rows]
        # the sum over members of their precisions, without a copy of these for each pattern
        precision = torch.nn.functional.embedding_bag(
            index,
            experts["precision"].flatten(0, 1).flatten(1),
            per_sample_weights=members,
            mode="sum",
        ).view(-1, *experts["precision"].shape[2:])
        return _posterior(h, precision, pattern.expand(-1, h.shape[1]))

    def rsample(self, params: Params, noise: Tensor) -> Tensor:
        return params["mean"] + _times(noise, params["root"].squeeze(0), params["pattern"])

    def log_prob_of(self, params: Params, noise: Tensor) -> Tensor | None:
        square = noise.square().sum(-1) + noise.shape[-1] * math.log(2 * math.pi)
        return 0.5 * (self._log_determinant(params) - square)

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        gap = z - params["mean"]
        square = (gap * _times(gap, params["precision"].squeeze(0), params["pattern"])).sum(-1)
        size = z.shape[-1] * math.log(2 * math.pi)
        return 0.5 * (self._log_determinant(params) - square - size)

    def kl(self, params: Params, other: Params) -> Tensor:
        gap = params["mean"] - other["mean"]
        precision, root = other["precision"].squeeze(0), params["root"].squeeze(0)
        square = (gap * _times(gap, precision, other["pattern"])).sum(-1)
        covariance = root.mT @ root
        ours, theirs = _log_determinants(params), _log_determinants(other)
        if len(precision) * len(covariance) <= _FEW_PATTERNS**2:  # for every pair of patterns
            spread = precision.flatten(1) @ covariance.flatten(1).mT + ours - theirs[:, None]
            pairs = [params["pattern"], other["pattern"]]
            if all(pattern.stride(1) == 0 for pattern in pairs):
                pairs = [pattern[:, :1] for pattern in pairs]
            spread = spread[pairs[1], pairs[0]]
        else:
            products = precision[other["pattern"]] * covariance[params["pattern"]]
            determinants = ours[params["pattern"]] - theirs[other["pattern"]]
            spread = products.sum((-2, -1)) + determinants
        return 0.5 * (spread + square - gap.shape[-1])

    def prior_kl(self, params: Params, prior: Params) -> Tensor:
        weight = prior["precision"]
        gap = params["mean"] - prior["h"] / weight
        variances = params["root"].squeeze(0).square().sum(-2)  # (U, D)
        spread = variances @ weight + _log_determinants(params) - weight.log().sum()
        return 0.5 * (_of_rows(spread, params["pattern"]) + gap.square() @ weight - len(weight))

    def mean(self, params: Params) -> Tensor:
        return params["mean"]

    @staticmethod
    def _log_determinant(params: Params) -> Tensor:
        """Log-determinant of the precision, shape (S, N or 1)."""
        return _of_rows(_log_determinants(params), params["pattern"])


def _log_determinants(params: Params) -> Tensor:
    """Log-determinant of each precision, shape (U,)."""
    diagonal = params["root"].squeeze(0).diagonal(dim1=-2, dim2=-1)
    return -2.0 * diagonal.log().sum(-1)


def _posterior(h: Tensor, precision: Tensor, pattern: Tensor) -> Params:
    """Of h (S, N, D), by the precisions (U, D, D) of patterns (S, N)."""
    root = _Root.apply(precision)
    return {
        "mean": _solve(h, root, pattern),
        "pattern": pattern,
        "precision": precision[None],
        "root": root[None],
    }


def _number(code: Tensor) -> tuple[Tensor, Tensor]:
    """Give distinct codes a number, and for each find a place where it stands, of all in a row.

    If all are distinct they are numbered as they stand, and where it cannot be asked whether any
    two are equal, each has a number of its own.
    """
    place = _places(code.numel(), code.device)
    if not can_ask(code):
        return place.view(code.shape), place
    distinct, which = torch.unique(code, return_inverse=True)
    if len(distinct) == len(place):
        return place.view(code.shape), place
    return which, torch.empty_like(distinct).index_copy_(0, which.flatten(), place)


def _solve(h: Tensor, root: Tensor, pattern: Tensor) -> Tensor:
    """Multiply each row vector (S, N, D) by its pattern's covariance, root' root."""
    if len(root) > _FEW_PATTERNS:  # nearly one a row: two products with a vector are cheaper
        return _times(_times(h, root.mT, pattern), root, pattern)
    return _times(h, root.mT @ root, pattern)


def _times(v: Tensor, matrices: Tensor, pattern: Tensor) -> Tensor:
    """Multiply each row vector v (..., S, N, D) by its pattern's matrix (U, D, D) on the right."""
    n_patterns, n_in, n_out = matrices.shape
    if n_patterns == 1:
        return v @ matrices.squeeze(0)
    if pattern.stride(1) == 0:
        return v @ _of_rows(matrices, pattern).squeeze(1)
    if n_patterns > _FEW_PATTERNS:
        own = matrices if _counts(pattern, n_patterns) else matrices[pattern.flatten()]
        rows = v.reshape(-1, len(own), n_in).transpose(0, 1)  # all draws of a row at a time
        return torch.bmm(rows, own).transpose(0, 1).reshape(*v.shape[:-1], n_out)
    # v in the block of its pattern, zeros in the others, against all matrices stacked: one
    # matrix product forward and two backward, where a gather would scatter-add whole matrices
    own = (pattern[..., None] == _places(n_patterns, pattern.device)).to(v.dtype)  # (S, N, U)
    blocks = own[..., None] * v[..., None, :]
    return blocks.flatten(-2) @ matrices.reshape(n_patterns * n_in, n_out)


def _of_rows(values: Tensor, pattern: Tensor) -> Tensor:
    """Give each row what its pattern has: (U, ...) to (S, N, ...), N = 1 if rows are alike."""
    if pattern.stride(1) == 0:
        pattern = pattern[:, :1]
    if _counts(pattern, len(values)):
        return values.unflatten(0, pattern.shape)  # nothing to gather
    return values[pattern]


def _counts(pattern: Tensor, n_patterns: int) -> bool:
    """Say whether patterns are 0, 1, 2, ... as they stand."""
    if pattern.numel() != n_patterns:
        return False
    if not can_ask(pattern):  # one for each row of each subset, as _number made them
        return True
    place = _places(n_patterns, pattern.device)
    # nearly always they are that very tensor: nothing to look at
    return pattern.data_ptr() == place.data_ptr() or torch.equal(pattern.flatten(), place)


@kept_if_small
def _places(n: int, device: torch.device) -> Tensor:
    """Give 0, 1, 2, ...: to be left as they are."""
    return torch.arange(n, device=device)


def _whole(factors: Tensor) -> tuple[Tensor, Tensor]:
    """Precision of an expert that has read all of its modality."""
    return (factors.mT @ factors)[None], torch.zeros(1, dtype=torch.long, device=factors.device)


def _by_pattern(factors: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Precision for each distinct row of a mask (N, F), (R, D, D), and which row has which."""
    n_features, latent_dim = factors.shape
    code = (mask * hash_weights(n_features, 0, mask.device)).sum(-1)
    which, first = _number(code)
    if len(first) == 1 and holds(mask[0].all(), otherwise=False):
        return _whole(factors)
    shown = mask[first].to(factors.dtype)  # (R, F)
    if len(first) < latent_dim:  # few patterns: never hold F matrices
        return (shown[:, :, None] * factors).mT @ factors, which
    squares = factors[:, :, None] * factors[:, None, :]
    return (shown @ squares.flatten(1)).unflatten(1, (latent_dim, latent_dim)), which
