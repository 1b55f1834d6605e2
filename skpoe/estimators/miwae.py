"""MIWAE (Mattei & Frellsen, 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._compat import StrOptions
from ..model import MultimodalVAE
from ..objectives import IWAE, Objective
from ..priors import StandardGaussian
from ..training import Cycle
from .base import FEW_ROWS, BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MIWAE(BaseVAE):
    r"""Importance-weighted autoencoder for incomplete data: one table, or several modalities.

    One encoder reads all entries, zero where missing, and which of them are observed. Training
    maximises

    .. math:: \mathbb{E} \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x_O \mid z_k) \, p(z_k)}{q(z_k \mid x_O)}, \quad z_k \sim q(z \mid x_O)

    over the observed entries, and missing ones are predicted by draws with self-normalised
    importance weights (decoder means, not the draws of them that public code averages).

    By default training starts at a factor analysis of the table: the posterior then has a full
    covariance, to which each observed entry adds its own evidence, so that before training it is
    exact for every pattern of holes. The settings of the paper are ``init="random"``,
    ``covariance="diag"``, ``likelihood="student_t_decoder"``, ``latent_dim=10``,
    ``hidden_layer_sizes=(128, 128)``, ``activation="tanh"``, ``n_samples=20``,
    ``learning_rate="constant"``, ``learning_rate_init=1e-3``, ``batch_size=64``; beside them, the
    encoder here reads which entries are hidden, where the paper's reads zeros alone.

    Parameters
    ----------
    gradient : {"iwae", "dreg", "stl"}, default="iwae"
        "dreg" is the doubly reparameterised gradient, which is less noisy; "stl" is allowed with
        ``n_samples=1``.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    PartialVAE : A set encoder over the observed entries.

    References
    ----------
    MIWAE: deep generative modelling and imputation of incomplete data sets (Mattei & Frellsen,
    2019), https://arxiv.org/abs/1812.02633, equations 4 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MIWAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MIWAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    _auto_init = "factor_analysis"
    _auto_least_latent = 10
    _auto_imputation = "importance"

    latent_dim: int | str = "auto"
    covariance: str = "auto"
    gradient: str = "iwae"
    shrinkage: float | str = "auto"
    hidden_layer_sizes: Sequence[int] = (128, 128, 128)
    activation: str = "gelu"
    likelihood: Any = "auto"
    n_samples: int = 10
    n_importance_samples: int = 200
    imputation: str = "auto"
    learning_rate_init: float | str = "auto"
    weight_decay: float | str = "auto"

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "gradient": [StrOptions({"iwae", "dreg", "stl"})],
    }

    def _cycle(self, n_rows: int, n_features: int) -> Cycle:
        # a small table would be learned by heart at the rate that makes few steps enough, and a
        # very small one by many steps
        if n_rows < FEW_ROWS:
            return Cycle(min(240, n_rows // 2 + 1))
        return Cycle(min(max(330, 30 * n_features), 660), 256, 1e-2)

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family = pieces.gaussian(auto="full" if pieces.linear else "diag")
        strategy = pieces.joint(family)
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim))
        return model, pieces.objective(IWAE, gradient=self.gradient)
