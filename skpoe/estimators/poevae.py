"""PoEVAE, the flagship."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model import MultimodalVAE
from ..objectives import AlignedELBO, Objective
from ..priors import StandardGaussian
from ..training import Cycle
from .base import FEW_ROWS, BaseVAE
from .documentation import documented
from .pieces import Pieces

# of the term for predictions, with a start at factor analysis, and for networks of their own:
# these learn from nothing else, and beside a small gradient others are not clipped
_STARTED, _OF_NETWORKS = 3.0, 0.1


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class PoEVAE(BaseVAE):
    r"""Product-of-experts VAE with aligned subset posteriors: the one to start with.

    Each modality has an encoder; the posterior given any subset of modalities is the product of
    their experts and the prior. Training maximises the ELBO of all that a row shows, and pulls the
    posterior given part of it towards the posterior given all of it, so that a row that lacks a
    modality is still placed well and the modality predicted well:

    .. math:: \mathrm{ELBO}(O) - \tfrac{1}{2} \big[
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_s))
        + \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus s})) \big]

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MVAE : The same model with the objective of its paper.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, section 2.1: the product of experts.

    Joint multimodal learning with deep generative models (Suzuki, Nakayama & Matsuo, 2016),
    https://arxiv.org/abs/1611.01891, equation 5: the alignment of unimodal posteriors, there of
    networks of their own.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import PoEVAE
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(60, 1))
    >>> rna, protein = z + 0.1 * rng.normal(size=(60, 4)), -z + 0.1 * rng.normal(size=(60, 2))
    >>> protein[:20] = np.nan
    >>> est = PoEVAE(max_iter=20, random_state=0).fit([rna, protein])
    >>> filled = est.predict_missing([rna, protein])
    >>> bool(np.corrcoef(filled[1][:20, 0], -z[:20, 0])[0, 1] > 0.9)
    True
    """

    _auto_init = "factor_analysis"
    _auto_compares = True
    _auto_most_epochs = 600

    latent_dim: int | str = "auto"
    likelihood: Any = "auto"
    activation: str = "silu"
    imputation: str = "auto"
    weight_decay: float | str = "auto"
    learning_rate_init: float | str = "auto"
    start_weight: float | str = "auto"
    covariance: str = "auto"
    free_bits: float = 0.0
    shrinkage: float | str = "auto"
    trust: float | str = "auto"
    prediction_weight: float | str = "auto"
    prediction_networks: bool | str = "auto"

    def _cycle(self, n_rows: int, n_features: int) -> Cycle:
        return Cycle(300 if n_rows < FEW_ROWS else 600, rate=6e-3)

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family = pieces.gaussian(auto="full")
        strategy = pieces.product(family)
        # one modality has nothing to be predicted from
        able = pieces.n_modalities > 1 and bool(self.prediction_weight != 0)
        apart = pieces.choice("prediction_networks", able and not pieces.linear)
        if apart and not able:
            raise ValueError(
                "prediction_networks=True predict a modality from others, and X has one. Leave "
                "prediction_networks='auto'."
                if pieces.n_modalities == 1
                else "prediction_networks=True learn by the term that prediction_weight weighs; "
                f"got prediction_weight={self.prediction_weight!r}. Leave one of them 'auto'."
            )
        usual = _OF_NETWORKS if apart else _STARTED if pieces.linear else 0.0
        weight = pieces.choice("prediction_weight", usual)
        prior = StandardGaussian(pieces.latent_dim)
        return pieces.model(strategy, prior, predicts=apart), pieces.objective(
            AlignedELBO, prediction_weight=weight, n_modalities=pieces.n_modalities
        )
