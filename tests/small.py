"""Estimators of every kind from the same words."""

import functools
import inspect

import numpy as np

from skpoe import (
    MIWAE,
    MVAE,
    MMVAEPlus,
    MultimodalFactorAnalysis,
    PoEVAE,
    SphericalVAE,
    all_estimators,
)
from skpoe.estimators.base import BaseVAE

# one of each kind, for laws that the base class keeps: products of experts, with a covariance for
# each row or each modality, spheres, one encoder for all, mixtures with private variables
KINDS = [MVAE, PoEVAE, SphericalVAE, MIWAE, MMVAEPlus]
# those that train networks, for laws of training
VAES = [cls for _, cls in all_estimators() if issubclass(cls, BaseVAE)]

# modalities of those that are fitted once for many laws, and their widths by kind
NAMES = ["a", "b", "c", "d"]
WIDTHS = {
    **dict(zip(KINDS, [(3, 1, 2), (2, 5, 1, 1), (1, 4), (5,), (2, 2)], strict=True)),
    MultimodalFactorAnalysis: (4, 1, 2),
}

FAST = {
    "max_iter": 2,
    "hidden_layer_sizes": (8,),
    "latent_dim": 2,
    "n_importance_samples": 4,
    "random_state": 0,
    "n_threads": 1,
}


def small(cls, **params):
    """Make an estimator; sizes of the latent space are put in the words of its kind."""
    known = inspect.signature(cls).parameters
    if "init" in known:  # a start at factor analysis has tests of its own, and takes longer
        params = {"init": "random", **params}
    if "n_samples" in known:
        params = {"n_samples": min(2, known["n_samples"].default), **params}
    if "latent_dim" in params and "latent_dim" not in known:
        params |= {"n_spheres": 1, "sphere_dim": max(1, params.pop("latent_dim") - 1)}
    if "covariance" not in known:
        params.pop("covariance", None)
    if cls is MultimodalFactorAnalysis:  # it has no networks
        params = {name: value for name, value in params.items() if name in known}
    return cls(**params)


def usual(n_rows, widths, seed=0):
    """Complete rows of two common causes, an array a modality."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n_rows, 2))
    return [
        z @ rng.normal(size=(2, width)) + 0.5 * rng.normal(size=(n_rows, width))
        for width in widths
    ]


def named(arrays):
    return dict(zip(NAMES, arrays, strict=False))


@functools.cache
def fitted(cls):
    """One estimator of each kind, for laws of predictions: it must not be changed."""
    return small(cls, **FAST | {"max_iter": 100}).fit(named(usual(30, WIDTHS[cls])))
