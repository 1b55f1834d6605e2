"""MVAE (Wu & Goodman, 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from .._compat import Interval
from ..model import MultimodalVAE
from ..objectives import Objective, SubsetELBO
from ..priors import StandardGaussian
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MVAE(BaseVAE):
    r"""Multimodal VAE: a product of experts trained on sub-sampled ELBOs.

    The objective is the mean of the ELBOs of all modalities together, of each alone, and of
    ``n_subsets`` random subsets; each scores the modalities that it reads:

    .. math:: \mathrm{ELBO}(s) = \mathbb{E}_{q(z \mid x_s)} \Big[ \sum_{m \in s}
        \log p(x_m \mid z) \Big] - \beta \, \mathrm{KL}(q(z \mid x_s) \,\|\, p(z))

    Subsets are taken within what a row shows, count once, and are never empty. The paper sums the
    terms; here they are averaged, which changes the scale of the loss alone.

    Parameters
    ----------
    n_subsets : int, default=0
        Random subsets a row and step, of more than one and fewer than all observed modalities;
        the paper's k.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    PoEVAE : The same model with an objective that predicts missing modalities better.

    References
    ----------
    Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, 2018),
    https://arxiv.org/abs/1802.05335, section 2.1 and equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    covariance: str = "auto"
    free_bits: float = 0.0
    n_subsets: int = 0

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "n_subsets": [Interval(Integral, 0, None, closed="left")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family = pieces.gaussian()
        strategy = pieces.product(family)
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim))
        return model, pieces.objective(SubsetELBO, n_subsets=self.n_subsets)
