"""From what ``fit`` was given to rows that training visits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from .._compat import _check_sample_weight
from ..data.ahead import Blocks
from ..data.batch import Batch
from ..data.layout import Layout
from ..data.rows import Chunked, Held, Rows, Streamed
from ..data.source import Source
from ..data.validation import read
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..random import row_keys
from ..threads import limit_threads

# a standardised copy of the data may take so many bytes: of data in memory, and of data on disk
_HELD, _HELD_FROM_ELSEWHERE = 2**30, 2**25
# up to so many rows it is counted how many there are without repetitions
_COUNTED = 5000


def read_rows(
    estimator: Any,
    X: Any,
    sample_weight: Any,
    make: Callable[[Layout, Source], list[Any]],
    known: Layout | None = None,
) -> tuple[Source, Layout, list[Any], torch.Tensor]:
    """Read and check training data; start likelihoods on them, unless their layout is known.

    Returns
    -------
    source : Source
        Without the rows of weight zero.
    layout : Layout
    likelihoods : list of Likelihood
    weight : Tensor of shape (N,)
    """
    source, layout = read(estimator, X, known)
    likelihoods = make(layout, source)
    for rows in source.chunks():
        check_support(likelihoods, layout, source[rows], rows.start)
    source, weights = _weigh(source, sample_weight)
    weight = torch.from_numpy(weights)
    with limit_threads(estimator.n_threads):
        for m, likelihood in enumerate(likelihoods if known is None else ()):
            likelihood.start(Chunked(source.one(m), weight))
            _check_shapes(likelihood, source[:2][m], layout.names[m])
    return source, layout, likelihoods, weight


@torch.no_grad()
def _check_shapes(likelihood: Likelihood, rows: np.ndarray, name: str) -> None:
    """Refuse a likelihood that gives other shapes than it must, for some rows."""
    if getattr(likelihood, "seen", None) is None:
        raise ValueError(
            f"The likelihood of modality '{name}', {type(likelihood).__name__}, does not know "
            "which columns were seen: its start() must call super().start(chunks)."
        )
    n_rows, n_features = rows.shape
    dtype = next((p.dtype for p in likelihood.parameters()), torch.get_default_dtype())
    raw = torch.zeros(1, n_rows, likelihood.n_outputs(n_features), dtype=dtype)
    x = likelihood.standardise(torch.from_numpy(np.nan_to_num(rows))).to(dtype)
    each = 1, n_rows, likelihood.width
    for what, gave, must in (
        ("log_density", likelihood.log_density(x, raw).shape, each),
        ("log_prob", likelihood.log_prob(x, None, raw).shape, each[:2]),
        ("mean", likelihood.mean(raw).shape, each),
    ):
        if tuple(gave) != must:
            raise ValueError(
                f"{what} of the likelihood of modality '{name}', {type(likelihood).__name__}, "
                f"must give {must} for one draw, {n_rows} rows and {n_features} features; it gave "
                f"{tuple(gave)}."
            )


def warn_of_unread(likelihoods: Sequence[Likelihood], source: Source, layout: Layout) -> None:
    """Warn where rows show columns that the first call of ``partial_fit`` never saw."""
    unread = {m: ~likelihood.seen.cpu().numpy() for m, likelihood in enumerate(likelihoods)}
    unread = {m: columns for m, columns in unread.items() if columns.any()}
    names = [
        layout.names[m]
        for m, columns in unread.items()
        if any((~np.isnan(source[rows][m][:, columns])).any() for rows in source.chunks())
    ]
    if names:
        warnings.warn(
            f"Columns of {', '.join(map(repr, names))} have values here and had none when fitting "
            "began: nothing of them is read. Call fit on all of the data, or begin with rows that "
            "show every column.",
            UserWarning,
            stacklevel=2,
        )


def _weigh(source: Source, sample_weight: Any) -> tuple[Source, np.ndarray]:
    """Leave out rows of weight zero; give the weights of the others."""
    if sample_weight is None:
        return source, np.ones(len(source))
    weights = check_weights(sample_weight, len(source))
    kept = weights > 0
    return source if kept.all() else source.take(kept), weights[kept]


def check_weights(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Read weights of rows, (n_rows,): finite, not negative, and not all of them zero."""
    rows = np.broadcast_to(0.0, (n_rows, 1))  # scikit-learn asks for something as long as X
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise type(error)(f"sample_weight must be numbers: {error}") from error
    if weights.shape not in ((), (n_rows,)):
        raise ValueError(
            f"sample_weight must have one number for each of {n_rows} rows; got shape "
            f"{weights.shape}."
        )
    if weights.size and not weights.any():
        raise ValueError("sample_weight is zero for every row: there is nothing to weigh.")
    weights = np.broadcast_to(weights, (n_rows,))  # one number is that of every row
    return _check_sample_weight(weights, rows, dtype=np.float64, ensure_non_negative=True)


def check_support(
    likelihoods: Iterable[Likelihood],
    layout: Layout,
    arrays: Sequence[np.ndarray],
    first_row: int,
) -> None:
    """Refuse values that a likelihood does not know."""
    for m, (likelihood, array) in enumerate(zip(likelihoods, arrays, strict=True)):
        labels = None if layout.columns[0 if layout.is_table else m] is None else layout.labels(m)
        likelihood.check(array, layout.names[m], first_row, labels)


def hold(source: Source, weight: torch.Tensor, model: MultimodalVAE) -> Rows:
    """Hold the rows where the model is, standardised, unless they take much more room than now."""
    here = next(model.parameters())
    fits = _fits(source, here.element_size(), here.device)
    table = Held.read(source, model.read) if fits else Streamed(source, model.read)
    return Rows(table, weight.to(device=here.device, dtype=here.dtype))


def blocks_of(source: Source, element_size: int) -> Blocks | None:
    """Say how training groups rows on disk; None where it deals rows one by one."""
    fits = _fits(source, element_size, torch.device("cpu"))
    return Blocks.of(source) if source.is_stored and not fits else None


def _fits(source: Source, element_size: int, device: torch.device) -> bool:
    """Whether all values may be held on a device, of so many bytes each."""
    return len(source) * sum(source.widths) * element_size <= _room(source, device)


def _room(source: Source, device: torch.device) -> int:
    """Bytes that a copy of the data may take on a device."""
    if device.type == "cuda":  # it has nothing else to hold but the model
        return torch.cuda.mem_get_info(device)[0] // 2
    return _HELD_FROM_ELSEWHERE if source.is_elsewhere else _HELD


def n_distinct(source: Source) -> int:
    """Count the rows that differ from each other; all rows where they are many."""
    if len(source) > _COUNTED:
        return len(source)
    batches = (Batch.from_arrays(source[rows]) for rows in source.chunks())
    return len(torch.cat([row_keys(batch.values, batch.masks) for batch in batches]).unique())
