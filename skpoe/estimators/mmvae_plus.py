"""MMVAE+ (Palumbo, Daunhawer & Vogt, 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from .._compat import StrOptions
from ..model import MultimodalVAE
from ..objectives import IWAE, Objective
from ..priors import Laplace, Prior, ScaledGaussian, StandardGaussian
from ..private import PrivateLatents
from ..subsets import Subsets
from .base import BaseVAE
from .documentation import documented
from .mmvae import learned_scale
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MMVAEPlus(BaseVAE):
    r"""Mixture of experts with private latent variables for each modality.

    .. math:: \log w = \sum_{j \in O} \log p(x_j \mid \cdot) + \beta \Big[ \log p(u_m)
        + \log p(w_m) - \log \tfrac{1}{n} \sum_{j \in O} q_j(u_m \mid x_j)
        - \log q_m(w_m \mid x_m) \Big]

    The shared u_m and the private w_m come from modality m, which is decoded from both. Another
    modality j is decoded from u_m and a draw of an auxiliary prior r_j with learned scales, so
    what is private to m cannot help j: what they share must pass through u. The objective averages
    over m the logarithm of the average of K weights, as in MMVAE.

    Parameters
    ----------
    private_dim : int, default=5
        Private latent variables of each modality.
    posterior : {"laplace", "gaussian"}, default="laplace"
        Experts and prior. The scales of the prior of the shared variables are learned, their mean
        is one.
    bound : {"loose", "tight"}, default="loose"
        As in MMVAE.
    gradient : {"iwae", "dreg"}, default="dreg"
        As in MMVAE: "dreg" is the paper's, and biased for a mixture.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MMVAE : Without private variables.
    DMVAE : A product of experts with private variables.

    References
    ----------
    MMVAE+: enhancing the generative quality of multimodal VAEs without compromises (Palumbo,
    Daunhawer & Vogt, 2023), https://openreview.net/forum?id=sdQGxouELX, equation 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MMVAEPlus
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MMVAEPlus(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    private_dim: int = 5
    posterior: str = "laplace"
    bound: str = "loose"
    gradient: str = "dreg"
    n_samples: int = 10

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "posterior": [StrOptions({"laplace", "gaussian"})],
        "bound": [StrOptions({"loose", "tight"})],
        "gradient": [StrOptions({"iwae", "dreg"})],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, prior = learned_scale(self.posterior, pieces.latent_dim)
        strategy = pieces.product(family, prior_expert=False)
        own: Prior
        if self.posterior == "laplace":
            own = Laplace(self.private_dim, learn_scale=False)
            auxiliary: list[Prior] = [Laplace(self.private_dim) for _ in pieces.names]
        else:
            own = StandardGaussian(self.private_dim)
            auxiliary = [ScaledGaussian(self.private_dim) for _ in pieces.names]
        private = PrivateLatents(family, pieces.encoders(family, self.private_dim), own, auxiliary)
        subsets = Subsets.singletons(pieces.n_modalities)
        model = pieces.model(strategy, prior, subsets, private)
        return model, pieces.objective(IWAE, mixture=self.bound, gradient=self.gradient)
