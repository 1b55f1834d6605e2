"""MMVAE (Shi, Siddharth, Paige & Torr, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from .._compat import StrOptions
from ..model import MultimodalVAE
from ..objectives import IWAE, Objective
from ..posteriors import DiagonalGaussian, Family, Laplace
from ..priors import Laplace as LaplacePrior
from ..priors import Prior, ScaledGaussian
from ..subsets import Subsets
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MMVAE(BaseVAE):
    r"""Mixture of experts: the posterior is one modality's at a time.

    .. math:: \frac{1}{n} \sum_{m \in O} \mathbb{E}_{z_k \sim q_m} \log \frac{1}{K} \sum_{k=1}^K
        \frac{p(x_O \mid z_k) \, p(z_k)}{\frac{1}{n} \sum_{j \in O} q_j(z_k \mid x_j)}

    Every modality must explain all that a row shows. This is the paper's looser bound; with
    ``bound="tight"`` the logarithm is of the average over all experts. Draws are stratified, K
    from each expert, and judged by the density of the mixture.

    Parameters
    ----------
    posterior : {"laplace", "gaussian"}, default="laplace"
        Experts and prior. The prior's scales are learned, their mean is one.
    bound : {"loose", "tight"}, default="loose"
        The paper's looser or tighter bound.
    gradient : {"iwae", "dreg"}, default="dreg"
        "dreg", the doubly reparameterised gradient, is the paper's. It is derived for draws of the
        density that judges them; here a draw of one expert is judged by the mixture, so it is
        biased, with less noise. "iwae" is unbiased.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MoPoE : A mixture of products of experts.
    MMVAEPlus : With private latent variables.

    References
    ----------
    Variational mixture-of-experts autoencoders for multi-modal deep generative models (Shi,
    Siddharth, Paige & Torr, 2019), https://arxiv.org/abs/1911.03393, equation 3 and appendix A.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MMVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MMVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    posterior: str = "laplace"
    bound: str = "loose"
    gradient: str = "dreg"
    n_samples: int = 30

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "posterior": [StrOptions({"laplace", "gaussian"})],
        "bound": [StrOptions({"loose", "tight"})],
        "gradient": [StrOptions({"iwae", "dreg"})],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, prior = learned_scale(self.posterior, pieces.latent_dim)
        strategy = pieces.product(family, prior_expert=False)
        model = pieces.model(strategy, prior, Subsets.singletons(pieces.n_modalities))
        return model, pieces.objective(IWAE, mixture=self.bound, gradient=self.gradient)


def learned_scale(posterior: str, latent_dim: int) -> tuple[Family, Prior]:
    """Experts of a kind, and the prior of their kind with learned scales."""
    if posterior == "laplace":
        return Laplace(), LaplacePrior(latent_dim)
    return DiagonalGaussian(), ScaledGaussian(latent_dim)
