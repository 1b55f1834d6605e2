"""Where training starts: at random weights, or at a factor analysis of the data."""

from __future__ import annotations

from typing import Any

import torch

from .. import factor_analysis
from ..data.source import Source
from ..factor_analysis import SHRINKAGES, FactorAnalysis, Table
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..random import derive_seed

# rows, and numbers, that a start is read off; more change little
_MOST_ROWS, _MOST_NUMBERS = 5000, 2**26
_N_STEPS = 60
_MOST_LATENT = 128


def is_linear(estimator: Any, likelihoods: list[Likelihood]) -> bool:
    """Read ``init``: whether networks get a linear part that starts at factor analysis."""
    if estimator.init != "auto":
        return bool(estimator.init == "factor_analysis")
    if estimator._auto_init != "factor_analysis":
        return False
    plain = estimator.encoder is None and estimator.decoder is None
    return plain and all(likelihood.has_own_noise for likelihood in likelihoods)


def most_latent(n_rows: int, n_features: int) -> int:
    """Dimension of a start where "auto" asks for one: large, for shrinkage does the rest."""
    return max(1, min(n_features - 1, _MOST_LATENT, n_rows // 2))


def find_start(
    model: MultimodalVAE, source: Source, weights: torch.Tensor, seed: int
) -> FactorAnalysis:
    """Fit a factor analysis, with the shrinkage under which held-out rows are likeliest."""
    n_rows = min(len(source), _MOST_ROWS, max(10, _MOST_NUMBERS // sum(source.widths)))
    generator = torch.Generator().manual_seed(derive_seed(seed, 4))
    rows = torch.randperm(len(source), generator=generator)[:n_rows].sort().values
    table = Table.of(model.read(source[rows.numpy()]), weights[rows])
    latent_dim, shrinkage = factor_analysis.choose(table, [model.latent_dim], SHRINKAGES, seed)
    return factor_analysis.fit(table, latent_dim, shrinkage, _N_STEPS)[0].canonical()
