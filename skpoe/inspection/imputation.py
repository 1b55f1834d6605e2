"""What was filled in, beside the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.layout import Layout
from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..estimators.naming import find_features
from ..estimators.wrapped import find_estimator
from .canvas import COLORS, NEUTRAL, add_legend, choose, shorten, take_axes


class ImputationDisplay:
    """Hidden cells: what is predicted against the truth, with intervals; or images in rows.

    Of one column, in the data's units. Of several, which may have different ones, each in
    standard deviations of what is known of it, from its mean. Categories whose levels have no
    order are left out.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    y_true, y_pred, low, high : ndarray of shape (n_cells,)
        Truth, prediction and ends of the interval of each hidden cell.
    coverage : float
        Nominal probability of the intervals.
    name : str
        What was predicted.
    unit : str
    images : ndarray of shape (3, n_images, height, width) or (..., 3), default=None
        The truth, what was shown (NaN elsewhere), and what is filled in.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.inspection import ImputationDisplay
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(300, 1))
    >>> truth = {"rna": z + 0.5 * rng.normal(size=(300, 4)), "adt": z + rng.normal(size=(300, 1))}
    >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(truth)
    >>> display = ImputationDisplay.from_estimator(est, {**truth, "adt": None}, truth)
    >>> inside = (display.low <= display.y_true) & (display.y_true <= display.high)
    >>> len(inside), bool(0.8 < inside.mean() < 1)
    (300, True)
    """

    def __init__(
        self,
        *,
        y_true: np.ndarray,
        y_pred: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        coverage: float = 0.9,
        name: str = "hidden cells",
        unit: str = "data's units",
        images: np.ndarray | None = None,
    ) -> None:
        self.y_true = y_true
        self.y_pred = y_pred
        self.low = low
        self.high = high
        self.coverage = coverage
        self.name = name
        self.unit = unit
        self.images = images

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        truth: Any,
        *,
        target: Any = None,
        coverage: float = 0.9,
        image_shape: tuple[int, ...] | None = None,
        n_images: int = 8,
        subsample: int | float | None = 500,
        random_state: Any = 0,
        kind: str = "auto",
        ax: Any = None,
        scatter_kwargs: dict | None = None,
    ) -> ImputationDisplay:
        """Predict what is hidden, and draw it beside the truth.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            Rows with holes.
        truth : same type as X
            The same rows with what is known of those holes; what is NaN here too does not count.
        target : str, int, tuple, list of them or None, default=None
            What is drawn: names or positions of modalities, or tuples of a modality and a column
            of it. All that is hidden when None.
        coverage : float, default=0.9
            Nominal probability of the intervals.
        image_shape : tuple of int, default=None
            (height, width) or (channels, height, width) of the target, where its rows are images
            that came flat.
        n_images : int, default=8
            How many images. No other rows are then predicted.
        subsample : int, float or None, default=500
            So many of the rows with hidden cells at most, such a share of them, or all, and as
            many cells.
        random_state : int, RandomState or None, default=0
            Chooses them.
        kind : {"auto", "scatter", "images"}, default="auto"
            "auto" draws images where the target is one modality of images.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : ImputationDisplay

        Raises
        ------
        ValueError
            If a name is unknown, the target has no hidden cell that has an interval, the coverage
            is not between 0 and 1, or images are asked of what are none.
        """
        est, X = find_estimator(estimator, X, f"{cls.__name__} asks")
        _, truth = find_estimator(estimator, truth, f"{cls.__name__} asks")
        wanted = _features(est, target)
        source, known = est._read_beside(X, truth)
        hidden = _hidden(source, known, wanted)
        at = np.flatnonzero(hidden.any(axis=1))
        shape = _shape_of_images(est._layout, hidden.any(axis=0), image_shape)
        draws_images = shape is not None and kind != "scatter"
        at = at[choose(len(at), n_images if draws_images else subsample, random_state)]
        display = cls.from_source(
            est, source.take(at), known.take(at)[:], target, coverage, image_shape
        )
        display._thin(subsample, random_state)
        return display.plot(ax, kind=kind, scatter_kwargs=scatter_kwargs)

    @classmethod
    def from_source(
        cls,
        estimator: BaseMultimodal,
        source: Source,
        known: list[np.ndarray],
        target: Any = None,
        coverage: float = 0.9,
        image_shape: tuple[int, ...] | None = None,
    ) -> ImputationDisplay:
        """Predict what is hidden in rows that have been read."""
        wanted = _features(estimator, target)
        shown, y = np.hstack(source[:]), np.hstack(known)
        hidden = np.isnan(shown) & ~np.isnan(y) & wanted
        if not hidden.any():
            raise ValueError(
                "No entry of the target is missing in X and known in truth: nothing to compare."
            )
        low, high = (np.hstack(ends) for ends in estimator._intervals(source, coverage))
        guess = np.hstack(estimator._means(source, range(len(known))))
        shape = _shape_of_images(estimator._layout, hidden.any(axis=0), image_shape)
        images = (
            None if shape is None else _images(estimator._layout, hidden, shape, shown, y, guess)
        )
        cells = hidden & ~np.isnan(low)
        columns = np.flatnonzero(cells.any(axis=0))
        unit, shift, scale = "data's units", 0.0, 1.0
        if len(columns) > 1:
            unit = "standard deviations of the column"
            counts = np.maximum((~np.isnan(y)).sum(0), 1)
            shift = np.nansum(y, axis=0) / counts
            scale = np.sqrt(np.nansum((y - shift) ** 2, axis=0) / counts)
            scale = np.where(scale > 0, scale, 1.0)
        told = [((x - shift) / scale)[cells] for x in (y, guess, low, high)]
        names = ("y_true", "y_pred", "low", "high")
        return cls(
            **dict(zip(names, told, strict=True)),
            coverage=coverage,
            name=_name(estimator._layout, columns),
            unit=unit,
            images=images,
        )

    def _thin(self, subsample: int | float | None, random_state: Any) -> None:
        some = choose(len(self.y_true), subsample, random_state)
        for name in ("y_true", "y_pred", "low", "high"):
            setattr(self, name, getattr(self, name)[some])

    def plot(
        self, ax: Any = None, *, kind: str = "auto", scatter_kwargs: dict | None = None
    ) -> ImputationDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        kind : {"auto", "scatter", "images"}, default="auto"
            "auto" draws images where there are any.
        scatter_kwargs : dict, default=None
            For ``Axes.scatter``.

        Returns
        -------
        display : ImputationDisplay
        """
        if kind not in ("auto", "scatter", "images"):
            raise ValueError(f"kind must be 'auto', 'scatter' or 'images'; got {kind!r}.")
        if kind == "images" and self.images is None:
            raise ValueError(
                "kind='images' needs a target that is one modality of images. Name it by target=, "
                "and give image_shape= if its images came flat."
            )
        if kind == "scatter" or self.images is None:
            if not len(self.y_true):
                raise ValueError("No hidden cell of the target has an interval: nothing to draw.")
            ax = take_axes(self, ax)
            self._draw_cells(ax, scatter_kwargs or {})
        else:
            ax = take_axes(self, ax)
            self._draw_images(ax)
        return self

    def _draw_cells(self, ax: Any, kwargs: dict) -> None:
        inside = (self.low <= self.y_true) & (self.y_true <= self.high)
        ends = np.concatenate([self.y_true, self.y_pred])
        ax.plot(
            *[[ends.min(), ends.max()]] * 2,
            color=NEUTRAL,
            linestyle=":",
            label="predicted = truth",
        )
        names = {"inside": (inside, COLORS[0], "o"), "outside": (~inside, COLORS[1], "^")}
        for name, (those, color, marker) in names.items():
            label = f"{name} the {self.coverage:.0%} interval: {those.mean():.0%}"
            look = {"color": color, "marker": marker, "s": 14, "linewidths": 0, "label": label}
            ax.scatter(self.y_true[those], self.y_pred[those], **{**look, "zorder": 3, **kwargs})
            ends = self.low[those], self.high[those]
            ax.vlines(self.y_true[those], *ends, color=color, alpha=0.25, linewidth=1)
        ax.set(
            xlabel=f"hidden truth ({self.unit})",
            ylabel=f"predicted ({self.unit})",
            title=shorten(self.name, 40),
        )
        add_legend(ax, fontsize="small")

    def _draw_images(self, ax: Any) -> None:
        images = self.images
        if images.shape[-1] == 3 and images.ndim == 5:  # what is not shown is grey
            low, high = np.nanmin(images), np.nanmax(images)
            images = np.nan_to_num((images - low) / (high - low or 1.0), nan=0.5).clip(0, 1)
        n_rows, n_images, height, width = images.shape[:4]
        gap = max(1, width // 12)
        rest = images.shape[4:]
        canvas = np.full(
            (n_rows * (height + gap) - gap, n_images * (width + gap) - gap, *rest), np.nan
        )
        for r in range(n_rows):
            for k in range(n_images):
                top, left = r * (height + gap), k * (width + gap)
                canvas[top : top + height, left : left + width] = images[r, k]
        self._show(ax, canvas, height, width, gap, images)

    def _show(
        self, ax: Any, canvas: np.ndarray, height: int, width: int, gap: int, images: np.ndarray
    ) -> None:
        from matplotlib.patches import Rectangle

        if canvas.ndim == 3:  # between images there is nothing
            holes = np.isnan(canvas[..., :1])
            canvas = np.concatenate([np.nan_to_num(canvas), 1.0 - holes], axis=-1)
            ax.imshow(canvas, aspect="equal", interpolation="nearest")
        else:
            ax.imshow(canvas, cmap="gray", aspect="equal", interpolation="nearest")
        n_rows, n_images = images.shape[:2]
        for r in range(n_rows):
            for k in range(n_images):
                corner = (k * (width + gap) - 0.5, r * (height + gap) - 0.5)
                frame = {"fill": False, "edgecolor": NEUTRAL, "linewidth": 0.5}
                ax.add_patch(Rectangle(corner, width, height, **frame))
        centres = np.arange(n_rows) * (height + gap) + (height - 1) / 2
        ax.set_yticks(centres, ["truth", "shown", "filled in"])
        ax.set_xticks([])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        low, high = np.nanmin(self.images), np.nanmax(self.images)
        scale = f"black {low:.3g}, white {high:.3g}, data's units"
        ax.set_xlabel(f"rows of {shorten(self.name, 40)} ({scale})")
        ax.grid(False)


def _features(estimator: BaseMultimodal, target: Any) -> np.ndarray:
    """Mark the features of the target, (F,)."""
    if target is None:
        return np.ones(sum(estimator._layout.widths), dtype=bool)
    return find_features(estimator, target)


def _hidden(source: Source, known: Source, wanted: np.ndarray) -> np.ndarray:
    """Mark what is missing and known, of the features that are wanted: (N, F)."""
    parts = [
        np.isnan(np.hstack(source[rows])) & ~np.isnan(np.hstack(known[rows])) & wanted
        for rows in source.chunks()
    ]
    return np.concatenate(parts)


def _name(layout: Layout, columns: np.ndarray) -> str:
    """Say in few words what columns, of all modalities side by side, are."""
    of = _modalities(layout, columns)
    if len(columns) == 1:
        m = int(of[0])
        return f"{layout.names[m]}: {layout.labels(m)[columns[0] - sum(layout.widths[:m])]}"
    return " + ".join(layout.names[m] for m in of)


def _modalities(layout: Layout, columns: np.ndarray) -> np.ndarray:
    """Tell which modalities columns, of all side by side, are in: distinct numbers."""
    starts = np.cumsum((0, *layout.widths))
    return np.unique(np.searchsorted(starts, columns, side="right") - 1)


def _shape_of_images(
    layout: Layout, hidden: np.ndarray, image_shape: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """Tell the shape of the images that lack any of these features (F,); None if they are none."""
    of = _modalities(layout, np.flatnonzero(hidden))
    if len(of) != 1:
        return None
    m = int(of[0])
    size = layout.sizes[m]
    shape = image_shape or (size if isinstance(size, tuple) else None)
    if shape is None:
        return None
    if int(np.prod(shape)) != layout.widths[m]:
        raise ValueError(
            f"image_shape={shape} has {int(np.prod(shape))} numbers, but modality "
            f"'{layout.names[m]}' has {layout.widths[m]} features."
        )
    return shape if len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3)) else None


def _images(
    layout: Layout,
    hidden: np.ndarray,
    shape: tuple[int, ...],
    shown: np.ndarray,
    truth: np.ndarray,
    guess: np.ndarray,
) -> np.ndarray:
    """Cut images out of rows: truth, shown and filled in, (3, n, H, W) or (3, n, H, W, 3)."""
    m = int(_modalities(layout, np.flatnonzero(hidden.any(axis=0)))[0])
    start = sum(layout.widths[:m])
    x, y, p = (table[:, start : start + layout.widths[m]] for table in (shown, truth, guess))
    rows = np.stack([y, x, np.where(np.isnan(x), p, x)]).reshape(3, len(x), *shape)
    if len(shape) == 2:
        return rows
    return rows[:, :, 0] if shape[0] == 1 else np.moveaxis(rows, 2, -1)
