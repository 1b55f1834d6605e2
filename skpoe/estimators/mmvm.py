"""MMVM (Sutter et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import MultimodalVAE
from ..objectives import MMVMObjective, Objective
from ..posteriors import DiagonalGaussian
from ..priors import StandardGaussian
from ..subsets import Subsets
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MMVM(BaseVAE):
    r"""One VAE for each modality, and a prior that is the mixture of all posteriors.

    .. math:: \sum_{m \in O} \mathbb{E}_{q_m} [\log p(x_m \mid z)]
        - \beta \, \mathrm{KL}(q_m \,\|\, h), \quad
        h(z \mid x) = \frac{1}{n + 1} \Big( p(z) + \sum_{j \in O} q_j(z \mid x_j) \Big)

    Nothing is fused: a modality is explained by its own posterior, and the shared prior draws the
    posteriors of a row together. The standard Gaussian is a component of h, so that a row that
    shows nothing has a prior, and the model can be sampled from. ``transform``,
    ``predict_missing`` and ``score`` take h as the posterior. The KL is averaged over draws;
    public code takes the mean of the pairwise KLs, which is larger.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MMVAE : A mixture of experts in which every modality explains all.

    References
    ----------
    Unity by diversity: improved representation learning in multimodal VAEs (Sutter et al., 2024),
    https://arxiv.org/abs/2403.05300, equations 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MMVM
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MMVM(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    free_bits: float = 0.0

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, n_modalities = DiagonalGaussian(), pieces.n_modalities
        strategy = pieces.product(family, prior_expert=False)
        subsets = Subsets.singletons(n_modalities) | Subsets.nothing(n_modalities)
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim), subsets)
        return model, pieces.objective(MMVMObjective)
