"""What each modality of one row says of z, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from ..data.batch import Batch
from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..estimators.wrapped import find_estimator
from ..metrics import predictive_draws
from ..model import MultimodalVAE
from ..random import RowNoise
from .canvas import COLORS, NEUTRAL, add_legend, shorten, take_axes
from .latent import draw_boundary
from .projections import Projection, on_sphere, spheres_of

# of a Gaussian in two dimensions, the ellipse of this radius holds 90 %
_RADIUS = (-2 * np.log(0.1)) ** 0.5
# cells on a side of the grid on which the exact posterior is computed
_N_GRID = 80


class PosteriorDisplay:
    """The posteriors of one row given each modality alone and given all it shows, and the prior.

    Two latent variables are drawn: dots are draws, and an ellipse holds 90 % of a Gaussian that
    has the mean and covariance of the draws. Where the model has just two, a dashed line holds
    90 % of the true posterior, in proportion to p(x, z). On a sphere, draws are on the map of
    :class:`LatentDisplay`; on a circle, each posterior has a ring of its own.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    draws : dict of str to ndarray of shape (n_draws, 2)
        Places of draws: of the prior, of the posterior given each modality that the row shows, and
        given all of them where it shows several.
    projection : Projection
        What took z there.
    density : tuple of ndarray or None, default=None
        Grid x (n,), y (n,) and the true posterior density on it, (n, n), rows along y, scaled to
        1 at its peak.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.inspection import PosteriorDisplay
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(100, 2))
    >>> X = {name: z @ rng.normal(size=(2, 3)) + rng.normal(size=(100, 3)) for name in "ab"}
    >>> est = MultimodalFactorAnalysis(latent_dim=2).fit(X)
    >>> list(PosteriorDisplay.from_estimator(est, X, row=3).draws)
    ['prior', 'a', 'b', 'together']
    """

    def __init__(
        self,
        *,
        draws: dict[str, np.ndarray],
        projection: Projection,
        density: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.draws = draws
        self.projection = projection
        self.density = density

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        row: int = 0,
        components: Sequence[int] = (0, 1),
        sphere: int = 0,
        n_draws: int = 1000,
        ax: Any = None,
        scatter_kwargs: dict | None = None,
    ) -> PosteriorDisplay:
        """Draw the posteriors of a row.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        row : int, default=0
            Position of the row in X.
        components : sequence of two int, default=(0, 1)
            Which latent variables, where they are not on spheres.
        sphere : int, default=0
            Which sphere, where there are several.
        n_draws : int, default=1000
            Of each distribution.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : PosteriorDisplay

        Raises
        ------
        ValueError
            If there is no such row, latent variable or sphere, or no second latent variable.
        """
        estimator, X = find_estimator(estimator, X, f"{cls.__name__} shows posteriors of")
        source = estimator._read(X)
        if not isinstance(row, Integral):
            raise ValueError(f"row must be the position of a row, a whole number; got {row!r}.")
        if not -len(source) <= row < len(source):
            raise ValueError(f"row must be a row of X, which has {len(source)}; got {row!r}.")
        one = source.take(np.array([row % len(source)]))
        display = cls.from_source(estimator, one, components, sphere, n_draws)
        return display.plot(ax, scatter_kwargs=scatter_kwargs)

    @classmethod
    def from_source(
        cls,
        estimator: BaseMultimodal,
        source: Source,
        components: Sequence[int] = (0, 1),
        sphere: int = 0,
        n_draws: int = 1000,
    ) -> PosteriorDisplay:
        """Draw from the posteriors of the one row that has been read."""
        size, spheres = estimator.latent_dim_, spheres_of(estimator)
        pair = tuple(components)
        if spheres is None and (len(pair) != 2 or not all(0 <= c < size for c in pair)):
            raise ValueError(
                f"components must be two of the latent variables 0 to {size - 1}; got {pair}. A "
                "model with one latent variable has no such picture."
            )
        shown = np.flatnonzero(source.observed()[0])
        known = {estimator.modality_names_[m]: [m] for m in shown}
        if len(known) != 1:
            known["together"] = list(shown)

        def draw(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[torch.Tensor]:
            keys = torch.arange(n_draws, device=batch.observed.device)
            parts = [model.prior.sample(RowNoise(estimator._seed, keys).fold("prior"))]
            for given in known.values():
                readable = torch.zeros_like(batch.observed)
                readable[:, given] = True
                within = model.subsets.within(batch.observed & readable, noise)
                posterior, z = predictive_draws(model, batch, noise, n_draws, membership=within)
                weights = posterior.log_weights.exp()[:, 0].expand(len(z), -1).flatten()
                z = posterior.shared(z)[:, :, 0].flatten(0, 1)
                parts.append(z[_spread_over(weights, n_draws)])
            return [torch.stack(parts).to(batch.values[0].dtype)[None]]

        z = estimator._predict(source, draw, n_draws)[0][0].astype(np.float64)
        if spheres is not None:
            projection = on_sphere(z[-1], *spheres, sphere)
        else:
            names = tuple(f"latent variable {c + 1}" for c in pair)
            projection = Projection(lambda z: z[:, list(pair)], names)
        draws = dict(zip(["prior", *known], map(projection.transform, z), strict=True))
        display = cls(draws=draws, projection=projection)
        if spheres is None and size == 2 and estimator.model_.private is None and len(shown):
            display.density = _true_density(estimator, source, draws, pair)
        return display

    def plot(self, ax: Any = None, *, scatter_kwargs: dict | None = None) -> PosteriorDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : PosteriorDisplay
        """
        ax = take_axes(self, ax)
        from matplotlib.patches import Ellipse

        if self.density is not None:
            x, y, density = self.density
            ink = ax.xaxis.label.get_color()
            level = [_level_that_holds(0.9, density)]
            ax.contour(x, y, density, levels=level, colors=[ink], linestyles="--", zorder=3)
            ax.plot([], [], color=ink, linestyle="--", label="true posterior")
        is_flat, is_circle = self.projection.boundary is None, self.projection.boundary == 1.0
        for k, (name, points) in enumerate(self.draws.items()):
            color = NEUTRAL if name == "prior" else COLORS[(k - 1) % len(COLORS)]
            look = {"color": color, "s": 4, "alpha": 0.25, "linewidths": 0}
            if is_circle:
                points = points * (1 + 0.12 * k)
            ax.scatter(*points.T, **{**look, **(scatter_kwargs or {})})
            if is_flat:
                values, vectors = np.linalg.eigh(np.cov(points.T))
                width, height = 2 * _RADIUS * np.sqrt(values.clip(min=0))
                angle = np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0]))
                shape = {"facecolor": "none", "edgecolor": color, "linewidth": 2}
                ax.add_patch(Ellipse(points.mean(0), width, height, angle=angle, **shape))
            ax.scatter([], [], color=color, s=30, label=shorten(name))
        ax.set(xlabel=self.projection.axis_labels[0], ylabel=self.projection.axis_labels[1])
        ax.set_aspect("equal", adjustable="datalim")
        if not is_flat and not is_circle:
            draw_boundary(ax, self.projection.boundary)
        add_legend(ax, fontsize="small")
        return self


def _spread_over(weights: torch.Tensor, n_draws: int) -> torch.Tensor:
    """Choose so many of draws by their weights: numbers of the chosen ones, evenly spread."""
    cumulative = weights.cumsum(0)
    at = (torch.arange(n_draws, device=weights.device) + 0.5) / n_draws * cumulative[-1]
    return torch.searchsorted(cumulative, at.to(cumulative)).clamp(max=len(weights) - 1)


def _true_density(
    estimator: BaseMultimodal, source: Source, draws: dict[str, np.ndarray], pair: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute p(x, z) of the row on a grid that holds the draws, in units of its peak."""
    order = list(np.argsort(pair))

    def joint(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[torch.Tensor]:
        z = torch.from_numpy(grid).to(batch.values[0])[:, None, None]  # (K, 1, 1, 2)
        log_joint = model.log_likelihood(z, batch).sum(-1) + model.prior.log_prob(z)
        return [log_joint[:, :, 0].T]

    points = np.concatenate(list(draws.values()))
    low, high = points.min(0), points.max(0)
    for _ in range(2):  # the second time, where the first found anything
        x, y = (np.linspace(a, b, _N_GRID) for a, b in zip(low, high, strict=True))
        grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)[:, order]
        log_joint = estimator._predict(source, joint, len(grid))[0][0]
        density = np.exp(log_joint - log_joint.max()).reshape(_N_GRID, _N_GRID)
        there = [np.flatnonzero((density > 1e-4).any(axis=axis)) for axis in (0, 1)]
        step = (high - low) / (_N_GRID - 1)
        low, high = (
            np.array([v[at[end]] for v, at in zip((x, y), there, strict=True)]) + pad * step
            for end, pad in ((0, -2), (-1, 2))
        )
    return x, y, density


def _level_that_holds(share: float, density: np.ndarray) -> float:
    """Find the height above which such a share of the mass on an even grid lies."""
    falling = np.sort(density, axis=None)[::-1]
    return float(falling[np.searchsorted(falling.cumsum(), share * falling.sum())])
