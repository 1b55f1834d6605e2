"""Gaussian posteriors with a full covariance: one Cholesky a pattern, never one a row."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..subsets import codes
from .base import Family, Params

# up to so many patterns, one matrix product over all of them beats a gather of matrices
_FEW_PATTERNS = 16


class FullGaussian(Family):
    """N(precision^-1 h, precision^-1), where each expert's precision is the same for all rows.

    An encoder emits h; the precision A_m A_m' of expert m is a learned parameter of the model.
    So rows that show the same modalities share their precision, and it is factorised once.

    Leaves of experts: ``h`` (N, M, D), ``precision`` (1, M, D, D). Leaves of posteriors: ``mean``
    (S, N, D); ``pattern`` (S, N), a row's index into the U distinct patterns; and for each
    pattern, (1, U, D, D), its ``precision``, its ``covariance`` and the ``root`` with root' root =
    covariance, the inverse of the lower Cholesky factor of the precision.
    """

    name = "full_gaussian"
    has_own_scale = False

    def n_outputs(self, latent_dim: int) -> int:
        return latent_dim

    def n_shared(self, latent_dim: int) -> int:
        return latent_dim**2

    def n_held(self, latent_dim: int) -> int:
        return latent_dim**2

    def experts(self, raw: Tensor, shared: Tensor | None = None) -> Params:
        if shared is None:
            raise ValueError(
                "FullGaussian needs the shared factors of its experts, shape (M, D * D)."
            )
        factor = shared.view(len(shared), raw.shape[-1], raw.shape[-1])
        return {"h": raw, "precision": (factor @ factor.mT)[None]}

    def lift(self, natural: Params) -> Params:
        return {
            "h": natural["h"][None, None],
            "precision": natural["precision"].diag_embed()[None, None],
        }

    def at(self, natural: Params) -> Params:
        precision = natural["precision"][None, None]
        return {
            "mean": natural["h"] / precision,
            "pattern": torch.zeros(1, 1, dtype=torch.long, device=precision.device),
            "precision": precision.diag_embed(),
            "covariance": precision.reciprocal().diag_embed(),
            "root": precision.rsqrt().diag_embed(),
        }

    def product(self, experts: Params, membership: Tensor) -> Params:
        dtype = experts["h"].dtype
        h = torch.einsum("nmd,snm->snd", experts["h"], membership.to(dtype))
        distinct, pattern = torch.unique(codes(membership), return_inverse=True)
        first = torch.empty_like(distinct)
        first[pattern.flatten()] = torch.arange(pattern.numel(), device=h.device)
        members = membership.flatten(0, 1)[first].to(dtype)  # (U, M): any row of the pattern
        precision = torch.einsum("um,mde->ude", members, experts["precision"][0])
        factor, failed = torch.linalg.cholesky_ex(precision)
        factor = factor.masked_fill(failed.bool()[:, None, None], torch.nan)  # training will say
        eye = torch.eye(h.shape[-1], dtype=dtype, device=h.device)
        root = torch.linalg.solve_triangular(factor, eye, upper=False)
        covariance = root.mT @ root
        return {
            "mean": _times(h, covariance, pattern),
            "pattern": pattern,
            "precision": precision[None],
            "covariance": covariance[None],
            "root": root[None],
        }

    def rsample(self, params: Params, noise: Tensor) -> Tensor:
        return params["mean"] + _times(noise, params["root"][0], params["pattern"])

    def log_prob(self, params: Params, z: Tensor) -> Tensor:
        gap = z - params["mean"]
        square = (gap * _times(gap, params["precision"][0], params["pattern"])).sum(-1)
        size = z.shape[-1] * math.log(2 * math.pi)
        return 0.5 * (self._log_determinant(params) - square - size)

    def kl(self, params: Params, other: Params) -> Tensor:
        gap = params["mean"] - other["mean"]
        square = (gap * _times(gap, other["precision"][0], other["pattern"])).sum(-1)
        precision, covariance = other["precision"][0], params["covariance"][0]
        if len(precision) * len(covariance) <= _FEW_PATTERNS**2:  # for every pair of patterns
            traces = precision.flatten(1) @ covariance.flatten(1).mT
            trace = traces[other["pattern"], params["pattern"]]
        else:
            products = precision[other["pattern"]] * covariance[params["pattern"]]
            trace = products.sum((-2, -1))
        determinants = self._log_determinant(params) - self._log_determinant(other)
        return 0.5 * (trace + square - gap.shape[-1] + determinants)

    def mean(self, params: Params) -> Tensor:
        return params["mean"]

    @staticmethod
    def _log_determinant(params: Params) -> Tensor:
        """Log-determinant of the precision, shape (S, N)."""
        diagonal = params["root"][0].diagonal(dim1=-2, dim2=-1)
        return (-2.0 * diagonal.log().sum(-1))[params["pattern"]]


def _times(v: Tensor, matrices: Tensor, pattern: Tensor) -> Tensor:
    """Multiply each row vector v (..., S, N, D) by its pattern's matrix (U, D, D) on the right."""
    n_patterns, n_in, n_out = matrices.shape
    if n_patterns > _FEW_PATTERNS:
        return (v[..., None, :] @ matrices[pattern])[..., 0, :]
    # v in the block of its pattern, zeros in the others, against all matrices stacked: one
    # matrix product forward and two backward, where a gather would scatter-add whole matrices
    own = torch.nn.functional.one_hot(pattern, n_patterns).to(v.dtype)  # (S, N, U)
    blocks = own[..., None] * v[..., None, :]
    return blocks.flatten(-2) @ matrices.reshape(n_patterns * n_in, n_out)
