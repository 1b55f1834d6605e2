"""Scorers for scikit-learn's ``scoring=``: what is asked of a model beyond its likelihood.

Each is a picklable callable ``scorer(estimator, X, y=None) -> float``, higher is better. X is what
the estimator takes, with any entry missing; y is ignored by all but ``LatentProbe``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import type_of_target

from .data.source import Source
from .estimators.face import BaseMultimodal
from .estimators.naming import find_target_and_given
from .estimators.wrapped import find_estimator

__all__ = ["Coherence", "ConditionalLogLikelihood", "CrossModal", "LatentProbe", "LogLikelihood"]


class _Scorer(ABC):
    """Finds the estimator that is asked, for a subclass to score."""

    def __call__(self, estimator: Any, X: Any, y: Any = None) -> float:
        """Score a fitted estimator of skpoe, a Pipeline that ends in one, or a search over one."""
        estimator, X = find_estimator(estimator, X, f"{type(self).__name__} scores")
        return self._score(estimator, X, y)

    @abstractmethod
    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        """Score what stands behind Pipelines and searches on X as it reaches it."""


@dataclass(frozen=True)
class LogLikelihood(_Scorer):
    """Log-likelihood of what is observed: the estimator's own ``score``, nats per sample.

    It stands beside other scorers in ``scoring={...}``.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.scorers import LogLikelihood
    >>> X = list(np.random.default_rng(0).normal(size=(2, 20, 3)))
    >>> est = MVAE(max_iter=2, random_state=0).fit(X)
    >>> LogLikelihood()(est, X) == est.score(X)
    True
    """

    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        return est.score(X)


@dataclass(frozen=True)
class _FromGivenToTarget(_Scorer):
    """What scorers share that predict some modalities from others."""

    target: str | int | Sequence[str | int]
    given: str | int | Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        for field in ("target", "given"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, (str, Integral)):
                object.__setattr__(self, field, tuple(value))  # a scorer can be hashed

    def _read(self, est: BaseMultimodal, X: Any) -> tuple[list[int], list[int], Source]:
        """Positions of target and given, and the rows that show some of the target."""
        target, given = find_target_and_given(est, self.target, self.given)
        source = est._read(X)
        rows = source.observed()[:, target].any(axis=1)
        if not rows.any():
            raise ValueError(f"No row of X shows anything of the target {self.target!r}.")
        return target, given, source if rows.all() else source.take(rows)


@dataclass(frozen=True)
class ConditionalLogLikelihood(_FromGivenToTarget):
    r"""Log-likelihood of some modalities given others, nats per row.

    .. math:: \log \frac{1}{K} \sum_{k=1}^K p(x_{target} \mid z_k),
        \quad z_k \sim q(z \mid x_{given})

    over the observed entries of the target, with K = the estimator's ``n_importance_samples``
    (exact of a factor analysis; the estimator's own ``log_likelihood``),
    averaged over the rows that show at least one entry of the target. Rows that show nothing of
    ``given`` are among them; their posterior is the prior.

    Parameters
    ----------
    target : str, int or sequence of them
        Name (as in ``modality_names_``) or position of the modality to predict.
    given : str, int, sequence of them or None, default=None
        What it is predicted from; all other modalities when None.

    Raises
    ------
    ValueError
        If a name is unknown, a modality is in both, either is empty, or no row shows the target.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.scorers import ConditionalLogLikelihood
    >>> X = dict(zip(["rna", "adt"], np.random.default_rng(0).normal(size=(2, 20, 3))))
    >>> est = MVAE(max_iter=2, random_state=0).fit(X)
    >>> ConditionalLogLikelihood("adt")(est, X) < 0
    True
    """

    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        target, given, source = self._read(est, X)
        return float(est._log_likelihood(source, target, given).mean())


@dataclass(frozen=True)
class CrossModal(_FromGivenToTarget):
    r"""How well some modalities are predicted from others that were measured too.

    The target is hidden, ``predict_missing`` fills it in, and that is compared with the target's
    observed cells, column by column; the score is the mean over columns. Rows that show no cell of
    the target are not used. Rows that show nothing of ``given`` are: their posterior is the prior.

    Parameters
    ----------
    target : str, int or sequence of them
        Name (as in ``modality_names_``) or position of the modality to predict.
    given : str, int, sequence of them or None, default=None
        What it is predicted from; all other modalities when None.
    metric : {"r2", "neg_root_mean_squared_error", "neg_log_loss", "accuracy"}, default="r2"
        Of each column that has observed cells x, with predictions p:

        - "r2": :math:`1 - \sum (x - p)^2 / \sum (x - \bar x)^2`, with the mean of the cells that
          are scored. Columns whose cells do not vary are left out.
        - "neg_root_mean_squared_error": in the data's units.
        - "neg_log_loss": for cells of 0 and 1, nats per cell; p is clipped by the dtype's eps.
        - "accuracy": share of the cells that p is equal to, rounded to whole numbers: for flags
          and levels.

    Raises
    ------
    ValueError
        If a name or the metric is unknown, a modality is in both, either is empty, no row of X
        shows the target, no column of it varies ("r2"), or it is not 0 and 1 ("neg_log_loss").

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import PoEVAE
    >>> from skpoe.scorers import CrossModal
    >>> z = np.random.default_rng(0).normal(size=(60, 1))
    >>> X = {"rna": z * [1, 2, 3], "adt": z * [-1, 1]}
    >>> est = PoEVAE(max_iter=50, random_state=0).fit(X)
    >>> CrossModal("adt")(est, X) > 0.8
    True
    """

    metric: str = "r2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric not in _METRICS:
            raise ValueError(f"metric must be one of {list(_METRICS)}; got {self.metric!r}.")

    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        target, given, source = self._read(est, X)
        hidden = source.show(given)
        scores = []
        for m, guess in zip(target, est._means(hidden, target), strict=True):
            for x, p in zip(source.one(m)[:][0].T, guess.T, strict=True):
                observed = ~np.isnan(x)
                x, p = x[observed].astype(np.float64), p[observed]
                # equal cells, not a sum of squares of zero: rounding keeps that from zero
                if len(x) and (self.metric != "r2" or x.min() < x.max()):
                    scores.append(_METRICS[self.metric](x, p))
        if not scores:
            raise ValueError(
                f"R2 needs a column that varies, but no column of the target {self.target!r} has "
                "two different observed values in X. Score more rows, or take another metric."
            )
        return float(np.mean(scores))


@dataclass(frozen=True)
class Coherence(_FromGivenToTarget):
    """How often a classifier finds y in a modality that is made up from others.

    The target is hidden, ``predict_missing`` fills it in, and the classifier, which has learned y
    from real targets, reads that. A model is coherent if what it makes up of a digit's image from
    its sound, say, shows that digit.

    Parameters
    ----------
    target : str or int
        Name (as in ``modality_names_``) or position of the modality that is made up.
    given : str, int, sequence of them or None, default=None
        What it is made up from; all other modalities when None.
    classifier : fitted classifier
        Of y, from arrays (n, F) of the target as the estimator reads it.

    Raises
    ------
    ValueError
        As :class:`CrossModal`; if y is None, or the classifier is, or there are several targets.

    References
    ----------
    Variational mixture-of-experts autoencoders for multi-modal deep generative models (Shi et al.,
    2019), https://arxiv.org/abs/1911.03393, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skpoe import PoEVAE
    >>> from skpoe.scorers import Coherence
    >>> y = np.repeat([0, 1], 30)
    >>> noise = np.random.default_rng(0).normal(size=(60, 5))
    >>> X = {"rna": noise[:, :3] + 5 * y[:, None], "adt": noise[:, 3:] - 5 * y[:, None]}
    >>> est = PoEVAE(max_iter=20, random_state=0).fit(X)
    >>> judge = LogisticRegression().fit(X["adt"], y)
    >>> Coherence("adt", classifier=judge)(est, X, y) > 0.9
    True
    """

    classifier: Any = None

    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        if y is None or self.classifier is None:
            raise ValueError(
                "Coherence needs y and a classifier of it, fitted on the target; got "
                f"{'no y' if y is None else 'classifier=None'}."
            )
        target, given = find_target_and_given(est, self.target, self.given)
        if len(target) > 1:
            raise ValueError(f"Coherence has one target; got {self.target!r}.")
        source = est._read(X)
        hidden = source.show(given)
        made_up = est._means(hidden, target)[0]
        return float(np.mean(self.classifier.predict(made_up) == np.asarray(y)))


@dataclass(frozen=True)
class LatentProbe(_Scorer):
    """How well y can be read off the latent variables of X by a linear model.

    The mean score over three folds of a model that is fitted on standardised ``transform(X)``, so
    it sees the rows that are scored and no others. The folds are shuffled with a fixed seed
    (stratified for classes), so the score repeats and data sorted by y do no harm.

    Parameters
    ----------
    estimator : classifier or regressor, default=None
        Cloned, and judged by its own ``score``. When None: ``Ridge`` (R2) if y is continuous,
        else ``LogisticRegression`` (accuracy). Whole numbers are classes; pass ``Ridge()`` where
        they are amounts.

    Raises
    ------
    ValueError
        If y is None.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe import MVAE
    >>> from skpoe.scorers import LatentProbe
    >>> y = np.repeat([0, 1], 30)
    >>> X = list(np.random.default_rng(0).normal(size=(2, 60, 3)) + 5 * y[:, None])
    >>> est = MVAE(latent_dim=2, max_iter=20, random_state=0).fit(X)
    >>> LatentProbe()(est, X, y) > 0.9
    True
    """

    estimator: BaseEstimator | None = None

    def _score(self, est: BaseMultimodal, X: Any, y: Any) -> float:
        if y is None:
            raise ValueError("LatentProbe needs y; got None. Pass it beside X.")
        probe = self.estimator
        if probe is None:
            continuous = type_of_target(y, input_name="y").startswith("continuous")
            probe = Ridge() if continuous else LogisticRegression(max_iter=1000)
        Folds = StratifiedKFold if is_classifier(probe) else KFold
        folds = Folds(3, shuffle=True, random_state=0)
        model = make_pipeline(StandardScaler(), probe)
        scores = cross_val_score(model, est.transform(X), y, cv=folds, error_score="raise")
        return float(np.mean(scores))


def _neg_log_loss(x: np.ndarray, p: np.ndarray) -> float:
    if len(wrong := x[(x != 0) & (x != 1)]):
        raise ValueError(f"neg_log_loss needs a target of 0 and 1, but there is {wrong[0]:g}.")
    eps = np.finfo(p.dtype).eps
    p = p.astype(np.float64).clip(eps, 1.0 - eps)
    return float(np.log(np.where(x == 1, p, 1.0 - p)).mean())


_METRICS = {
    "r2": r2_score,
    "neg_root_mean_squared_error": lambda x, p: -root_mean_squared_error(x, p),
    "neg_log_loss": _neg_log_loss,
    "accuracy": lambda x, p: float(np.mean(np.rint(p) == x)),
}
