"""MoPoE-VAE (Sutter, Daunhawer & Vogt, 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from .._compat import Interval
from ..model import MultimodalVAE
from ..objectives import ELBO, Objective
from ..priors import StandardGaussian
from ..subsets import MOST_ENUMERATED, Subsets
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces

# of more modalities, training draws so many subsets for each row instead of taking all
_MOST_TRAINED, _SAMPLED = 6, 64


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MoPoE(BaseVAE):
    r"""Mixture of products of experts: one component for every subset of the modalities.

    .. math:: \mathbb{E}_{q(z \mid x)} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \frac{\beta}{|S|} \sum_{s \in S} \mathrm{KL}(q_s \,\|\, p), \quad
        q(z \mid x) = \frac{1}{|S|} \sum_{s \in S} q_s(z \mid x_s)

    where S holds the non-empty subsets of what a row shows and q_s is the product of their
    experts, without the prior as an expert (public code adds it to the full subset alone). Up to
    6 modalities every subset is a component in training; of more, or with ``n_subsets``, so many
    are drawn for each row and step, uniformly, which leaves the objective unbiased. What is
    inferred afterwards is of all subsets up to 12 modalities.

    Parameters
    ----------
    n_subsets : int or None, default=None
        Subsets drawn for each row; None is all of them, or 64 beyond 6 modalities.
    n_drawn : int or None, default=1
        Of these, how many z is drawn from, which is what decoders cost; one in public code, too.
        None is all: more time a step, and less noise.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MMVAE : A mixture of single experts.
    MVAE : A product of all experts.

    References
    ----------
    Generalized multimodal ELBO (Sutter, Daunhawer & Vogt, 2021),
    https://arxiv.org/abs/2105.02470, equations 5 and 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MoPoE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = MoPoE(latent_dim=3, max_iter=2, random_state=0).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    >>> est.predict_missing({"rna": X["rna"], "protein": None})["protein"].shape
    (20, 2)
    """

    latent_dim: int | str = "auto"
    covariance: str = "auto"
    free_bits: float = 0.0
    n_subsets: int | None = None
    n_drawn: int | None = 1

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "n_subsets": [Interval(Integral, 1, None, closed="left"), None],
        "n_drawn": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        n_modalities, n_subsets = pieces.n_modalities, self.n_subsets
        if n_subsets is None and n_modalities > _MOST_TRAINED:
            n_subsets = _SAMPLED
        sampled = None if n_subsets is None else Subsets.sampled(n_modalities, int(n_subsets))
        if n_modalities <= MOST_ENUMERATED:
            subsets = Subsets.powerset(n_modalities)
        else:
            subsets = Subsets.sampled(n_modalities, int(n_subsets or _SAMPLED))
        family, latent_dim = pieces.gaussian(), pieces.latent_dim
        strategy = pieces.product(family, prior_expert=False)
        return pieces.model(strategy, StandardGaussian(latent_dim), subsets), pieces.objective(
            ELBO, subsets=sampled, n_drawn=self.n_drawn
        )
