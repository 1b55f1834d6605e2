"""The parameters that all estimators share, their defaults and their constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any

import torch

from .._compat import Interval, StrOptions
from ..likelihoods import Likelihood
from ..nn import ACTIVATIONS, ARCHITECTURES, Shared


@dataclass(kw_only=True, eq=False, repr=False)
class SharedParameters:
    """Fields are parameters: scikit-learn reads the signature that follows from them.

    An estimator adds its own, and may give a shared one another default. Constraints of those that
    only some estimators have stand here too; texts are in ``documentation``.
    """

    hidden_layer_sizes: Sequence[int] = (256,)
    activation: str = "relu"
    encoder: Any = None
    decoder: Any = None
    likelihood: Any = "gaussian"
    init: str = "auto"
    modalities: Any = None
    beta: float = 1.0
    kl_warmup: int = 0
    likelihood_weights: Any = None
    n_samples: int = 1
    n_importance_samples: int = 100
    imputation: str = "posterior"
    learning_rate: str = "one_cycle"
    learning_rate_init: float | str = 3e-3
    weight_decay: float | str = 0.0
    start_weight: float | str = 0.0
    batch_size: int | str = "auto"
    max_iter: int | str = "auto"
    early_stopping: bool | str = "auto"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False
    checkpoint: Any = None
    checkpoint_every: int = 1
    resume: bool = False
    dtype: str = "auto"
    compile: bool = False
    device: Any = None
    n_threads: int | None = None
    verbose: int = 0
    random_state: Any = None

    _parameter_constraints = {
        "latent_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "private_dim": [Interval(Integral, 1, None, closed="left")],
        "covariance": [StrOptions({"auto", "diag", "full"})],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "joint_encoder": [callable, None],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "encoder": [callable, StrOptions(set(ARCHITECTURES)), Shared, Mapping, list, tuple, None],
        "decoder": [callable, StrOptions(set(ARCHITECTURES)), Shared, Mapping, list, tuple, None],
        "init": [StrOptions({"auto", "factor_analysis", "random"})],
        "likelihood": [str, Likelihood, Mapping, list, tuple],
        "modalities": [Mapping, list, tuple, None],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Integral, 0, None, closed="left")],
        "likelihood_weights": ["array-like", Mapping, None],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "imputation": [StrOptions({"auto", "mean", "posterior", "importance"})],
        "learning_rate": [StrOptions({"one_cycle", "constant"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "shrinkage": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "trust": [Interval(Real, 0, 1, closed="right"), StrOptions({"auto"})],
        "prediction_weight": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "prediction_networks": ["boolean", StrOptions({"auto"})],
        "start_weight": [Interval(Real, 0, 1, closed="both"), StrOptions({"auto"})],
        "weight_decay": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
        "resume": ["boolean"],
        "max_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "dtype": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
        "compile": ["boolean"],
        "device": [str, None, torch.device],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
