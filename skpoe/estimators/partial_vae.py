"""Partial VAE (Ma et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from .._compat import Interval, StrOptions
from ..model import MultimodalVAE
from ..objectives import ELBO, Objective
from ..posteriors import DiagonalGaussian
from ..priors import StandardGaussian
from ..strategies import SetEncoder
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class PartialVAE(BaseVAE):
    r"""VAE with a permutation-invariant encoder over the observed entries.

    Each observed entry is read together with a learned vector that says which feature it is; the
    sum of what is read is encoded. Nothing is imputed on the way in, so a hole is not a zero, and
    the evidence of an entry does not depend on its place:

    .. math:: q(z \mid x_O) = \mathcal{N}(f(c)), \quad c = \sum_{d \in O} h(s_d), \quad
        s_d = x_d \, e_d \ (\text{"pointnet\_plus"}) \ \text{or} \ [x_d, e_d]

    The objective is the ELBO of what is observed. Public code fixes the decoder's noise, for data
    in [0, 1]; here it is learned.

    Parameters
    ----------
    latent_dim : int or "auto", default=10
        Number of latent variables. "auto" is half the number of features, at most 64.
    set_encoder : {"pointnet_plus", "pointnet"}, default="pointnet_plus"
        How an entry and its vector meet: multiplied, or side by side.
    embedding_dim : int, default=20
        Length of the vector of a feature, and of the sum.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MIWAE : An encoder that reads zeros and a mask.

    References
    ----------
    EDDI: efficient dynamic discovery of high-value information with partial VAE (Ma et al., 2019),
    https://arxiv.org/abs/1809.11142, section 3.2, equations 2 and 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import PartialVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = PartialVAE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = 10
    free_bits: float = 0.0
    set_encoder: str = "pointnet_plus"
    embedding_dim: int = 20
    hidden_layer_sizes: Sequence[int] = (100, 50)

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "set_encoder": [StrOptions({"pointnet_plus", "pointnet"})],
        "embedding_dim": [Interval(Integral, 1, None, closed="left")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family, size = DiagonalGaussian(), int(self.embedding_dim)
        strategy = SetEncoder(
            family,
            pieces.joint_encoder(family, size),
            pieces.n_features,
            kind=self.set_encoder,
            embedding_dim=size,
            n_summary=size,
            generator=pieces.generator,
        )
        model = pieces.model(strategy, StandardGaussian(pieces.latent_dim))
        return model, pieces.objective(ELBO)
