"""What mistakes are made with: data that are good but for something, and what is done to them."""

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import InvalidParameterError

from skpoe import MVAE

FAST = {"max_iter": 1, "hidden_layer_sizes": (4,), "latent_dim": 2, "random_state": 0}


E, T, P = ValueError, TypeError, InvalidParameterError


def good():
    rng = np.random.default_rng(0)
    return {"rna": rng.normal(size=(8, 3)), "adt": rng.normal(size=(8, 2))}


def having(**tables):
    """Good data, but for some modalities; those that are Ellipsis are left out."""
    X = {**good(), **tables}
    return lambda: {name: x for name, x in X.items() if x is not ...}


def cell(value, dtype=float):
    """Good data, but for one cell of adt."""
    table = good()["adt"].astype(dtype)
    table[1, 1] = value
    return having(adt=table)


def columns_named(*names):
    table = pd.DataFrame(good()["rna"], columns=list(names))
    return having(rna=table)


def frame(**columns):
    return lambda: pd.DataFrame(columns or {"a": [1.0, 2.0, 3.0], "b": [0.5, np.nan, 1.0]})


def fit(cls=MVAE, weight=None, **parameters):
    return lambda est, X, folder: cls(**{**FAST, **parameters}).fit(X, sample_weight=weight)


def fit_then(method, first, **parameters):
    """Fit on other data first, and then ask."""

    def do(est, X, folder):
        return getattr(MVAE(**{**FAST, **parameters}).fit(first()), method)(X)

    return do


def ask(method, *args, **named):
    return lambda est, X, folder: getattr(est, method)(X, *args, **named)
