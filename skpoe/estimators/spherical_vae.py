"""SphericalVAE: hyperspherical latent variables (Davidson et al., 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

from .._compat import Interval, StrOptions
from ..model import MultimodalVAE
from ..objectives import ELBO, IWAE, AlignedELBO, AutoregressiveELBO, Objective, SubsetELBO
from ..posteriors import PowerSpherical, VonMisesFisher
from ..priors import UniformSphere
from .base import BaseVAE
from .documentation import documented
from .pieces import Pieces

_FAMILIES = {"vmf": VonMisesFisher, "power_spherical": PowerSpherical}
_OBJECTIVES: dict[str, type[Objective]] = {
    "aligned_elbo": AlignedELBO,
    "elbo": ELBO,
    "iwae": IWAE,
    "subset_elbo": SubsetELBO,
    "autoregressive_elbo": AutoregressiveELBO,
}


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class SphericalVAE(BaseVAE):
    r"""VAE with latent variables on spheres: a product of von Mises-Fisher experts.

    The prior is uniform on ``n_spheres`` spheres; the posterior given any subset of the modalities
    is a von Mises-Fisher distribution on each. Its natural parameter is a sum, concentration times
    mode of each expert, so nothing observed is the uniform prior, and experts that disagree make a
    posterior that is less sure:

    .. math:: q(z \mid x_s) = \mathrm{vMF}(z \mid \eta_s), \quad
        \eta_s = \sum_{m \in s} \kappa_m(x_m) \, \mu_m(x_m)

    With one modality it is the S-VAE of the paper. Draws and their gradients are exact, at every
    concentration and in every dimension; the estimator that goes with the paper is biased.


    Parameters
    ----------
    n_spheres : int, default=5
        Number of spheres; ``latent_dim_`` is ``n_spheres * (sphere_dim + 1)``.
    sphere_dim : int, default=4
        Dimension of each sphere: 1 is a circle, 2 the surface of a ball.
    posterior : {"vmf", "power_spherical"}, default="vmf"
        Family of the posterior on each sphere. Products of Power Spherical distributions are none
        of their kind, so "power_spherical" takes one modality.
    objective : str, default="aligned_elbo"
        What is maximised: "aligned_elbo", the ELBO of all that a row shows, with the posteriors
        given parts of it pulled towards that given all; "elbo" alone; "iwae", the
        importance-weighted bound of ``n_samples`` draws; "subset_elbo", the objective of ``MVAE``;
        or "autoregressive_elbo", which adds the modalities one after the other. With one modality
        the first two are one.
    n_subsets : int, default=0
        With ``objective="subset_elbo"``: random subsets a row and step, of more than one and fewer
        than all observed modalities; the k of the paper of MVAE.
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    PoEVAE : The same with Gaussian experts.

    References
    ----------
    Hyperspherical variational auto-encoders (Davidson, Falorsi, De Cao, Kipf & Tomczak, 2018),
    https://arxiv.org/abs/1804.00891, sections 3.1 to 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import SphericalVAE
    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(80, 1))
    >>> X = [np.hstack([np.cos(angle), np.sin(angle)]), np.cos(angle + [0, 1, 2])]
    >>> X[1][:20] = np.nan
    >>> est = SphericalVAE(n_spheres=1, sphere_dim=1, max_iter=20, random_state=0).fit(X)
    >>> Z = est.transform(X)
    >>> bool(np.allclose(np.linalg.norm(Z, axis=1), 1))
    True
    """

    free_bits: float = 0.0
    n_spheres: int = 5
    sphere_dim: int = 4
    posterior: str = "vmf"
    objective: str = "aligned_elbo"
    n_subsets: int = 0

    _parameter_constraints = {
        **BaseVAE._parameter_constraints,
        "n_spheres": [Interval(Integral, 1, None, closed="left")],
        "sphere_dim": [Interval(Integral, 1, None, closed="left")],
        "posterior": [StrOptions(set(_FAMILIES))],
        "objective": [StrOptions(set(_OBJECTIVES))],
        "n_subsets": [Interval(Integral, 0, None, closed="left")],
    }

    def _compose(self, pieces: Pieces) -> tuple[MultimodalVAE, Objective]:
        if self.posterior == "power_spherical" and len(pieces.names) > 1:
            raise ValueError(
                "posterior='power_spherical' takes one modality, but X has "
                f"{len(pieces.names)}: a product of Power Spherical experts is none. Take "
                "posterior='vmf'."
            )
        family = _FAMILIES[self.posterior](self.sphere_dim)
        prior = UniformSphere(self.n_spheres, self.sphere_dim)
        model = pieces.model(pieces.product(family, prior.latent_dim), prior)
        more = {"n_subsets": self.n_subsets} if self.objective == "subset_elbo" else {}
        return model, pieces.objective(_OBJECTIVES[self.objective], **more)
