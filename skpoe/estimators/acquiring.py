"""Which measurement is worth its cost, the same for every estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .._compat import _get_output_config
from ..acquisition import expected_gains
from ..data.batch import Batch
from ..data.layout import Layout
from ..data.modalities import index_of
from ..data.source import Source
from ..model import MultimodalVAE
from ..random import RowNoise
from .naming import find_features

# draws that expectations are taken over
_N_DRAWS = 100


class AcquisitionMixin:
    """Expected information of what rows lack, for an estimator that predicts."""

    n_importance_samples: int
    modality_names_: list[str]
    _layout: Layout
    _read: Callable[[Any], Source]
    _predict: Callable[..., list[np.ndarray]]
    _warn_of_few: Callable[[np.ndarray, int], None]

    def acquire(self, X, candidates=None, target=None, costs=None):
        r"""Give the information that measuring each candidate is expected to add to each row.

        .. math:: \mathbb{E}_{x_c} \mathrm{KL}(q(z \mid x_O, x_c) \,\|\, q(z \mid x_O)) -
            \mathbb{E}_{x_c, x_t} \mathrm{KL}(q(z \mid x_O, x_t, x_c) \,\|\, q(z \mid x_O, x_t))

        Nothing is measured: x_c and x_t are drawn given what the row shows, as by ``impute``, 100
        times (``n_importance_samples`` times if that is more), the same draws for all candidates.
        It is how much candidate c is expected to say of target t. Without a target, the second
        term is absent: how much it is expected to say of z. Of private latent variables nothing
        is counted.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``; any entry may be NaN, and a whole modality None.
        candidates : list or None, default=None
            What may be measured: names (as in ``modality_names_``) or positions of modalities, or
            tuples of a modality and a column of it, by label or position. Of a modality, all that
            a row lacks is measured. All modalities that hold nothing of the target when None.
        target : str, int, tuple, list of them or None, default=None
            What one wants to know, in the same words.
        costs : dict, array-like of shape (n_candidates,) or None, default=None
            What each candidate costs, positive, by which its information is divided; 1 when None.

        Returns
        -------
        gains : ndarray or DataFrame of shape (n_samples, n_candidates)
            Nats per unit of cost; a DataFrame after ``set_output(transform="pandas")``. Averages
            over draws: those below zero, where information never is, are given as zero. Zero where
            a row lacks nothing of the candidate, or nothing of the target.

        Warns
        -----
        UserWarning
            As ``impute``.

        Raises
        ------
        ValueError
            If a name is unknown, a candidate holds some of the target, there is no candidate, or
            a cost is absent or not positive.

        References
        ----------
        EDDI: efficient dynamic discovery of high-value information with partial VAE (Ma et al.,
        2019), https://arxiv.org/abs/1809.11142, section 3.3.

        Examples
        --------
        >>> import numpy as np
        >>> from skpoe import MultimodalFactorAnalysis
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(200, 1))
        >>> X = {"exact": z + 0.1 * rng.normal(size=(200, 1)),
        ...      "rough": z + 1.0 * rng.normal(size=(200, 1)),
        ...      "outcome": z + 0.3 * rng.normal(size=(200, 1))}
        >>> est = MultimodalFactorAnalysis(latent_dim=1).fit(X)
        >>> row = {"exact": np.full((1, 1), np.nan), "rough": None, "outcome": None}
        >>> gains = est.acquire(row, target="outcome")
        >>> gains.shape, bool(gains[0, 0] > gains[0, 1])
        ((1, 2), True)
        """
        source = self._read(X)
        wanted = None if target is None else self._features_of_target(target)
        names, marked = self._candidates(candidates, wanted)
        prices = _prices(costs, names)
        n_draws = max(_N_DRAWS, self.n_importance_samples)

        def gains_of(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            device = batch.observed.device
            columns = torch.from_numpy(marked).to(device)
            known = None if wanted is None else torch.from_numpy(wanted).to(device)
            return [*expected_gains(model, batch, noise, columns, known, n_draws, n_draws)]

        gains, sizes = self._predict(source, gains_of, n_draws, n_read=n_draws)
        self._warn_of_few(sizes, n_draws)
        gains = gains / prices.astype(gains.dtype)
        if _get_output_config("transform", self)["dense"] != "pandas":
            return gains
        labels = pd.Index(names, tupleize_cols=False)
        return pd.DataFrame(gains, index=index_of(X), columns=labels)

    def _features_of_target(self, target: Any) -> np.ndarray:
        if isinstance(target, list) and not target:
            raise ValueError("target is an empty list. Name what you want to know, or pass None.")
        return find_features(self, target)

    def _candidates(
        self, candidates: Any, wanted: np.ndarray | None
    ) -> tuple[list[Any], np.ndarray]:
        """List candidates as users say them; mark the features of each, (n_candidates, F)."""
        nothing = np.zeros(sum(self._layout.widths), dtype=bool)
        wanted = nothing if wanted is None else wanted
        if candidates is None:
            names = [
                m for m in self.modality_names_ if not (find_features(self, m) & wanted).any()
            ]
        else:
            names = list(candidates) if isinstance(candidates, list) else [candidates]
        if not names:
            raise ValueError(
                "There is no candidate: candidates is an empty list, or None where every modality "
                "holds some of the target. Name modalities, or (modality, column) tuples."
            )
        marked = np.stack([find_features(self, which) for which in names])
        if both := [
            which for which, row in zip(names, marked, strict=True) if (row & wanted).any()
        ]:
            raise ValueError(f"A candidate cannot hold some of the target, but {both} do.")
        return names, marked


def _prices(costs: Any, names: Sequence[Any]) -> np.ndarray:
    """Costs in the order of the candidates, (n_candidates,)."""
    if costs is None:
        return np.ones(len(names))
    if isinstance(costs, Mapping):
        if absent := [name for name in names if name not in costs]:
            raise ValueError(f"costs must have a number for every candidate; {absent} have none.")
        costs = [costs[name] for name in names]
    costs = list(costs) if np.ndim(costs) else [costs]
    if len(costs) != len(names):
        raise ValueError(
            f"costs must have one number for each of {len(names)} candidates; got {len(costs)}."
        )
    for name, cost in zip(names, costs, strict=True):
        if not isinstance(cost, Real) or not 0 < cost < np.inf:
            raise ValueError(f"costs must be positive numbers; that of {name!r} is {cost!r}.")
    return np.array(costs, dtype=np.float64)
