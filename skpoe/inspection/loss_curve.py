"""How training went."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..estimators.face import BaseMultimodal
from ..estimators.wrapped import find_estimator
from .canvas import COLORS, add_legend, take_axes


class LossCurveDisplay:
    """The loss after each epoch, and on held-out rows where there are any.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    loss : ndarray of shape (n_iter,)
        Nats a row; for factor analysis, minus the log-likelihood before each step.
    validation : ndarray of shape (n_iter,) or None, default=None
        The same of held-out rows, NaN in epochs without any.
    step_name : str, default="epoch"
        What a step is.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.inspection import LossCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> display = LossCurveDisplay.from_estimator(MVAE(max_iter=3, random_state=0).fit(X))
    >>> display.loss.shape, display.ax_.get_ylabel()
    ((3,), 'loss (nats a row)')
    """

    def __init__(
        self, *, loss: np.ndarray, validation: np.ndarray | None = None, step_name: str = "epoch"
    ) -> None:
        self.loss = loss
        self.validation = validation
        self.step_name = step_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, line_kwargs: dict | None = None
    ) -> LossCurveDisplay:
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        line_kwargs : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : LossCurveDisplay
        """
        estimator, _ = find_estimator(estimator, None, f"{cls.__name__} shows")
        return cls.of(estimator).plot(ax, line_kwargs=line_kwargs)

    @classmethod
    def of(cls, estimator: BaseMultimodal) -> LossCurveDisplay:
        """Read the history of a fitted estimator."""
        if not hasattr(estimator, "history_"):
            return cls(loss=-np.array(estimator.loglike_), step_name="step of EM")
        history = estimator.history_
        validation = -np.array([record.get("validation", np.nan) for record in history])
        return cls(
            loss=np.array([record["loss"] for record in history]),
            validation=None if np.isnan(validation).all() else validation,
        )

    def plot(self, ax: Any = None, *, line_kwargs: dict | None = None) -> LossCurveDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        line_kwargs : dict, default=None
            For ``Axes.plot``.

        Returns
        -------
        display : LossCurveDisplay
        """
        ax = take_axes(self, ax)
        steps = np.arange(1, len(self.loss) + 1)
        marker = "." if len(steps) < 30 else None
        look = {"color": COLORS[0], "label": "training rows", "marker": marker}
        self.lines_ = ax.plot(steps, self.loss, **{**look, **(line_kwargs or {})})
        if self.validation is not None:
            look |= {"color": COLORS[1], "label": "held-out rows", "linestyle": "--"}
            self.lines_ += ax.plot(steps, self.validation, **look)
            add_legend(ax)
        ax.set(xlabel=self.step_name, ylabel="loss (nats a row)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        return self
