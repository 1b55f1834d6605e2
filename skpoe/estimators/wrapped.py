"""The estimator of this library that stands behind Pipelines and searches."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .face import BaseMultimodal


def find_estimator(estimator, X, who) -> tuple[BaseMultimodal, Any]:
    """Find the fitted estimator that is asked, and X as it reaches it.

    Parameters
    ----------
    estimator : estimator of this library, a Pipeline that ends in one, or a search over either
    X : whatever the outermost takes
    who : str
        What asks, and what it does with an estimator: "CrossModal scores".

    Raises
    ------
    TypeError
        If there is none.
    NotFittedError
    """
    while not isinstance(estimator, BaseMultimodal):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            X = estimator[:-1].transform(X) if len(estimator) > 1 and X is not None else X
            estimator = estimator[-1]
        else:
            what = "an estimator of skpoe, or a Pipeline whose last step is one"
            raise TypeError(f"{who} {what}; got {estimator!r}.")
    check_is_fitted(estimator)
    return estimator, X
