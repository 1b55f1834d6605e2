"""MVTCAE (Hwang, Kim, Hong & Kim, 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from .._compat import Interval
from ..model import MultimodalVAE
from ..objectives import MVTCAEObjective, Objective
from ..priors import StandardGaussian
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MVTCAE(BaseVAE):
    r"""Product of experts that raises a lower bound of total correlation.

    .. math:: \frac{n - \alpha}{n} \, \mathbb{E}_{q_O} \Big[ \sum_{m \in O} \log p(x_m \mid z)
        \Big] - \beta \Big[ \frac{\alpha}{n} \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m)
        + (1 - \alpha) \, \mathrm{KL}(q_O \,\|\, p) \Big]

    where n is how many modalities a row shows; public code keeps the number of all. The prior is
    not an expert.

    Parameters
    ----------
    alpha : float, default=0.8333333333333334
        From 0 (the ELBO of all) to 1 (single posteriors alone regularise); the paper's choice is
        five sixths.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    CRMVAE : Single posteriors must explain their modality too.

    References
    ----------
    Multi-view representation learning via total correlation objective (Hwang, Kim, Hong & Kim,
    2021), Advances in Neural Information Processing Systems 34, equation 9.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVTCAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MVTCAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    covariance: str = "auto"
    free_bits: float = 0.0
    alpha: float = 5 / 6

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "alpha": [Interval(Real, 0, 1, closed="both")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, latent_dim = pieces.gaussian(), pieces.latent_dim
        strategy = pieces.product(family, prior_expert=False)
        model = pieces.model(strategy, StandardGaussian(latent_dim))
        return model, pieces.objective(MVTCAEObjective, alpha=self.alpha)
