"""Estimators of every kind from the same words."""

import inspect

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
