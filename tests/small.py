"""Estimators of every kind from the same words."""

import inspect


def small(cls, **params):
    """Make an estimator; sizes of the latent space are put in the words of its kind."""
    known = inspect.signature(cls).parameters
    if "latent_dim" in params and "latent_dim" not in known:
        params |= {"n_spheres": 1, "sphere_dim": max(1, params.pop("latent_dim") - 1)}
    if "covariance" not in known:
        params.pop("covariance", None)
    return cls(**params)
