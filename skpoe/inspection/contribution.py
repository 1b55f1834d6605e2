"""How much each modality tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from ..acquisition import information_told
from ..data.batch import Batch
from ..data.source import Source
from ..estimators.face import BaseMultimodal
from ..estimators.wrapped import find_estimator
from ..model import MultimodalVAE
from ..random import RowNoise
from .canvas import COLORS, choose, legend_above, shorten, take_axes


class ModalityContributionDisplay:
    r"""How many nats each modality tells about z, alone and beside the others.

    .. math:: \text{alone: } \mathrm{KL}(q(z \mid x_m) \,\|\, p(z)), \qquad
        \text{beside the others: } \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus m}))

    of each row that shows modality m, with O all that it shows; bars are means over these rows. A
    modality that tells much alone and little beside the others repeats what they say. One that
    tells much more beside the others than alone corrects them: posteriors given parts are surer
    than they should be. In closed form for Gaussian and von Mises-Fisher posteriors, else
    averages over draws. Of private latent variables nothing is counted.

    Make it by :meth:`from_estimator`; what it shows are its attributes.

    Parameters
    ----------
    alone, beside : ndarray of shape (n_samples, n_modalities)
        Nats; NaN where a row does not show the modality.
    modality_names : list of str

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : tuple of matplotlib BarContainer
        Alone, and beside the others.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MultimodalFactorAnalysis
    >>> from skpoe.inspection import ModalityContributionDisplay
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(200, 1))
    >>> X = {"sharp": z + 0.1 * rng.normal(size=(200, 3)), "dull": z + rng.normal(size=(200, 3))}
    >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(X)
    >>> display = ModalityContributionDisplay.from_estimator(est, X)
    >>> sharp, dull = display.beside.mean(axis=0)
    >>> bool(sharp > dull)
    True
    """

    def __init__(
        self, *, alone: np.ndarray, beside: np.ndarray, modality_names: Sequence[str]
    ) -> None:
        self.alone = alone
        self.beside = beside
        self.modality_names = list(modality_names)

    @property
    def means(self) -> pd.DataFrame:
        """Means over the rows that show a modality, by modality; NaN where none does."""
        parts = {"alone": self.alone, "beside the others": self.beside}
        return pd.DataFrame(
            {label: pd.DataFrame(nats).mean() for label, nats in parts.items()}
        ).set_axis(self.modality_names)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_draws: int = 100,
        subsample: int | float | None = 1000,
        random_state: Any = 0,
        ax: Any = None,
        bar_kwargs: dict | None = None,
    ) -> ModalityContributionDisplay:
        """Compute and draw the contributions.

        Parameters
        ----------
        estimator : fitted estimator, a Pipeline that ends in one, or a search over one
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``.
        n_draws : int, default=100
            Over which it is averaged, where there is no closed form.
        subsample : int, float or None, default=1000
            So many rows at most, such a share of them, or all.
        random_state : int, RandomState or None, default=0
            Chooses them.
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        bar_kwargs : dict, default=None
            For ``Axes.barh``.

        Returns
        -------
        display : ModalityContributionDisplay
        """
        estimator, X = find_estimator(estimator, X, f"{cls.__name__} is about")
        source = estimator._read(X)
        rows = choose(len(source), subsample, random_state)
        display = cls.from_source(estimator, source.take(rows), n_draws)
        return display.plot(ax, bar_kwargs=bar_kwargs)

    @classmethod
    def from_source(
        cls, estimator: BaseMultimodal, source: Source, n_draws: int = 100
    ) -> ModalityContributionDisplay:
        """Compute the contributions in rows that have been read."""

        def told(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            return [*information_told(model, batch, noise.fold("told"), n_draws)]

        n_held = 1 if estimator.model_.strategy.family.has_kl else n_draws
        absent = ~source.observed()
        parts = [part.astype(np.float64) for part in estimator._predict(source, told, n_held)]
        for part in parts:
            part[absent] = np.nan
        return cls(alone=parts[0], beside=parts[1], modality_names=estimator.modality_names_)

    def plot(
        self, ax: Any = None, *, bar_kwargs: dict | None = None
    ) -> ModalityContributionDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; those of a new figure when None.
        bar_kwargs : dict, default=None
            For ``Axes.barh``.

        Returns
        -------
        display : ModalityContributionDisplay
        """
        ax = take_axes(self, ax)
        at = np.arange(len(self.modality_names))
        self.bars_ = tuple(
            ax.barh(
                at + shift,
                np.nan_to_num(self.means[label]),
                **{"height": 0.38, "color": color, "label": label, **(bar_kwargs or {})},
            )
            for color, label, shift in zip(COLORS, self.means, (-0.2, 0.2), strict=False)
        )
        ax.set_yticks(at, [shorten(name) for name in self.modality_names])
        ax.invert_yaxis()
        ax.set(xlabel="information about z (nats a row)", ylabel="modality")
        legend_above(ax, fontsize="small")
        return self
