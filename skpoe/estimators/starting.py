"""Where training starts, and how far from there it may end: random weights, or factor analysis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .. import factor_analysis
from ..data.rows import Rows
from ..factor_analysis import SHRINKAGES, FactorAnalysis, Table
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..objectives import Objective
from ..random import RowNoise
from .judging import densities_of_hidden, errors_of_hidden, how_likely

# rows, and numbers, that a start is read off; more change little
_MOST_ROWS, _MOST_NUMBERS = 5000, 2**26
# numbers that the tails of noise are read off
_MOST_TAILS = 2**18
_N_STEPS = 60
_MOST_LATENT = 128
# of which one is held out; where distinct rows are fewer than so many, each in turn
_N_FOLDS, _FEW = 5, 500
# powers of the experts of a subset that lacks modalities, and shares of the start, that are tried
_TRUSTS = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015)
_START_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
# an error so much above the smallest is as good; a gain of so many standard errors is no luck; a
# row counts as if its error were at most so many times the median
_AS_GOOD, _SURE, _FAR_OUT = 1.005, 2.0, 10.0


def is_linear(estimator: Any, likelihoods: list[Likelihood]) -> bool:
    """Read ``init``: whether networks get a linear part that starts at factor analysis."""
    if estimator.init != "auto":
        return bool(estimator.init == "factor_analysis")
    if estimator._auto_init != "factor_analysis":
        return False
    if estimator.encoder is not None or estimator.decoder is not None:
        return False
    # without any number, as in black and white images, a random start was no worse
    numeric = any(part.has_own_noise for each in likelihoods for part in each.members())
    return numeric and all(likelihood.can_start for likelihood in likelihoods)


def most_latent(n_rows: int, n_features: int) -> int:
    """Largest dimension that is of use for factor analysis."""
    return max(1, min(n_features - 1, _MOST_LATENT, n_rows // 2))


def deal(n_rows: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Deal out the numbers of rows: most of them, and a share, of which one row may be left."""
    order = torch.randperm(n_rows, generator=torch.Generator().manual_seed(seed))
    n_held = min(n_rows - 1, max(1, round(share * n_rows)))
    return order[n_held:].sort().values, order[:n_held].sort().values


def deal_to_validate(n_rows: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Deal out the numbers of rows for early stopping, which asks for some on both sides."""
    if n_rows < 2:
        raise ValueError(
            "early_stopping=True holds out rows to validate on, and needs at least 2 rows of "
            f"positive weight; got {n_rows}. Give more, or take early_stopping=False."
        )
    return deal(n_rows, share, seed)


def hold_out(rows: Rows, seed: int, fold: int = 0) -> tuple[Tensor, Tensor]:
    """Hold out about a fifth of the rows, by what they show: repeated rows stay together.

    Each fold is another fifth; in the first are rows whenever they differ.
    """
    draw = _draw(rows, seed, "hold out")
    held = (draw * _N_FOLDS).long() == fold
    if fold == 0 and not held.any():
        held = draw < float(draw.min()) + 1e-9
    if bool(held.all()):  # all rows are alike
        held = torch.zeros_like(held)
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def _draw(rows: Rows, seed: int, purpose: str) -> Tensor:
    """Draw a number from (0, 1) for each row, that belongs to what it shows."""
    noise = RowNoise(seed, rows.keys()).fold(purpose)
    return noise.uniform(event=1, dtype=torch.float64)[:, 0]


class LinearStart:
    """A factor analysis that a model starts at, and what held-out rows say of it.

    With a shrinkage of .2, say, a fifth of the data is replaced by independent features. It is
    chosen by how likely held-out rows are. So is, by how likely modalities are that are hidden in
    them, how much experts are trusted where others are missing: in wide tables features say
    the same thing many times, and a factor analysis that does not see it is too sure of itself.
    Where rows are few, a fifth of them says little about that, and each is held out once.

    Parameters
    ----------
    model : MultimodalVAE
        Is started.
    objective : Objective
    read : callable
        From a model to all rows, in its units.
    split : tuple of int64 Tensors, or None
        Numbers of the rows that training learns from, and of those that it does not; None when it
        learns from all.
    seed : int
    start_weight, shrinkage, trust : float or "auto"
    """

    def __init__(
        self,
        model: MultimodalVAE,
        objective: Objective,
        read: Callable[[MultimodalVAE], Rows],
        split: tuple[Tensor, Tensor] | None,
        seed: int,
        *,
        start_weight: float | str,
        shrinkage: float | str,
        trust: float | str,
    ) -> None:
        rows = read(model)
        self.refit = split is None
        kept, self.held = hold_out(rows, seed) if split is None else split
        self.start_weight = start_weight if len(self.held) else 0.0
        tables = _tables(model, rows, kept, self.held, seed)
        _, self.shrinkage, part = factor_analysis.choose(
            tables.kept,
            tables.held,
            [model.latent_dim],
            shrinkages_of(shrinkage),
        )
        part = part.canonical()
        _start_tails(model, part, tables.held)
        self.trust = 1.0 if isinstance(trust, str) else float(trust)
        tempers = (
            trust == "auto"
            and model.strategy.tempers
            and model.n_modalities > 1
            and len(tables.held) > 0
        )
        if tempers:
            starts = [(part, tables.rows_held)]
            if self.refit and len(rows.keys().unique()) < _FEW:
                starts += _other_folds(model, rows, seed, self.shrinkage)
            self.trust = _choose_trust(model, read, starts)
        # what is to be trained without the rows held out, to find ``start_weight`` on them; None
        # where that is known, or will be found on validation rows
        self.rehearsal: tuple[MultimodalVAE, Objective] | None = None
        if self.refit and self.start_weight == "auto":
            self.rehearsal = copy.deepcopy((model, objective))
            self.rehearsal[0].start_at(part, self.trust)
        # anew, so that it does not depend on what else was tried
        learned = tables.whole if self.refit else tables.kept
        part = factor_analysis.fit(learned, model.latent_dim, self.shrinkage, _N_STEPS)[0]
        model.start_at(part.canonical(), self.trust)


def choose_latent_dim(
    model: MultimodalVAE,
    rows: Rows,
    split: tuple[Tensor, Tensor] | None,
    seed: int,
    latent_dims: Sequence[int],
    shrinkage: float | str,
) -> int:
    """Choose how many factors a start has, by how likely held-out rows are."""
    tables = _tables(model, rows, *(hold_out(rows, seed) if split is None else split), seed)
    shrinkages = shrinkages_of(shrinkage)
    return factor_analysis.choose(tables.kept, tables.held, latent_dims, shrinkages)[0]


def shrinkages_of(wanted: float | str) -> Sequence[float]:
    """Read ``shrinkage``: what is to be tried."""
    return SHRINKAGES if isinstance(wanted, str) else [float(wanted)]


def powers_up_to(most: int) -> list[int]:
    """1, 2, 4, ... and ``most``."""
    return [*(2**k for k in range(most.bit_length()) if 2**k < most), most]


class _Tables(NamedTuple):
    """Some of the rows: all that are read, those that are kept and those that are held out."""

    whole: Table
    kept: Table
    held: Table
    rows_held: Tensor


def _tables(model: MultimodalVAE, rows: Rows, kept: Tensor, held: Tensor, seed: int) -> _Tables:
    width = sum(likelihood.width for likelihood in model.likelihoods)
    share = min(_MOST_ROWS, max(10, _MOST_NUMBERS // width)) / len(rows)
    kept, held = (part.to(rows.weights.device) for part in (kept, held))
    if share < 1:
        some = _draw(rows, seed, "some") < share
        kept, held = kept[some[kept]], held[some[held]]
    batch, _, weights = rows[torch.cat([kept, held])]
    table = Table.of(model.encoded(batch), weights)
    first, last = torch.arange(len(table)).split([len(kept), len(held)])
    return _Tables(table, table.take(first), table.take(last), held)


def _start_tails(model: MultimodalVAE, part: FactorAnalysis, held: Table) -> None:
    """Tell noise how heavy its tails are: as those of what held-out rows show, given the rest."""
    if not len(held):
        return
    some = held.take(_spread(len(held), max(10, _MOST_TAILS // held.x.shape[1])))
    weights = some.weights[:, None] * some.shown[:, some.group]
    widths = [likelihood.width for likelihood in model.likelihoods]
    for likelihood, residuals, weight in zip(
        model.likelihoods,
        part.surprises(some).split(widths, -1),
        weights.split(widths, -1),
        strict=True,
    ):
        likelihood.start_tail(residuals, weight)


def _spread(n_rows: int, most: int) -> Tensor:
    """Give at most so many row numbers, from first to last: tables may be sorted."""
    n = min(n_rows, most)
    return torch.arange(n) * n_rows // n


def weights_of(model: MultimodalVAE) -> dict[str, Tensor]:
    """Copy all that a model has learned."""
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@torch.no_grad()
def settle(model: MultimodalVAE, begun: dict[str, Tensor], start_weight: float) -> None:
    """Move weights back towards where they began."""
    for name, parameter in model.named_parameters():
        parameter.lerp_(begun[name], start_weight)


@torch.no_grad()
def find_start_weight(model: MultimodalVAE, begun: dict[str, Tensor], rows: Rows) -> float:
    """Find how much of the start to keep, from 0 to 1, on rows that training did not see.

    The least with which hidden modalities are predicted nearly as well as with any, and rows are
    at least as likely as at the start.
    """
    some = _spread(len(rows), _MOST_ROWS)
    batch, keys, weights = rows[some.to(rows.weights.device)]
    ended = weights_of(model)
    errors, scores = [], []
    for start_weight in _START_WEIGHTS:
        settle(model, ended, 1.0)
        settle(model, begun, start_weight)
        errors.append(errors_of_hidden(model, batch))
        scores.append(how_likely(model, batch, keys))
    settle(model, ended, 1.0)
    most = far_out(errors[-1], weights)
    # rows less likely than at the start are a sign of too much training: they are counted
    half = 0.5 * weights.sum()
    allowed = [
        (start_weight, float((error.clamp(max=most) * weights).sum()))
        for start_weight, error, score in zip(_START_WEIGHTS, errors, scores, strict=True)
        if float((weights * (score < scores[-1])).sum()) <= half
    ]
    least = min(error for _, error in allowed)
    return next(weight for weight, error in allowed if error <= _AS_GOOD * least)


def far_out(errors: Tensor, weights: Tensor) -> float:
    """Say what an error counts at most: single rows that are far out would decide a sum."""
    scored = errors > 0
    return _FAR_OUT * _median(errors[scored], weights[scored]) if scored.any() else torch.inf


def _median(x: Tensor, weights: Tensor) -> float:
    order = x.argsort()
    share = weights[order].cumsum(0)
    return float(x[order][int((share < 0.5 * share[-1]).sum())])


def _other_folds(
    model: MultimodalVAE, rows: Rows, seed: int, shrinkage: float
) -> list[tuple[FactorAnalysis, Tensor]]:
    """Fit without each fifth of the rows but the first; also give the numbers of those."""
    starts = []
    for fold in range(1, _N_FOLDS):
        kept, held = hold_out(rows, seed, fold)
        if len(held):
            parts = _tables(model, rows, kept, held, seed)
            given = ([model.latent_dim], [shrinkage])
            start = factor_analysis.choose(parts.kept, parts.held, *given)[2]
            starts.append((start.canonical(), parts.rows_held))
    return starts


@torch.no_grad()
def _choose_trust(
    model: MultimodalVAE,
    read: Callable[[MultimodalVAE], Rows],
    starts: Sequence[tuple[FactorAnalysis, Tensor]],
) -> float:
    """Choose the power under which hidden entries are likeliest, if that gain is no luck.

    ``starts`` are factor analyses, and the numbers of rows that each has not seen.
    """
    trials, keys, weights = [], [], []
    for part, held in starts:
        trial = copy.deepcopy(model).eval()
        trial.start_at(part)
        batch, key, weight = read(trial)[held]  # its units have changed
        trials.append((trial, batch, key))
        keys.append(key)
        weights.append(weight)
    of_rows = torch.cat(weights), torch.cat(keys)
    best, gain, error = 1.0, 0.0, 0.0
    first: Tensor | None = None
    for trust in _TRUSTS:
        densities = []
        for trial, batch, key in trials:
            trial.strategy.set_trust(trust)
            densities.append(densities_of_hidden(trial, batch, key))
        each = torch.cat(densities)
        first = each if first is None else first
        mean, its_error = map(float, mean_and_error(each - first, *of_rows))
        if mean < gain:  # the less trust, the worse from here on
            break
        best, gain, error = trust, mean, its_error
    return best if gain > _SURE * error else 1.0


def mean_and_error(x: Tensor, weights: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means of x (..., N), and standard errors; rows of one key are one observation.

    Of a single one the error is not known: NaN.
    """
    share = weights / weights.sum()
    mean = x @ share
    distinct, which = keys.unique(return_inverse=True)
    together = share.new_zeros(len(distinct)).index_add(0, which, share)[which]
    variance = (x - mean[..., None]).square() @ (share * together)
    return mean, (variance / (1 - share @ together)).sqrt()
