"""CRMVAE (Suzuki & Matsuo, 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import MultimodalVAE
from ..objectives import CRMVAEObjective, Objective
from ..priors import StandardGaussian
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class CRMVAE(BaseVAE):
    r"""Product of experts; each modality is explained by the joint and by its own posterior.

    .. math:: \frac{1}{2 (n + 1)} \sum_{m \in O} \big( \mathbb{E}_{q_O} [\log p(x_m \mid z)]
        + \mathbb{E}_{q_m} [\log p(x_m \mid z)] \big) - \frac{\beta}{n + 1}
        \Big[ \mathrm{KL}(q_O \,\|\, p) + \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m) \Big]

    where n is how many modalities a row shows; public code keeps the number of all. The prior is
    not an expert.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MVTCAE : Without the fit from single posteriors.

    References
    ----------
    Mitigating the limitations of multimodal VAEs with coordination-based approach (2022),
    https://openreview.net/forum?id=Rn8u4MYgeNJ.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import CRMVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = CRMVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    covariance: str = "auto"
    free_bits: float = 0.0

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, latent_dim = pieces.gaussian(), pieces.latent_dim
        strategy = pieces.product(family, prior_expert=False)
        model = pieces.model(strategy, StandardGaussian(latent_dim))
        return model, pieces.objective(CRMVAEObjective)
