"""Simulated missingness: exact shares of rows or entries are made NaN, by a known mechanism."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array, check_random_state

from ..data import tables
from ..data.coding import codings_of, encode
from ..data.layout import kind_of
from ..data.modalities import Modalities
from ..data.refusals import refuse_bare_images
from ..data.validation import is_multimodal

__all__ = ["drop_entries", "drop_modalities"]

_MECHANISMS = ["mcar", "mar", "mnar"]


def drop_modalities(
    X: Any,
    rate: float | Mapping[str, float],
    *,
    modalities: str | Sequence[str] | None = None,
    mechanism: str = "mcar",
    keep_one: bool = True,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    r"""Copy X and make whole modalities of some rows NaN.

    Of the n rows that show something of a chosen modality, exactly ``round(rate * n)`` lose it:
    those with the largest :math:`u_i + g_i`, where :math:`g_i` is Gumbel noise and :math:`u_i` a
    logit with mean 0 and standard deviation 1. That draws without replacement, with odds
    :math:`e^{u_i}`.

    Parameters
    ----------
    X : list, tuple or dict of tables; Modalities; array or DataFrame
        Each table an array or DataFrame of shape (n_samples, n_features), NaN where missing, or
        None. The items of a list are named "modality_0", ...; one table is one modality "X".
    rate : float or dict of str to float
        Share of the rows, in [0, 1), for all chosen modalities or for each.
    modalities : str or sequence of str, default=None
        Which may be dropped; None means those that a dict ``rate`` names, else all.
    mechanism : {"mcar", "mar", "mnar"}, default="mcar"
        What :math:`u` is: "mcar", 0; "mar", a random linear combination of the columns of the
        modalities that are not chosen, the mean in place of what is missing; "mnar", the row's
        mean standardised value of the modality itself.
    keep_one : bool, default=True
        Leave each row that shows something at least one modality. A drop that would leave a row
        bare moves to another row: the rate stays exact, and rows that show less lose less.
    random_state : int, RandomState or None, default=None
        None draws fresh numbers; the global state of numpy is neither read nor moved.

    Returns
    -------
    X_new : same form as X
        A copy. Integers and booleans become float64 where something is dropped (in a DataFrame
        column by column); all other dtypes, the index and the columns stay.

    Raises
    ------
    ValueError
        If a parameter is out of range or names what X lacks, if "mar" has no modality to depend
        on, or if ``keep_one`` and ``rate`` contradict each other; the largest rate is then told.
    TypeError
        If a table is sparse, or neither an array nor a DataFrame.

    See Also
    --------
    drop_entries : Single entries instead of whole modalities.

    References
    ----------
    Inference and missing data (Rubin, 1976), https://doi.org/10.1093/biomet/63.3.581

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import drop_modalities
    >>> X = {"rna": np.ones((10, 3)), "adt": np.ones((10, 2))}
    >>> dropped = drop_modalities(X, {"adt": 0.4}, random_state=0)
    >>> int(np.isnan(dropped["adt"]).all(axis=1).sum()), int(np.isnan(dropped["rna"]).sum())
    (4, 0)
    """
    named = named_tables(X)
    _check("drop_modalities", mechanism, rate)
    chosen = _chosen(list(named), modalities, rate)
    rng = generator(random_state)
    values = {n: _read(n, t, mechanism) for n, t in named.items() if t is not None}
    never = np.zeros(len(next(iter(values.values()))), dtype=bool)
    rows = {n: ~np.isnan(values[n]).all(axis=1) if n in values else never for n in named}
    shown = np.stack([rows[name] for name in chosen], axis=1)
    others = [name for name in named if name not in chosen and rows[name].any()]
    logits = np.zeros(shown.shape)
    if mechanism == "mar":
        if not others:
            raise ValueError(
                "mechanism='mar' needs a modality that shows something and is not dropped, for "
                f"the missingness to depend on. The 'modalities' {list(chosen)} of "
                f"{list(named)} leave none."
            )
        logits = _combine(np.hstack([values[name] for name in others]), len(chosen), rng)
    elif mechanism == "mnar":
        for m, name in enumerate(chosen):
            if name in values:
                mean = np.nan_to_num(_standardised(values[name])).sum(axis=1)
                logits[:, m] = mean / np.maximum((~np.isnan(values[name])).sum(axis=1), 1)
        logits = _standardised(np.where(shown, logits, np.nan))
    scores = np.where(shown, logits + rng.gumbel(size=shown.shape), -np.inf)
    rates = np.array(list(chosen.values()), dtype=float)
    drop = _top(scores, _counts(rates, shown))
    safe = np.any([rows[name] for name in others], axis=0) if others else never
    if keep_one and not _leave_one(drop, shown, scores, safe):
        most = _largest(rates if isinstance(rate, Mapping) else np.ones(len(rates)), shown, safe)
        told = dict(zip(chosen, most, strict=True)) if isinstance(rate, Mapping) else most[0]
        raise ValueError(
            f"The 'rate' parameter of drop_modalities must be at most {told} for this X, or a "
            f"row would lose all that it shows, which keep_one=True forbids. Got {rate!r} instead."
        )
    lost = {name: drop[:, [m]] for m, name in enumerate(chosen)}
    return _like(X, {n: _blank(t, lost.get(n, never[:, None])) for n, t in named.items()})


def drop_entries(
    X: Any,
    rate: float,
    *,
    mechanism: str = "mcar",
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    r"""Copy X and make single entries NaN, an exact share of each column.

    Of the n entries that a column shows, exactly ``round(rate * n)`` are lost: those with the
    largest :math:`u_i + g_i`, as in `drop_modalities`. A row may lose all that it shows.

    Parameters
    ----------
    X : list, tuple or dict of tables; Modalities; array or DataFrame
        Each table an array or DataFrame of shape (n_samples, n_features), NaN where missing, or
        None.
    rate : float
        Share of the entries of a column, in [0, 1).
    mechanism : {"mcar", "mar", "mnar"}, default="mcar"
        What :math:`u` is: "mcar", 0; "mar", a random linear combination of a random half of the
        columns of X, from which nothing is dropped; "mnar", the entry's own standardised value.
    random_state : int, RandomState or None, default=None
        None draws fresh numbers; the global state of numpy is neither read nor moved.

    Returns
    -------
    X_new : same form as X
        A copy, with dtypes as in `drop_modalities`.

    Raises
    ------
    ValueError
        If a parameter is out of range, or "mar" has fewer than two columns that show something.
    TypeError
        If a table is sparse, or neither an array nor a DataFrame.

    See Also
    --------
    drop_modalities : Whole modalities instead of single entries.

    References
    ----------
    Inference and missing data (Rubin, 1976), https://doi.org/10.1093/biomet/63.3.581

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.datasets import drop_entries
    >>> np.isnan(drop_entries(np.ones((20, 3)), 0.3, random_state=0)).sum(axis=0)
    array([6, 6, 6])
    """
    named = named_tables(X)
    _check("drop_entries", mechanism, rate)
    rng = generator(random_state)
    blocks = {n: _read(n, t, mechanism) for n, t in named.items() if t is not None}
    values = np.hstack(list(blocks.values()))
    eligible = ~np.isnan(values)
    logits = np.zeros(values.shape)
    if mechanism == "mar":
        columns = rng.permutation(np.flatnonzero(eligible.any(axis=0)))
        if len(columns) < 2:
            raise ValueError(
                "mechanism='mar' needs at least two columns that show something, one to drop "
                f"entries from and one to depend on. X has {len(columns)}."
            )
        half = columns[: len(columns) // 2]
        logits = _combine(values[:, half], values.shape[1], rng)
        eligible[:, half] = False
    elif mechanism == "mnar":
        logits = _standardised(values)
    scores = np.where(eligible, logits + rng.gumbel(size=values.shape), -np.inf)
    drop = _top(scores, _counts(np.full(values.shape[1], float(rate)), eligible))
    ends = np.cumsum([block.shape[1] for block in blocks.values()])[:-1]
    lost = dict(zip(blocks, np.split(drop, ends, axis=1), strict=True))
    return _like(X, {n: _blank(t, lost.get(n)) for n, t in named.items()})


def named_tables(X: Any) -> dict[str, Any]:
    """Name the tables of X: arrays, DataFrames or None; anything else is refused."""
    several = is_multimodal(X)
    if several:
        named = dict(Modalities(X).items())
    else:
        named = {"X": np.asarray(X) if isinstance(X, (list, tuple)) else X}
        refuse_bare_images(named["X"])
    for name, table in named.items():
        sparse = bool(tables.sparse_columns(table))
        dense = isinstance(table, (np.ndarray, pd.DataFrame)) or (several and table is None)
        if sparse or not dense or isinstance(table, np.ma.MaskedArray):
            raise TypeError(
                f"Modality '{name}' is a {'sparse ' if sparse else ''}{type(table).__name__}. "
                "Missingness is simulated and split in dense numpy arrays and pandas DataFrames "
                "only: convert it first."
            )
    return named


def generator(random_state: Any) -> np.random.Generator:
    """Make a generator of our own; None takes fresh entropy, not the global state."""
    if random_state is None:
        return np.random.default_rng()
    words = check_random_state(random_state).randint(2**32, size=4, dtype=np.uint32)
    return np.random.default_rng(words)


def _like(X: Any, named: dict[str, Any]) -> Any:
    """Put tables into the form of X."""
    if not is_multimodal(X):
        return named["X"]
    kind = kind_of(X)
    if kind is Modalities:
        return Modalities(named, {n: s for n, s in X._sizes.items() if s is not None})
    return named if kind is dict else kind(named.values())


def _read(name: str, table: Any, mechanism: str) -> np.ndarray:
    """Return the numbers of a table, NaN where missing; they may share memory with it."""
    if tables.is_frame(table) and mechanism == "mcar":  # no number counts, and there may be none
        return np.where(table.isna(), np.nan, 0.0)
    try:
        read = encode(table, codings_of(table), name) if tables.is_frame(table) else table
        return check_array(tables.flatten(read), dtype=np.float64, ensure_all_finite="allow-nan")
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Modality '{name}': {error}") from error


def _blank(table: Any, drop: np.ndarray) -> Any:
    """Copy a table with NaN (or NA) where ``drop``, of shape (N, F) or (N, 1), is True."""
    if table is None:
        return None
    if not drop.any():
        return np.array(table) if isinstance(table, np.ndarray) else table.copy()
    if isinstance(table, np.ndarray):
        kind = float if table.dtype.kind in "biu" else table.dtype
        flat = (len(table), tables.n_numbers(tables.size_of(table)))
        drop = np.broadcast_to(drop, flat).reshape(table.shape)
        return np.where(drop, np.array(np.nan, dtype=kind), table.astype(kind))
    integer = [isinstance(d, np.dtype) and d.kind in "biu" for d in table.dtypes]
    lossy = np.flatnonzero(drop.any(axis=0) & integer).tolist()
    plain = table.set_axis(range(table.shape[1]), axis=1)  # labels may repeat or be tuples
    plain = plain.astype(dict.fromkeys(lossy, float))
    return plain.mask(np.broadcast_to(drop, plain.shape)).set_axis(table.columns, axis=1)


def _check(function: str, mechanism: Any, rate: Any) -> None:
    """Refuse what is no mechanism or no rate."""
    if not (isinstance(mechanism, str) and mechanism in _MECHANISMS):
        raise ValueError(
            f"The 'mechanism' parameter of {function} must be one of {_MECHANISMS}. "
            f"Got {mechanism!r} instead."
        )
    by_name = function == "drop_modalities"
    rates = list(rate.values()) if by_name and isinstance(rate, Mapping) else [rate]
    if any(isinstance(r, bool) or not isinstance(r, Real) or not 0 <= r < 1 for r in rates):
        raise ValueError(
            f"The 'rate' parameter of {function} must be a number in the range [0, 1)"
            f"{' or a dict of modality to such a number' if by_name else ''}. "
            f"Got {rate!r} instead."
        )


def _chosen(there: list[str], modalities: Any, rate: Any) -> dict[str, float]:
    """Return name -> rate of the modalities that may be dropped, in the order of X."""
    by_name = isinstance(rate, Mapping)
    if modalities is None:
        modalities = rate if by_name else there
    names = [modalities] if isinstance(modalities, (str, int)) else list(modalities)
    for parameter, given in (("rate", list(rate) if by_name else there), ("modalities", names)):
        if not given or any(name not in there for name in given):
            raise ValueError(
                f"The '{parameter}' parameter of drop_modalities must name modalities of X, "
                f"which are {there}. Got {given} instead."
            )
    if by_name and set(rate) != set(names):
        raise ValueError(
            "The 'rate' parameter of drop_modalities must name the same as 'modalities', "
            f"{names}. Got {list(rate)} instead."
        )
    return {name: rate[name] if by_name else rate for name in there if name in names}


def _standardised(values: np.ndarray) -> np.ndarray:
    """Give columns mean 0 and deviation 1 over what is not NaN; constant ones become 0."""
    shown = ~np.isnan(values)
    n = np.maximum(shown.sum(axis=0), 1)
    mean = np.where(shown, values, 0).sum(axis=0) / n
    deviation = np.sqrt((np.where(shown, values - mean, 0) ** 2).sum(axis=0) / n)
    varies = deviation > 1e-12 * np.abs(mean)  # more than rounding
    return (values - mean) / np.where(varies, deviation, np.inf)


def _combine(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n random combinations of the columns, the mean in place of NaN, standardised."""
    filled = np.nan_to_num(_standardised(values))
    return _standardised(filled @ rng.normal(size=(values.shape[1], n)))


def _counts(rates: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    return np.rint(rates * eligible.sum(axis=0))  # halves to even, as Python's round


def _top(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mark the counts[j] largest scores of column j."""
    top = np.zeros(scores.shape, dtype=bool)
    order = np.argsort(-scores, axis=0)
    np.put_along_axis(top, order, np.arange(len(scores))[:, None] < counts, axis=0)
    return top


def _leave_one(drop: np.ndarray, shown: np.ndarray, scores: np.ndarray, safe: np.ndarray) -> bool:
    """Move drops between rows, in place, until no row is bare; False if that cannot be.

    A bare row gets modality a back, so another row must lose a: best one that keeps more, else
    one that gets b back for it, and so on along the shortest way from modality to modality. If
    there is none, the modalities that were reached keep too few cells for the rows that show
    nothing else (Hall's theorem). Each turn uses a way for as many rows as it can take.
    """
    while True:
        kept = shown & ~drop
        n_kept = kept.sum(axis=1)
        bare = shown & ((n_kept == 0) & ~safe)[:, None]
        if not bare.any():
            return True
        spare = kept & ((n_kept > 1) | safe)[:, None]
        last = kept & ~spare
        steps = last.T.astype(float) @ drop > 0
        way = _shortest(bare.any(axis=0), steps, spare.any(axis=0))
        if not way:
            return False
        # which rows, what they get back, what they lose; no row can be in two of these
        moves = [(bare[:, way[0]], way[0], None), (spare[:, way[-1]], None, way[-1])]
        moves += [(last[:, a] & drop[:, b], b, a) for a, b in itertools.pairwise(way)]
        size = min(where.sum() for where, _, _ in moves)
        for where, back, lost in moves:
            rows = np.flatnonzero(where)
            gain = 0 if lost is None else scores[rows, lost]
            gain = gain - (0 if back is None else scores[rows, back])
            rows = rows[np.argsort(-gain)[:size]]  # those that come closest to being drawn
            if back is not None:
                drop[rows, back] = False
            if lost is not None:
                drop[rows, lost] = True


def _shortest(starts: np.ndarray, steps: np.ndarray, ends: np.ndarray) -> list[int]:
    """Find a shortest way in a small graph, breadth first; [] if there is none."""
    ways = [[start] for start in np.flatnonzero(starts)]
    seen = {way[0] for way in ways}
    for way in ways:  # grows while it is read
        if ends[way[-1]]:
            return way
        new = [step for step in np.flatnonzero(steps[way[-1]]) if step not in seen]
        seen.update(new)
        ways += [[*way, step] for step in new]
    return []


def _largest(rates: np.ndarray, shown: np.ndarray, safe: np.ndarray) -> list[float]:
    """Scale rates down until each row keeps a modality; rounded down to four digits."""
    scores = np.where(shown, 0.0, -np.inf)

    def fails(t: int) -> bool:
        drop = _top(scores, _counts(rates * t / 10_000, shown))
        return not _leave_one(drop, shown, scores, safe)

    t = bisect.bisect_left(range(10_000), True, key=fails) - 1
    return (np.floor(rates * t) / 10_000).tolist()
