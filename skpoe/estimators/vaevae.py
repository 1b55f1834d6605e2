"""VAEVAE (Wu & Goodman, 2019), and its product of experts (Kutuzova et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._compat import StrOptions
from ..model import MultimodalVAE
from ..objectives import Objective, VAEVAEObjective
from ..posteriors import DiagonalGaussian
from ..priors import StandardGaussian
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class VAEVAE(BaseVAE):
    r"""The joint posterior stays near the single ones, and those near the prior.

    .. math:: \mathbb{E}_{q_O} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \beta \sum_{m \in O} \mathrm{KL}(q_O \,\|\, q_m)
        + \sum_{m \in O} \big( \mathbb{E}_{q_m} [\log p(x_m \mid z)]
        - \beta \, \mathrm{KL}(q_m \,\|\, p) \big)

    With ``joint="encoder"`` the joint posterior has an encoder of its own, which serves any subset
    of two modalities or more. With ``joint="product"`` it is the product of the experts, and each
    modality alone has a second encoder that stands in for the others (SVAE in the paper of
    Kutuzova et al., here without the name, which the spherical VAE has).

    Parameters
    ----------
    joint : {"encoder", "product"}, default="encoder"
        What the posterior given several modalities is.
    joint_encoder : callable or None, default=None
        Factory ``(n_in, n_out) -> nn.Module`` of the joint encoder, which reads the values of all
        modalities and their masks: n_in is twice the number of features.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    JMVAE : The same encoders; the prior regularises the joint posterior.

    References
    ----------
    Multimodal generative models for compositional representation learning (Wu & Goodman, 2019),
    https://arxiv.org/abs/1912.05075, section 3.

    Multimodal variational autoencoders for semi-supervised learning: in defense of
    product-of-experts (Kutuzova, Krause, McCloskey, Nielsen & Igel, 2021),
    https://arxiv.org/abs/2101.07240, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import VAEVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = VAEVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    free_bits: float = 0.0
    joint: str = "encoder"
    joint_encoder: Any = None

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "joint": [StrOptions({"encoder", "product"})],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        is_product = self.joint == "product"
        make = pieces.product_with_stand_ins if is_product else pieces.subset_encoders
        strategy = make(DiagonalGaussian())
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim))
        return model, pieces.objective(VAEVAEObjective)
