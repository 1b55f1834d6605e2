"""DMVAE (Lee & Pavlovic, 2020)."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import MultimodalVAE
from ..objectives import Objective, SubsetELBO
from ..posteriors import DiagonalGaussian
from ..priors import StandardGaussian
from ..private import PrivateLatents
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class DMVAE(BaseVAE):
    r"""Product of experts with private latent variables for each modality.

    The objective is the mean of an ELBO from the joint posterior of the shared variables and one
    from each single posterior; each must explain all that the row shows, with the private
    variables of every observed modality:

    .. math:: \mathbb{E}_{q_s(z \mid x_s) \prod_m q_m(w_m \mid x_m)} \Big[ \sum_{m \in O}
        \log p(x_m \mid z, w_m) \Big] - \beta \Big[ \mathrm{KL}(q_s \,\|\, p)
        + \sum_{m \in O} \mathrm{KL}(q_m(w_m) \,\|\, p) \Big]

    The prior is one of the experts of every posterior (public code leaves it out of the single
    ones). The paper sums the terms; here they are averaged.

    Parameters
    ----------
    private_dim : int, default=5
        Private latent variables of each modality.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MVAE : Without private variables.
    MMVAEPlus : A mixture of experts with private variables.

    References
    ----------
    Private-shared disentangled multimodal VAE for learning of hybrid latent representations (Lee &
    Pavlovic, 2020), https://arxiv.org/abs/2012.13024, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import DMVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = DMVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    private_dim: int = 5
    free_bits: float = 0.0

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family = DiagonalGaussian()
        strategy = pieces.product(family)
        own = pieces.encoders(family, self.private_dim)
        private = PrivateLatents(family, own, StandardGaussian(self.private_dim))
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim), private=private)
        return model, pieces.objective(SubsetELBO, scores="observed")
