"""Maps of latent variables in two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from ..data.batch import Batch
from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..model import MultimodalVAE
from ..priors import UniformSphere
from ..random import RowNoise


@dataclass(frozen=True)
class Projection:
    """A map.

    Parameters
    ----------
    transform : callable
        (n, latent_dim_) to (n, 2); NaN for what has no direction.
    axis_labels : tuple of str
    boundary : float or None, default=None
        Radius of the circle around 0 that the map ends at.
    """

    transform: Callable[[np.ndarray], np.ndarray]
    axis_labels: tuple[str, str]
    boundary: float | None = None


def means_of(estimator: BaseMultimodal, source: Source) -> np.ndarray:
    """Give posterior means (N, D); on a sphere, inside it: the shorter, the less sure."""

    def inside(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list:
        posterior = model.posterior(batch, noise=noise)
        weights = posterior.log_weights.exp()[..., None]
        return [(weights * posterior.family.mean(posterior.params)).sum(0)]

    return estimator._predict(source, inside)[0].astype(np.float64)


def spheres_of(estimator: BaseMultimodal) -> tuple[int, int] | None:
    """Tell the number of spheres and of their coordinates; None where z is not on spheres."""
    prior = estimator.model_.prior
    return tuple(prior.eta.shape) if isinstance(prior, UniformSphere) else None


def projection_of(estimator: BaseMultimodal, Z: np.ndarray, sphere: int) -> Projection:
    """Make the map that suits latent variables whose means are Z (n, D)."""
    if (spheres := spheres_of(estimator)) is not None:
        return on_sphere(Z, *spheres, sphere)
    if Z.shape[1] == 1:
        return Projection(
            lambda z: np.column_stack([z[:, 0], np.arange(len(z))]), ("latent variable 1", "row")
        )
    if Z.shape[1] == 2 or len(Z) < 3:  # of fewer rows there are no principal components
        return Projection(lambda z: z[:, :2], ("latent variable 1", "latent variable 2"))
    low, high = np.percentile(Z, [1, 99], axis=0)  # a row that is far out is not all one wants
    pca = PCA(2).fit(Z.clip(low, high))
    first, second = pca.explained_variance_ratio_
    return Projection(
        pca.transform,
        (f"first principal component ({first:.0%})", f"second principal component ({second:.0%})"),
    )


def on_sphere(Z: np.ndarray, n_spheres: int, dim: int, sphere: int) -> Projection:
    """Map one of the spheres that stand side by side in Z.

    A circle is drawn as it is. Others are seen from above their mean direction: the distance from
    the centre is the angle from it (azimuthal equidistant). Beyond two dimensions, the two
    directions are drawn in which rows differ most (principal geodesics through the mean).

    References
    ----------
    Principal geodesic analysis for the study of nonlinear statistics of shape (Fletcher, Lu, Pizer
    & Joshi, 2004), IEEE Transactions on Medical Imaging 23, section III, in the tangent space.
    """
    if not 0 <= sphere < n_spheres:
        raise ValueError(f"sphere must be from 0 to {n_spheres - 1}; got {sphere!r}.")
    part = slice(sphere * dim, (sphere + 1) * dim)
    name = f" of sphere {sphere}" if n_spheres > 1 else ""
    if dim == 2:
        return Projection(lambda z: z[:, part], (f"cosine{name}", f"sine{name}"), 1.0)
    centre = _directions(Z[:, part])
    centre = np.nan_to_num(_directions(np.nanmean(np.nan_to_num(centre), axis=0)[None])[0])
    if not centre.any():
        centre[0] = 1.0
    tangents = log_map(Z[:, part], centre)
    known = tangents[~np.isnan(tangents).any(axis=1)]
    # the tangent space is at right angles to the centre: it has no component along it
    axes = np.linalg.svd(known - known.mean(0) if len(known) else np.eye(dim))[2]
    axes = np.array([axis - (axis @ centre) * centre for axis in axes])
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)

    return Projection(
        lambda z: np.degrees(log_map(z[:, part], centre) @ axes[:2].T),
        (f"angle from the mean direction{name} (degrees)", "angle across (degrees)"),
        180.0,
    )


def log_map(z: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Tangents at the centre (d,) whose lengths are the angles (radians) of z (n, d) from it."""
    z = _directions(z)
    along = (z @ centre)[:, None]
    across = z - along * centre
    length = np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.arctan2(length, along)
    return across * angle / np.where(length > 0, length, 1.0)


def _directions(z: np.ndarray) -> np.ndarray:
    """Scale rows to length one; NaN where there is none."""
    length = np.linalg.norm(z, axis=1, keepdims=True)
    return np.divide(z, length, out=np.full_like(z, np.nan), where=length > 1e-9)
