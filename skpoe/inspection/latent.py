"""Where rows lie in the latent space."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..estimators.wrapped import find_estimator
from .canvas import NEUTRAL, choose, scatter_by, take_axes
from .missingness import describe_pattern
from .projections import Projection, means_of, projection_of


class LatentDisplay:
    """A map of posterior means, coloured by y or by what rows show.

    Two latent variables are drawn as they are, more by their first two principal components. A
    circle is drawn as it is, with the posterior mean inside it: the nearer to the centre, the less
    sure. A sphere is seen from above its mean direction, and the distance from the centre is the
    angle from that direction; beyond two dimensions, in the two directions in which rows differ
    most. What rows that show nothing have on a sphere is no direction: they are not drawn.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    embedding : ndarray of shape (n_samples, 2)
        Places on the map.
    hue : array-like of shape (n_samples,) or None, default=None
        What is told by colour: numbers, or classes.
    hue_name : str or None, default=None
    projection : Projection or None, default=None
        What made the map, to draw others on the same one.
    rows : ndarray of shape (n_samples,) or None, default=None
        Which rows of X they are.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.inspection import LatentDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> est = MVAE(latent_dim=2, max_iter=3, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(est, X, y=X[:, 0] > 0)
    >>> bool(np.allclose(display.embedding, est.transform(X)))
    True
    """

    def __init__(
        self,
        *,
        embedding: np.ndarray,
        hue: Any = None,
        hue_name: str | None = None,
        projection: Projection | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.embedding = embedding
        self.hue = hue
        self.hue_name = hue_name
        self.projection = projection
        self.rows = rows

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        projection: Projection | None = None,
        sphere: int = 0,
        subsample: int | float | None = 1000,
        random_state: Any = 0,
        ax: Any = None,
        scatter_kwargs: dict | None = None,
    ) -> LatentDisplay:
        """Draw where rows lie.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Colours: numbers, or classes. When None, which modalities a row shows.
        projection : Projection, default=None
            That of another display, to draw on the same map; one of these rows when None.
        sphere : int, default=0
            Which sphere, where there are several.
        subsample : int, float or None, default=1000
            So many rows at most, such a share of them, or all.
        random_state : int, RandomState or None, default=0
            Chooses them.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        ValueError
            If y has another length than X, or there is no such sphere.
        """
        estimator, X = find_estimator(estimator, X, f"{cls.__name__} maps the latents of")
        source = estimator._read(X)
        if y is not None and len(y) != len(source):
            raise ValueError(f"y has {len(y)} values, but X has {len(source)} rows.")
        rows = choose(len(source), subsample, random_state)
        some = None if y is None else np.asarray(y)[rows]
        display = cls.from_source(
            estimator, source.take(rows), some, getattr(y, "name", "y"), projection, sphere
        )
        display.rows = rows
        return display.plot(ax, scatter_kwargs=scatter_kwargs)

    @classmethod
    def from_source(
        cls,
        estimator: BaseMultimodal,
        source: Source,
        y: Any = None,
        name: str | None = "y",
        projection: Projection | None = None,
        sphere: int = 0,
    ) -> LatentDisplay:
        """Find the places of rows that have been read."""
        Z = means_of(estimator, source)
        projection = projection or projection_of(estimator, Z, sphere)
        if y is None:
            names = estimator.modality_names_
            y = np.array([describe_pattern(row, names) for row in source.observed()])
            name = "shown"
            if len(names) == 1 and (y == "all").all():
                y = name = None
        return cls(
            embedding=projection.transform(Z),
            hue=y,
            hue_name=None if name is None else str(name),
            projection=projection,
            rows=np.arange(len(Z)),
        )

    def plot(self, ax: Any = None, *, scatter_kwargs: dict | None = None) -> LatentDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : LatentDisplay
        """
        ax = take_axes(self, ax)
        scatter_by(ax, self.embedding, self.hue, self.hue_name, scatter_kwargs or {})
        labels = ("", "") if self.projection is None else self.projection.axis_labels
        ax.set(xlabel=labels[0], ylabel=labels[1])
        if self.projection is not None and self.projection.boundary is not None:
            draw_boundary(ax, self.projection.boundary)
        return self


def draw_boundary(ax: Any, radius: float) -> None:
    """Draw the circle that a map ends at."""
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), color=NEUTRAL, linewidth=1)
    ax.set_aspect("equal")
