"""ModularVAE: every slot of the house open."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

from .._compat import Interval
from ..model import MultimodalVAE
from ..objectives import Objective
from ..posteriors import DiagonalGaussian, Family, Laplace
from ..priors import Laplace as LaplacePrior
from ..priors import Prior, StandardGaussian
from ..private import PrivateLatents
from ..subsets import Subsets
from .base import BaseVAE
from .choices import (
    check_together,
    find_family,
    find_objective,
    find_prior,
    find_strategy,
    find_subsets,
)
from .documentation import documented
from .pieces import Pieces


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class ModularVAE(BaseVAE):
    r"""Put a multimodal VAE together: strategy, posterior, prior, likelihood, objective, subsets.

    Named estimators are settings of this one. A slot takes a name or an object; choices that make
    no sense together are refused when fit is called, with the reason and the nearest that does.
    The names of the original repository are known: "gaussian_poe", "gaussian_moe", "vmf_poe" and
    "permutation_invariant" as strategies, "diag_gaussian_mixture" as posterior, "ar_elbo" as
    objective.

    Parameters
    ----------
    variational_strategy : str or callable, default="product_of_experts"
        How the modalities that are shown become a posterior: "product_of_experts" (the prior is
        one of them), "product_without_prior", "mixture_of_experts", "joint_encoder",
        "set_encoder", "subset_encoders", "product_with_stand_ins"; or a callable that makes a
        ``Strategy`` of (pieces, family, latent_dim).
    variational_posterior : str or Family, default="diag_gaussian"
        "diag_gaussian", "full_gaussian", "laplace", "student_t", "vmf_product",
        "power_spherical_product", or an instance.
    prior : str or Prior, default="standard_gaussian"
        "standard_gaussian", "scaled_gaussian", "laplace", "uniform_hyperspherical",
        "gaussian_mixture" (ten components), "vamp" (ten pseudo-inputs), or an instance, whose
        ``latent_dim`` is that of the model.
    objective : str or Objective, default="elbo"
        "elbo", "stl_elbo", "mmvae_elbo", "iwae", "loose_iwae", "dreg_iwae", "jvi", "mvae_elbo",
        "dmvae_elbo", "aligned_elbo", "jmvae", "autoregressive_elbo", "vaevae", "mvtcae",
        "crmvae", "mmvm", or an instance, which keeps its own settings.
    unstructured_encoder : bool, default=False
        Whether one joint encoder takes the place of the strategy. Its evidence counts once.
    subsets : str, int, array-like of shape (n_subsets, n_modalities) or Subsets, default="auto"
        Components of the posterior: "full", "singletons", "powerset", so many sampled ones, or a
        0/1 matrix. "auto" is "singletons" for a mixture of experts, else "full".
    n_subsets : int, default=0
        With "mvae_elbo" and "dmvae_elbo": random subsets a row and step.
    private_dim : int, default=0
        Private latent variables of each modality.
    n_spheres : int, default=5
        Of spherical posteriors, which take this and ``sphere_dim`` instead of ``latent_dim``.
    sphere_dim : int, default=4
        Dimension of each sphere.
    joint_encoder : callable or None, default=None
        Of "subset_encoders": factory ``(n_in, n_out) -> nn.Module`` of the joint encoder.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    PoEVAE : The settings that work best by measurement.

    References
    ----------
    The papers of the named estimators.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import ModularVAE
    >>> rng = np.random.default_rng(0)
    >>> X = {"rna": rng.normal(size=(20, 4)), "protein": rng.normal(size=(20, 2))}
    >>> est = ModularVAE(
    ...     variational_strategy="gaussian_moe",
    ...     objective="mmvae_elbo",
    ...     latent_dim=3,
    ...     max_iter=2,
    ...     random_state=0,
    ... ).fit(X)
    >>> est.transform(X).shape
    (20, 3)
    """

    latent_dim: int | str = "auto"
    free_bits: float = 0.0
    variational_strategy: Any = "product_of_experts"
    variational_posterior: Any = "diag_gaussian"
    prior: Any = "standard_gaussian"
    objective: Any = "elbo"
    unstructured_encoder: bool = False
    subsets: Any = "auto"
    n_subsets: int = 0
    private_dim: int = 0
    n_spheres: int = 5
    sphere_dim: int = 4
    joint_encoder: Any = None

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "variational_strategy": [str, callable],
        "variational_posterior": [str, Family],
        "prior": [str, Prior],
        "objective": [str, Objective],
        "unstructured_encoder": ["boolean"],
        "subsets": [str, Interval(Integral, 1, None, closed="left"), "array-like", Subsets],
        "n_subsets": [Interval(Integral, 0, None, closed="left")],
        "private_dim": [Interval(Integral, 0, None, closed="left")],
        "n_spheres": [Interval(Integral, 1, None, closed="left")],
        "sphere_dim": [Interval(Integral, 1, None, closed="left")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        family = find_family(self)
        prior = find_prior(self, pieces)
        objective = find_objective(self, pieces)
        check_together(self, family, prior, objective, pieces.n_modalities)
        strategy = find_strategy(self, pieces, family, prior.latent_dim)
        subsets = find_subsets(self, objective, pieces.n_modalities)
        return pieces.model(strategy, prior, subsets, self._private(pieces, family)), objective

    def _private(self, pieces: Pieces, family: Family) -> PrivateLatents | None:
        size = int(self.private_dim)
        if not size:
            return None
        if isinstance(family, Laplace):
            auxiliary = [LaplacePrior(size) for _ in pieces.names]
            own: Prior = LaplacePrior(size, learn_scale=False)
            return PrivateLatents(family, pieces.encoders(family, size), own, auxiliary)
        gaussian = DiagonalGaussian()
        return PrivateLatents(gaussian, pieces.encoders(gaussian, size), StandardGaussian(size))
