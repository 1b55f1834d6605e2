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
    low, high = est.predict_interval(X, coverage=level)
    X, truth, low, high = (
        [x] if isinstance(truth, np.ndarray) else x for x in (X, truth, low, high)
    )
    inside = []
    for m, (a, b) in enumerate(zip(low, high, strict=True)):
        hidden = np.ones(truth[m].shape, bool) if X[m] is None else np.isnan(X[m])
        if counted is not None:
            hidden = hidden & counted[m]
        inside.append(((a <= truth[m]) & (truth[m] <= b))[hidden])
    return float(np.concatenate(inside).mean())
