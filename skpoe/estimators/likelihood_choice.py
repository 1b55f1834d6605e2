"""From the ``likelihood`` parameter, and what columns hold, to likelihoods."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.coding import Coding
from ..data.layout import Layout
from ..data.rows import Chunked
from ..data.source import Source
from ..likelihoods import LIKELIHOODS, Likelihood, Mixed
from ..likelihoods.base import observed_moments
from .pieces import per_modality

_FOR_LEVELS = ("categorical", "ordinal")
# a count varies at least as a Poisson number does, and is not so far from zero that it looks
# like any other number
_LEAST_DISPERSION, _FAR = 0.5, 3.0
# levels, if no two rows have the same, that are no accident
_NAMES = 20


def make_likelihoods(likelihood: Any, layout: Layout, source: Source) -> list[Likelihood]:
    """Read ``likelihood``: one for all, or one a modality, or in it one a column.

    "auto" is what the columns of a DataFrame say: "bernoulli" for truth values and for zeros and
    ones, "categorical" or "ordinal" for levels, "negative_binomial" for integers that look like
    counts, else "student_t". Where all are floats, or there are no dtypes, it is one for the
    modality: "bernoulli" for zeros and ones, else "student_t".
    """
    names = layout.names
    if isinstance(likelihood, Mapping) and len(names) == 1 and set(likelihood) != set(names):
        chosen: list[Any] = [likelihood]  # the columns of the only modality
    else:
        chosen = per_modality(likelihood, names, "likelihood")
    return [_one(choice, m, layout, source.one(m)) for m, choice in enumerate(chosen)]


def refuse_levels(layout: Layout, estimator: str) -> None:
    """Raise ValueError where a column holds levels: for estimators that read numbers alone."""
    for m, name in enumerate(layout.names):
        for label, coding in zip(layout.labels(m), layout.coding(m) or (), strict=False):
            if coding.levels is not None:
                raise ValueError(
                    f"{estimator} reads numbers, but column {label!r} of modality '{name}' holds "
                    f"levels ({coding.dtype}). Take PoEVAE or MIWAE, or code it by "
                    "pandas.get_dummies."
                )


def _one(choice: Any, m: int, layout: Layout, source: Source) -> Likelihood:
    name, labels, codings = layout.names[m], layout.labels(m), layout.coding(m)
    if isinstance(choice, Likelihood):
        return copy.deepcopy(choice)  # the caller's object is never fitted
    if isinstance(choice, Mapping):
        return _by_column(choice, name, labels, codings, source)
    if isinstance(choice, str) and choice == "auto":
        if codings is not None:
            return _by_column({}, name, labels, codings, source)
        choice = "bernoulli" if _is_binary(source) else "student_t"
    if not (isinstance(choice, str) and choice in LIKELIHOODS):
        raise ValueError(
            f"The likelihood of modality '{name}' must be 'auto', one of {sorted(LIKELIHOODS)}, "
            "an instance of skpoe.likelihoods.Likelihood, or a dict of these by column. Got "
            f"{choice!r} instead."
        )
    return _by_column(dict.fromkeys(labels, choice), name, labels, codings, source)


def _by_column(
    choices: Mapping[Hashable, Any],
    name: str,
    labels: Sequence[Hashable],
    codings: Sequence[Coding] | None,
    source: Source,
) -> Likelihood:
    """Make one likelihood of what is chosen for columns; for others that is "auto"."""
    if unknown := sorted(set(choices) - set(labels), key=str):
        raise ValueError(
            f"The likelihood of modality '{name}' names the columns {unknown}, which it does not "
            f"have; it has {list(labels)[:20]}."
        )
    chosen = [choices.get(label, "auto") for label in labels]
    if "auto" in [choice for choice in chosen if isinstance(choice, str)]:
        read = _read_auto(codings or [Coding("number", float)] * len(labels), source)
        if codings is not None:
            _warn_of_names(codings, labels, name, source)
        chosen = [
            kind if isinstance(choice, str) and choice == "auto" else choice
            for choice, kind in zip(chosen, read, strict=True)
        ]
    groups: dict[Any, list[int]] = {}
    for column, choice in enumerate(chosen):
        known = isinstance(choice, str) and choice in LIKELIHOODS
        if not (known or isinstance(choice, Likelihood)):
            raise ValueError(
                f"The likelihood of column {labels[column]!r} of modality '{name}' must be "
                f"'auto', one of {sorted(LIKELIHOODS)} or an instance of "
                f"skpoe.likelihoods.Likelihood. Got {choice!r} instead."
            )
        levels = None if codings is None else codings[column].levels
        if levels is not None and known and choice not in _FOR_LEVELS:
            raise ValueError(
                f"Column {labels[column]!r} of modality '{name}' holds levels "
                f"({codings[column].dtype}), and likelihood='{choice}' needs numbers. Set "  # type: ignore[index]
                "likelihood='auto', or a dict of likelihoods by column."
            )
        groups.setdefault((choice, levels is not None) if known else choice, []).append(column)
    parts = []
    for key, columns in groups.items():
        if isinstance(key, Likelihood):
            parts.append((columns, copy.deepcopy(key)))
        elif key[1]:
            n_levels = [len(codings[c].levels) for c in columns]  # type: ignore[index, arg-type]
            parts.append((columns, LIKELIHOODS[key[0]](n_levels)))  # type: ignore[call-arg]
        else:
            parts.append((columns, LIKELIHOODS[key[0]]()))
    return parts[0][1] if len(parts) == 1 else Mixed(parts)


def _is_binary(source: Source) -> bool:
    """Whether all that is observed is zeros and ones, and both; reads no further than it must."""
    found = set()
    for rows in source.chunks():
        x = source[rows][0]
        zero, one = x == 0, x == 1
        if not (zero | one | np.isnan(x)).all():
            return False
        found |= {value for value, where in ((0, zero), (1, one)) if where.any()}
    return len(found) == 2


def _read_auto(codings: Sequence[Coding], source: Source) -> list[str]:
    """Choose for each column what it looks like."""
    look = _look(source)
    kinds = []
    for coding, binary, count in zip(codings, look.bits, look.counts, strict=True):
        if coding.levels is not None:
            kinds.append("ordinal" if coding.is_ordered else "categorical")
        elif coding.kind == "bool" or binary:
            kinds.append("bernoulli")
        elif count and (coding.kind == "integer" or coding.has_holes):
            # pandas makes floats of integers with holes
            kinds.append("negative_binomial")
        else:
            kinds.append("student_t")
    return kinds


def _warn_of_names(
    codings: Sequence[Coding], labels: Sequence[Hashable], name: str, source: Source
) -> None:
    """Warn of columns whose levels tell rows apart: names of rows, not properties."""
    n_levels = [0 if coding.levels is None else len(coding.levels) for coding in codings]
    if max(n_levels) < _NAMES:
        return
    n_shown = sum((~np.isnan(source[rows][0])).sum(0) for rows in source.chunks())
    for label, levels, shown in zip(labels, n_levels, np.asarray(n_shown), strict=True):
        if levels >= max(_NAMES, shown):
            warnings.warn(
                f"Column {label!r} of modality '{name}' has {levels} levels in {shown} rows that "
                "show it, as names of rows have: nothing can be learned of another row from it. "
                "Leave it out, or make it the index.",
                UserWarning,
                stacklevel=2,
            )


class _Look(NamedTuple):
    """What observed values of columns look like, bool (F,)."""

    bits: Tensor
    counts: Tensor


def _look(source: Source) -> _Look:
    chunks = Chunked(source, torch.ones(len(source)))
    moments = observed_moments(chunks)
    mean, deviation = moments.mean, moments.deviation
    dispersed = (deviation.square() > _LEAST_DISPERSION * mean) & (mean < _FAR * deviation)
    whole = moments.low >= 0
    for x, _, _ in chunks:  # zero where missing
        whole &= (x == x.round()).all(0)
    varies = moments.high > moments.low
    return _Look(whole & varies & (moments.high <= 1), whole & varies & dispersed)
