"""Tables that are hard for factor analysis, for networks of few rows, or for both.

Each is two modalities of numbers, made anew each time. tables.py runs them when they are asked
for by name; they are no part of its usual table.
"""

import numpy as np


def _linear(rng, n_rows, widths=(6, 5), n_causes=3, noise=0.6):
    z = rng.normal(size=(n_rows, n_causes))
    return [
        z @ rng.normal(size=(n_causes, width)) + noise * rng.normal(size=(n_rows, width))
        for width in widths
    ]


def linear100(rng):
    """Linear causes, few rows: factor analysis is the truth."""
    return _linear(rng, 133)


def sums(rng):
    """Columns that are sums of others, within and across modalities."""
    a, b = _linear(rng, 400)
    total = a.sum(1, keepdims=True)
    return [np.hstack([a, total]), np.hstack([b, total + b.sum(1, keepdims=True)])]


def copies(rng):
    """Two columns of one modality stand in the other too."""
    a, b = _linear(rng, 400)
    return [a, np.hstack([b, a[:, :2]])]


def outliers(rng):
    """One entry in fifty is fifty times as far out."""
    return [np.where(rng.random(x.shape) < 0.02, 50 * x, x) for x in _linear(rng, 400)]


def clusters(rng):
    """Eight groups far apart."""
    group = rng.integers(8, size=450)
    return [
        6 * rng.normal(size=(8, width))[group] + rng.normal(size=(450, width)) for width in (4, 4)
    ]


def circle(rng):
    """Harmonics of an angle, two of which tell it."""
    angle = rng.uniform(0, 2 * np.pi, 450)
    waves = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle), np.cos(3 * angle)]
    x = np.stack(waves, axis=1) + 0.1 * rng.normal(size=(450, 5))
    return [x[:, :2], x[:, 2:]]


def products(rng):
    """Products and signs of products of three independent numbers."""
    a = rng.normal(size=(450, 3))
    b = np.stack([a[:, 0] * a[:, 1], np.sign(a[:, 1] * a[:, 2])], axis=1)
    return [a, b + 0.1 * rng.normal(size=b.shape)]


def curves(rng):
    """Many rows, whose columns are sums of bent mixtures of four causes."""
    z = rng.normal(size=(13_334, 4))
    bent = np.tanh(1.5 * z @ rng.normal(size=(4, 12)))
    x = bent @ rng.normal(size=(12, 20)) / np.sqrt(12)
    x = x / x.std(0) + 0.3 * rng.normal(size=x.shape)
    return [x[:, :10], x[:, 10:]]


def rare(rng):
    """Linear causes, and a modality that one training row in twenty shows: see :func:`make`."""
    return _linear(rng, 667)


HARD = {
    table.__name__: table
    for table in (linear100, sums, copies, outliers, clusters, circle, products, curves, rare)
}


def make(name, train):
    """Modalities of a table by its name; ``train`` are the numbers of training rows."""
    X = HARD[name](np.random.default_rng(0))
    if name == "rare":
        X[1][np.delete(train, np.s_[::20])] = np.nan
    return X
