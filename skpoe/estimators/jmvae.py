"""JMVAE (Suzuki, Nakayama & Matsuo, 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from .._compat import Interval
from ..model import MultimodalVAE
from ..objectives import AlignedELBO, Objective
from ..posteriors import DiagonalGaussian
from ..priors import StandardGaussian
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class JMVAE(BaseVAE):
    r"""Joint multimodal VAE: a joint encoder, and single encoders that are drawn to it.

    .. math:: \mathbb{E}_{q(z \mid x_O)} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \beta \, \mathrm{KL}(q(z \mid x_O) \,\|\, p)
        - \alpha \sum_{m \in O} \mathrm{KL}(q(z \mid x_O) \,\|\, q_m(z \mid x_m))

    This is the paper's JMVAE-kl. The joint encoder also reads which entries are shown, so that it
    serves any subset of two modalities or more; single modalities have encoders of their own.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the distances of the single posteriors.
    joint_encoder : callable or None, default=None
        Factory ``(n_in, n_out) -> nn.Module`` of the joint encoder, which reads the values of all
        modalities and their masks: n_in is twice the number of features.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    VAEVAE : The same encoders; the single posteriors regularise the joint one.
    PoEVAE : The joint posterior is the product of the single ones.

    References
    ----------
    Joint multimodal learning with deep generative models (Suzuki, Nakayama & Matsuo, 2016),
    https://arxiv.org/abs/1611.01891, section 3.3, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import JMVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = JMVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    free_bits: float = 0.0
    alpha: float = 0.1
    joint_encoder: Any = None

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "alpha": [Interval(Real, 0, None, closed="left")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        strategy = pieces.subset_encoders(DiagonalGaussian())
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim))
        return model, pieces.objective(AlignedELBO, alpha=self.alpha, parts="singles")
