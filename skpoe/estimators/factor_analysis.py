"""Factor analysis of several modalities, the linear model that all others must beat."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .. import factor_analysis as em
from .._compat import Interval
from ..data.batch import Batch
from ..data.layout import Layout
from ..data.rows import Held, Rows
from ..data.source import Source
from ..device import find_device
from ..factor_analysis import FactorAnalysis, Table
from ..likelihoods import Gaussian
from ..model import MultimodalVAE
from ..nn import LinearPlus
from ..posteriors import FullGaussian
from ..priors import StandardGaussian
from ..strategies import ProductOfExperts
from ..subsets import Subsets
from ..threads import limit_threads
from .documentation import documented
from .face import BaseMultimodal
from .fitting import draw_seed
from .likelihood_choice import refuse_levels
from .parameters import SharedParameters
from .reading import read_rows
from .saving import check_arrays
from .starting import hold_out, most_latent, powers_up_to, shrinkages_of

_SHARED = (
    "latent_dim",
    "shrinkage",
    "modalities",
    "device",
    "n_threads",
    "verbose",
    "random_state",
)


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class MultimodalFactorAnalysis(BaseMultimodal):
    r"""Factor analysis of tables with holes, by expectation-maximisation; all answers are exact.

    .. math:: x_m = \mu_m + W_m z + \epsilon_m, \quad z \sim \mathcal{N}(0, I), \quad
        \epsilon_m \sim \mathcal{N}(0, \mathrm{diag}(\psi_m))

    One table or several modalities, any pattern of missing entries. It is what a
    product-of-experts VAE with a full covariance is when its networks are linear, has the same
    methods, and is where ``PoEVAE`` and ``MIWAE`` start. ``score_samples`` is the log-likelihood
    itself, not a bound.

    Latent variables are turned so that given all of x they are independent, the best known first.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Number of factors. "auto" tries 1, 2, 4 and so on up to the number of features less one,
        half the number of rows and 128, and takes that under which held-out rows are likeliest.
    shrinkage : float or "auto", default="auto"
        Share rho of the data, from 0 to below 1, that independent features with the same variances
        stand for: the covariance S becomes (1 - rho) S + rho diag(S). "auto" takes the one of 0,
        .01, .03, .1, .2, .4 and .6 under which held-out rows are likeliest.
    max_iter : int, default=500
        Most steps of expectation-maximisation.
    tol : float, default=0.001
        Smallest change of the log-likelihood in a step that counts, nats per sample.
    %(parameters)s

    Attributes
    ----------
    components_ : ndarray of shape (latent_dim, n_features)
        Loadings W in the data's units, the features of all modalities side by side.
    mean_ : ndarray of shape (n_features,)
    noise_variance_ : ndarray of shape (n_features,)
        At least .00276 times the variance of the feature.
    shrinkage_ : float
        The one that was used.
    auto_ : dict
        What was used for the parameters that may be "auto".
    loglike_ : list of float
        Mean log-likelihood before each step, nats per sample, in the data's units.
    n_iter_ : int
        Number of steps.
    model_ : MultimodalVAE
        The same model as a torch module.
    latent_dim_ : int
        Number of factors.
    modality_names_ : list of str
        Names of the modalities.
    n_features_in_ : int
        Number of features of all modalities together.
    feature_names_in_ : ndarray of str
        Column names, when X was one DataFrame.

    See Also
    --------
    PoEVAE : Starts here, and goes on with networks.

    References
    ----------
    EM algorithms for ML factor analysis (Rubin & Thayer, 1982), Psychometrika 47, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(60, 1))
    >>> rna, protein = z + 0.1 * rng.normal(size=(60, 4)), -z + 0.1 * rng.normal(size=(60, 2))
    >>> protein[:20] = np.nan
    >>> fa = MultimodalFactorAnalysis(latent_dim=1).fit([rna, protein])
    >>> filled = fa.predict_missing([rna, protein])
    >>> bool(np.corrcoef(filled[1][:20, 0], -z[:20, 0])[0, 1] > 0.9)
    True
    """

    latent_dim: int | str = "auto"
    shrinkage: float | str = "auto"
    max_iter: int = 500
    tol: float = 1e-3
    modalities: Any = None
    device: Any = None
    n_threads: int | None = None
    verbose: int = 0
    random_state: Any = 0

    _parameter_constraints = {
        **{name: SharedParameters._parameter_constraints[name] for name in _SHARED},
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def _train(self, X, y, sample_weight):
        def likelihoods_for(layout: Layout, source: Source) -> list[Gaussian]:
            refuse_levels(layout, type(self).__name__)
            return [Gaussian(reach=math.inf) for _ in layout.names]

        source, layout, likelihoods, weight = read_rows(self, X, sample_weight, likelihoods_for)
        seed = draw_seed(self.random_state)
        with limit_threads(self.n_threads), torch.no_grad():
            raw = Batch.from_arrays(source[:]).only([x.seen for x in likelihoods])
            batch = raw.map([x.standardise for x in likelihoods]).to(find_device(self.device))
            table = Table.of(batch, weight)
            rows = Rows(Held(batch), table.weights)
            most = most_latent(len(rows.keys().unique()), table.x.shape[1])
            kept, held = (table.take(part) for part in hold_out(rows, seed))
            latent_dim, shrinkage = self._choose(most, kept, held)
            fitted, scores = em.fit(table, latent_dim, shrinkage, self.max_iter, self.tol)
            fitted = fitted.canonical()
            scores = [score - _log_unit(batch, likelihoods, weight) for score in scores]
            model = linear_model(fitted, likelihoods).to(find_device(self.device))
        if len(scores) == self.max_iter and not settled(scores, self.tol):
            warnings.warn(
                f"The log-likelihood of {type(self).__name__} was still changing by more than "
                f"tol={self.tol} a step when max_iter={self.max_iter} steps were over. Increase "
                "max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )
        if self.verbose:
            sys.stdout.write(f"{len(scores)} steps, {scores[-1]:.4f} nats a row\n")
        spread = np.concatenate([x.spread.cpu().numpy() for x in likelihoods])
        found = {
            "components": (fitted.loadings.cpu().numpy() * spread[:, None]).T,
            "mean": np.concatenate([x.shift.cpu().numpy() for x in likelihoods]),
            "noise_variance": fitted.noise.cpu().numpy() * spread**2,
            "shrinkage": shrinkage,
            "loglike": scores,
            "n_iter": len(scores),
        }
        self._set(model, layout, seed, found)

    def _choose(self, most: int, kept: Table, held: Table) -> tuple[int, float]:
        dims = powers_up_to(most) if self.latent_dim == "auto" else [int(self.latent_dim)]
        shrinkages = shrinkages_of(self.shrinkage)
        if len(dims) * len(shrinkages) == 1:
            return dims[-1], shrinkages[0]
        latent_dim, shrinkage, _ = em.choose(kept, held, dims, shrinkages)
        return latent_dim, shrinkage

    # what a file holds of a fit beside weights: see saving
    _kept = {
        "seed": int,
        "shrinkage": float,
        "loglike": list,
        "components": np.ndarray,
        "mean": np.ndarray,
        "noise_variance": np.ndarray,
    }

    def _keep(self):
        names = [name for name in self._kept if name != "seed"]
        return {"seed": self._seed, **{name: getattr(self, f"{name}_") for name in names}}

    def _recompose(self, kept, layout, likelihoods):
        return compose_linear(likelihoods, len(kept["components"])), None

    def _settle(self, kept, layout, model, objective, moments):
        size, width = model.latent_dim, sum(layout.widths)
        shapes = {"components": (size, width), "mean": (width,), "noise_variance": (width,)}
        check_arrays(kept, shapes)
        model.has_started = True
        self._set(model, layout, kept["seed"], {**kept, "n_iter": len(kept["loglike"])})

    def _set(self, model, layout, seed, found):
        """Set the fitted attributes."""
        self.model_ = model
        self.modality_names_ = list(layout.names)
        self.latent_dim_ = self._n_features_out = model.latent_dim
        for name in ("components", "mean", "noise_variance", "shrinkage", "loglike", "n_iter"):
            setattr(self, f"{name}_", found[name])
        self.auto_ = {"latent_dim": model.latent_dim, "shrinkage": found["shrinkage"]}
        self._layout, self._seed = layout, seed

    def _log_likelihood(self, source, target, given):
        # exact, as both terms are
        both, one = (self._bounds(source.show(known)) for known in ([*target, *given], given))
        return (both - one) * source.observed()[:, target].any(axis=1)

    def get_covariance(self):
        """Give the covariance of x under the model, the features of all modalities side by side.

        Returns
        -------
        covariance : ndarray of shape (n_features, n_features)
        """
        return self.components_.T @ self.components_ + np.diag(self.noise_variance_)

    def conditional_covariance(self, X):
        """Give the covariance of what each row lacks given what it shows.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.

        Returns
        -------
        covariances : list of ndarray of shape (n_missing, n_missing)
            One a row, noise included, in the order of the features of all modalities side by side.
            Rows that show the same entries share one array.
        """
        source = self._read(X)
        known: dict[bytes, np.ndarray] = {}
        W, covariances = self.components_.T, []
        for rows in source.chunks():
            for missing in np.isnan(np.concatenate(source[rows], axis=1)):
                key = missing.tobytes()
                if key not in known:
                    W_o, noise_o = W[~missing], self.noise_variance_[~missing]
                    precision = np.eye(self.latent_dim_) + W_o.T @ (W_o / noise_o[:, None])
                    spread = W[missing] @ np.linalg.solve(precision, W[missing].T)
                    known[key] = spread + np.diag(self.noise_variance_[missing])
                covariances.append(known[key])
        return covariances


def _log_unit(batch: Batch, likelihoods: Sequence[Gaussian], weight: torch.Tensor) -> float:
    """Average over rows the logarithm of the unit in which what they show is standardised."""
    per_row = sum(
        (mask * likelihood.spread.log().to(mask.device)).sum(-1)
        for mask, likelihood in zip(batch.masks, likelihoods, strict=True)
    )
    return float((per_row * weight.to(per_row)).sum() / weight.sum())


def settled(scores: list[float], tol: float) -> bool:
    """Whether the last step changed little; with a shrinkage the likelihood of the data falls."""
    return len(scores) > 1 and abs(scores[-1] - scores[-2]) <= tol


def linear_model(fitted: FactorAnalysis, likelihoods: list[Gaussian]) -> MultimodalVAE:
    """Write a factor analysis of standardised modalities as a model of the library."""
    model = compose_linear(likelihoods, fitted.loadings.shape[1])
    model.start_at(fitted)
    return model.eval()


def compose_linear(likelihoods: list[Gaussian], latent_dim: int) -> MultimodalVAE:
    """Put a linear model together; its maps are zero."""
    widths = [x.width for x in likelihoods]
    encoders = [LinearPlus(width, latent_dim) for width in widths]
    decoders = [LinearPlus(latent_dim, width) for width in widths]
    family = FullGaussian()
    generator = torch.Generator()  # what it draws is not looked at; the global one stays
    shared = [family.shared(width, latent_dim, generator) for width in widths]
    strategy = ProductOfExperts(family, encoders, shared=shared)
    prior, subsets = StandardGaussian(latent_dim), Subsets.full(len(widths))
    return MultimodalVAE(strategy, prior, decoders, likelihoods, subsets).double().eval()
