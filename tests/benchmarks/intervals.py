"""How many of the hidden values the intervals of an estimator cover."""

import numpy as np


def coverage(est, X, truth, counted=None, *, level=0.9):
    """Share of hidden cells inside their intervals.

    Parameters
    ----------
    est : fitted estimator
    X : ndarray of shape (N, F), or list of (ndarray or None)
        One table or modalities, with holes.
    truth : as X, without holes
    counted : list of bool ndarray of shape (F_m,), default=None
        Columns that count; all when None.
    """
    return float(inside(est.predict_interval(X, coverage=level), X, truth, counted).mean())


def inside(ends, X, truth, counted=None):
    """Whether each hidden cell is between its lower and upper end, a flat array."""
    return np.concatenate(
        [(low <= x) & (x <= high) for x, low, high, _ in hidden(ends, X, truth, counted)]
    )


def hidden(ends, X, truth, counted=None):
    """Of each modality, what is hidden: truth, lower and upper end, and which cells that are."""
    tables = (X, truth, *ends)
    if isinstance(truth, np.ndarray):
        tables = ([table] for table in tables)
    for m, (x, known, low, high) in enumerate(zip(*tables, strict=True)):
        cells = np.ones(known.shape, bool) if x is None else np.isnan(x)
        if counted is not None:
            cells = cells & counted[m]
        yield known[cells], low[cells], high[cells], cells
