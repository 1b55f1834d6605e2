"""Factor analysis of tables with holes: expectation-maximisation, exact for any pattern."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .data.batch import Batch
from .random import hash_weights

# smallest noise variance of a standardised feature: none is explained without error; no less than
# likelihoods.Gaussian can start at, or a model would not be the factor analysis that it starts at
FLOOR = 0.00276
# shares of independence that are tried
SHRINKAGES = (0.6, 0.4, 0.2, 0.1, 0.03, 0.01, 0.0)
# rows that a step holds at a time
_ROWS = 1024
# held-out values count as if they were at most so far out, in deviations
_REACH = 5.0
# steps to tell settings apart, and the gain of a step, nats per row, that ends them
_N_TRIED, _CLOSE = 40, 1e-2


class Table:
    """Standardised rows in float64, and the patterns of what they show.

    Features that are shown in the same rows are a group: a modality that rows show whole or not
    at all is one, a feature with holes of its own is another.

    Parameters
    ----------
    x : Tensor of shape (N, F)
        Zero where missing.
    shown : bool Tensor of shape (N, G)
        By group.
    group : int64 Tensor of shape (F,)
        Group of each feature, ascending.
    weights : Tensor of shape (N,)
    """

    def __init__(self, x: Tensor, shown: Tensor, group: Tensor, weights: Tensor) -> None:
        self.x, self.shown, self.group, self.weights = x, shown, group, weights
        self.blocks = torch.bincount(group, minlength=shown.shape[1]).tolist()
        code = (shown * hash_weights(shown.shape[1], 0, x.device)).sum(-1)
        distinct, which = torch.unique(code, return_inverse=True)
        # rows with the same pattern side by side: a chunk has few of them
        order = which.argsort(stable=True) if len(distinct) < len(x) else torch.arange(len(x))
        self._chunks = [
            _Chunk.of(rows, which[rows], shown) for rows in order.to(x.device).split(_ROWS)
        ]

    @classmethod
    def of(cls, batch: Batch, weights: Tensor | None = None) -> Table:
        """Read a batch; all rows weigh one when ``weights`` is None."""
        x = torch.cat(batch.values, dim=-1).double()
        masks, sizes = [], []
        for value, mask in zip(batch.values, batch.masks, strict=True):
            whole = mask.shape[1] == 1 or bool((mask == mask[:, :1]).all())
            masks.append(mask[:, :1] if whole else mask)
            sizes += [value.shape[1]] if whole else [1] * value.shape[1]
        shown = torch.cat(masks, dim=-1)
        group = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(x.device)
        weights = x.new_ones(len(x)) if weights is None else weights.to(x)
        return cls(x, shown, group, weights)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor) -> Table:
        """Keep some rows."""
        return Table(self.x[rows], self.shown[rows], self.group, self.weights[rows])

    def clipped(self, reach: float) -> Table:
        """Cut values off at +- reach."""
        return Table(self.x.clamp(-reach, reach), self.shown, self.group, self.weights)


class _Chunk(NamedTuple):
    """Some rows of a table, their patterns, bool (U, G), and which of these each row has."""

    rows: Tensor
    patterns: Tensor
    which: Tensor

    @classmethod
    def of(cls, rows: Tensor, code: Tensor, shown: Tensor) -> _Chunk:
        distinct, which = torch.unique(code, return_inverse=True)
        first = torch.empty_like(distinct).index_copy_(0, which, rows)
        return cls(rows, shown[first], which)


@dataclass(frozen=True)
class FactorAnalysis:
    r"""x = mean + loadings z + noise, z ~ N(0, I), noise ~ N(0, diag(noise)).

    Parameters
    ----------
    mean : Tensor of shape (F,)
    loadings : Tensor of shape (F, D)
    noise : Tensor of shape (F,)
        Variances.
    """

    mean: Tensor
    loadings: Tensor
    noise: Tensor

    def log_prob(self, table: Table) -> Tensor:
        """Exact log p(x_observed) of each row, (N,), in nats."""
        result = table.weights.new_empty(len(table))
        for chunk in table._chunks:
            result[chunk.rows] = _Inference(self, table, chunk).log_prob
        return result

    def score(self, table: Table) -> float:
        """Weighted mean of :meth:`log_prob`."""
        return float((self.log_prob(table) * table.weights).sum() / table.weights.sum())

    def surprises(self, table: Table) -> Tensor:
        """How far each shown entry is from what the others of its row say, in deviations, (N, F).

        Under the model each has mean 0 and variance 1. Zero where missing.
        """
        result = torch.empty_like(table.x)
        for chunk in table._chunks:
            rows, post = chunk.rows, _Inference(self, table, chunk)
            explained = ((self.loadings @ post.covariance) * self.loadings).sum(-1)  # (U, F)
            variance = (self.noise - explained).clamp(min=1e-12)[chunk.which]
            gap = table.x[rows] - self.mean - post.mean @ self.loadings.mT
            result[rows] = gap / variance.sqrt() * table.shown[rows][:, table.group]
        return result

    def canonical(self) -> FactorAnalysis:
        """Turn z so that given all of x its variables are independent, the best known first.

        The distribution of x is the same. The loadings of each variable sum to at least zero.
        """
        scaled = self.loadings / self.noise.sqrt()[:, None]
        turn = torch.linalg.eigh(scaled.mT @ scaled).eigenvectors.flip(-1)
        loadings = self.loadings @ turn
        return replace(self, loadings=loadings * torch.where(loadings.sum(0) < 0, -1.0, 1.0))

    def split(self, widths: Sequence[int]) -> list[FactorAnalysis]:
        """Cut to modalities."""
        leaves = (leaf.split(list(widths)) for leaf in (self.mean, self.loadings, self.noise))
        return [FactorAnalysis(*parts) for parts in zip(*leaves, strict=True)]


class _Inference:
    """Posteriors of z for some rows of a table, and their log-likelihoods."""

    def __init__(self, model: FactorAnalysis, table: Table, chunk: _Chunk) -> None:
        rows, which = chunk.rows, chunk.which
        self.patterns = patterns = chunk.patterns.to(table.x.dtype)
        latent_dim = model.loadings.shape[1]
        precision = (patterns @ _informations(model, table).flatten(1)).unflatten(
            1, (latent_dim, latent_dim)
        ) + torch.eye(latent_dim).to(table.x)
        factor = torch.linalg.cholesky(precision)
        self.covariance = torch.cholesky_inverse(factor)  # (U, D, D)
        gap = (table.x[rows] - model.mean) * table.shown[rows][:, table.group]
        h = (gap / model.noise) @ model.loadings
        if len(patterns) == 1:
            self.mean = h @ self.covariance[0]
        else:
            self.mean = (h[:, None] @ self.covariance[which])[:, 0]
        logs = _by_group(model.noise.log() + math.log(2 * math.pi), table)
        constant = patterns @ logs
        determinant = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        square = (gap.square() / model.noise).sum(-1) - (h * self.mean).sum(-1)
        self.log_prob = -0.5 * ((constant + determinant)[which] + square)


def _by_group(value: Tensor, table: Table) -> Tensor:
    """Sum what features have, (F, ...), over each group: (G, ...)."""
    return value.new_zeros(table.shown.shape[1], *value.shape[1:]).index_add(0, table.group, value)


def _informations(model: FactorAnalysis, table: Table) -> Tensor:
    """Give what each group adds to the precision of z where it is shown: (G, D, D)."""
    scaled = model.loadings / model.noise.sqrt()[:, None]
    if max(table.blocks) == 1:
        return scaled[:, :, None] * scaled[:, None, :]
    return torch.stack([part.mT @ part for part in scaled.split(table.blocks)])


def start(table: Table, latent_dim: int) -> FactorAnalysis:
    """Principal components of the rows, what is missing at its mean."""
    x = table.x * (table.weights / table.weights.sum()).sqrt()[:, None]
    count = (table.weights[:, None] * table.shown).sum(0)[table.group]
    share = (count / table.weights.sum()).clamp(min=1e-12)
    variances = x.square().sum(0) / share
    if x.shape[1] <= len(x):
        values, vectors = torch.linalg.eigh(x.mT @ x)
        values, vectors = values.flip(0)[:latent_dim], vectors.flip(1)[:, :latent_dim]
    else:
        values, left = torch.linalg.eigh(x @ x.mT)
        values, left = values.flip(0)[:latent_dim], left.flip(1)[:, :latent_dim]
        vectors = x.mT @ left / values.clamp(min=1e-12).sqrt()
    rest = (x.square().sum() - values.sum()).clamp(min=0) / max(1, x.shape[1] - latent_dim)
    loadings = vectors * (values - rest).clamp(min=0).sqrt()
    loadings = torch.nn.functional.pad(loadings, (0, latent_dim - loadings.shape[1]))
    noise = (variances - loadings.square().sum(1)).clamp(min=FLOOR)
    return FactorAnalysis(x.new_zeros(x.shape[1]), loadings, torch.where(count > 0, noise, 1.0))


def step(model: FactorAnalysis, table: Table, shrinkage: float) -> tuple[FactorAnalysis, float]:
    r"""One step of expectation-maximisation; also the mean log-likelihood before it.

    With a shrinkage, that share of the rows is replaced by (infinitely many) rows of independent
    features with the observed variances:

    .. math:: S_\rho = (1 - \rho) S + \rho \, \mathrm{diag}(S)

    stands for the covariance S of the data, as in ridge regression with a penalty of
    n rho / (1 - rho).

    References
    ----------
    EM algorithms for ML factor analysis (Rubin & Thayer, 1982), section 2; here each feature
    is regressed on z over the rows that show it.
    """
    n_groups, latent_dim = table.shown.shape[1], model.loadings.shape[1]
    zz = table.x.new_zeros(n_groups, latent_dim + 1, latent_dim + 1)  # of (z, 1)
    xz = table.x.new_zeros(table.x.shape[1], latent_dim + 1)
    total = table.x.new_zeros(())
    for chunk in table._chunks:
        rows, post = chunk.rows, _Inference(model, table, chunk)
        x, weight = table.x[rows], table.weights[rows]
        z = torch.nn.functional.pad(post.mean, (0, 1), value=1.0)
        counted = weight[:, None] * table.shown[rows]  # (n, G)
        if n_groups <= latent_dim:
            zz += (counted.mT[:, :, None] * z).mT @ z
        else:
            zz += (counted.mT @ (z[:, :, None] * z[:, None, :]).flatten(1)).view_as(zz)
        together = weight.new_zeros(len(post.patterns)).index_add(0, chunk.which, weight)
        alike = post.patterns * together[:, None]  # (U, G)
        spread = (alike.mT @ post.covariance.flatten(1)).view(n_groups, latent_dim, latent_dim)
        zz[:, :-1, :-1] += spread
        xz += (x * weight[:, None]).mT @ z  # x is zero where missing
        total += (post.log_prob * weight).sum()
    seen = zz[:, -1, -1]
    count = seen.clamp(min=1e-12)
    zz, xz = zz / count[:, None, None], xz / count[table.group, None]
    squares = (table.weights @ table.x.square()) / count[table.group]
    if shrinkage:
        variance = squares - xz[:, -1].square()
        information = _informations(model, table).sum(0)
        eye = torch.eye(latent_dim).to(information)
        covariance = torch.cholesky_inverse(torch.linalg.cholesky(information + eye))
        gain = (model.loadings / model.noise[:, None]) @ covariance  # (F, D)
        apart = torch.zeros_like(zz[0])
        apart[:-1, :-1] = covariance + gain.mT @ (gain * variance[:, None])
        apart[-1, -1] = 1.0
        zz = torch.lerp(zz, apart, shrinkage)
        independent = torch.cat([gain * variance[:, None], model.mean[:, None]], dim=1)
        xz = torch.lerp(xz, independent, shrinkage)
        squares = torch.lerp(squares, variance + model.mean.square(), shrinkage)
    zz = zz + 1e-12 * torch.eye(latent_dim + 1).to(zz)  # a group that no row shows
    if max(table.blocks) == 1:
        fitted = torch.linalg.solve(zz, xz[:, :, None])[..., 0]
    else:
        parts = zip(zz, xz.split(table.blocks), strict=True)
        fitted = torch.cat([torch.linalg.solve(a, b.mT).mT for a, b in parts])
    noise = (squares - (fitted * xz).sum(1)).clamp(min=FLOOR)
    known = seen[table.group] > 0
    fitted = fitted * known[:, None]
    noise = torch.where(known, noise, 1.0)
    new = FactorAnalysis(fitted[:, -1], fitted[:, :-1], noise)
    return new, float(total / table.weights.sum())


def fit(
    table: Table,
    latent_dim: int,
    shrinkage: float = 0.0,
    max_iter: int = 60,
    tol: float = 0.0,
    begin: FactorAnalysis | None = None,
) -> tuple[FactorAnalysis, list[float]]:
    """Maximise the (shrunken) likelihood.

    Parameters
    ----------
    table : Table
    latent_dim : int
    shrinkage : float, default=0.0
        See :func:`step`.
    max_iter : int, default=60
        Most steps.
    tol : float, default=0.0
        Stop when a step raises the mean log-likelihood by less, nats per row.
    begin : FactorAnalysis, default=None
        Where to begin; principal components when None.

    Returns
    -------
    model : FactorAnalysis
    scores : list of float
        Mean log-likelihood before each step, nats per row.
    """
    model = start(table, latent_dim) if begin is None else begin
    scores: list[float] = []
    for _ in range(max_iter):
        model, score = step(model, table, shrinkage)
        scores.append(score)
        if tol and len(scores) > 1 and abs(score - scores[-2]) < tol:
            break
    return model, scores


def choose(
    kept: Table, held: Table, latent_dims: Sequence[int], shrinkages: Sequence[float]
) -> tuple[int, float, FactorAnalysis]:
    """Choose dimension and shrinkage under which held-out rows are likeliest.

    Held-out values count as if they were at most 5 deviations out. The shrinkage is found for
    the last dimension, the dimension for that shrinkage, and the shrinkage again for that
    dimension. Without held-out rows it is the last dimension and the first shrinkage.

    Returns
    -------
    latent_dim : int
    shrinkage : float
    model : FactorAnalysis
        Fitted to the rows that were kept.
    """
    if not len(held):
        latent_dims, shrinkages = latent_dims[-1:], shrinkages[:1]
    held = held.clipped(_REACH)
    latent_dim = latent_dims[-1]
    shrinkage, model = _choose_shrinkage(kept, held, latent_dim, shrinkages)
    if len(latent_dims) > 1:
        scores = [
            fit(kept, d, shrinkage, _N_TRIED, _CLOSE)[0].score(held) for d in latent_dims[:-1]
        ]
        scores.append(model.score(held))
        latent_dim = latent_dims[scores.index(max(scores))]
        if latent_dim != latent_dims[-1]:
            shrinkage, model = _choose_shrinkage(kept, held, latent_dim, shrinkages)
    return latent_dim, shrinkage, model


def _choose_shrinkage(
    kept: Table, held: Table, latent_dim: int, shrinkages: Sequence[float]
) -> tuple[float, FactorAnalysis]:
    tried: list[tuple[float, FactorAnalysis]] = []
    model: FactorAnalysis | None = None
    for shrinkage in shrinkages:
        # each goes on from the one before: they are close
        model, _ = fit(kept, latent_dim, shrinkage, _N_TRIED, _CLOSE, begin=model)
        tried.append((model.score(held) if len(shrinkages) > 1 else 0.0, model))
    best = max(range(len(tried)), key=lambda k: tried[k][0])  # the first of equals
    return shrinkages[best], tried[best][1]
