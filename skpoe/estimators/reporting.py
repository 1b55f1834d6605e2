"""A page about a fitted estimator, the same for every one."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any


class ReportingMixin:
    """Writes a report; what is on it stands in ``skpoe.inspection.report``."""

    def report(
        self,
        X: Any,
        path: str | os.PathLike[str] = "report.html",
        *,
        y: Any = None,
        held_out: Any = None,
        max_rows: int = 1000,
        random_state: Any = 0,
    ) -> Path:
        """Write a report to one file of HTML that opens in any browser, without a network.

        On it: the parameters and what "auto" came to; rows, features and what is missing; the loss
        curve and what is wrong with it; how well each modality is predicted from the others (of
        one modality, hidden entries from the rest), beside column means and, where that is cheap,
        factor analysis; how often intervals cover; maps of the latent variables; how much each
        modality tells. The same call writes the same file.

        Parameters
        ----------
        X : list, tuple or dict of tables; Modalities; array or DataFrame
            As in ``fit``: the rows that the report is about.
        path : str or path-like, default="report.html"
            A file there is replaced when all of the new one is written.
        y : array-like of shape (n_samples,), default=None
            Numbers or classes of the rows of X, to colour a map by.
        held_out : same type as X, default=None
            Rows that the estimator was not trained on, to measure predictions on. The rows of X
            when None, and the report says so.
        max_rows : int, default=1000
            So many rows at most are scored and drawn, chosen at random, fewer of wide data; the
            report says so.
        random_state : int, RandomState or None, default=0
            Chooses them.

        Returns
        -------
        path : Path
            Of the file.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If y has another length than X, or max_rows is less than 2.
        ImportError
            Without matplotlib: ``pip install 'skpoe[plots]'``.
        OSError
            When the file cannot be written; an old one stays as it was.
        """
        # a room of the same floor, which knows the estimators
        from ..inspection.report import write_report

        if not isinstance(max_rows, Integral) or max_rows < 2:
            raise ValueError(f"max_rows must be an integer of at least 2; got {max_rows!r}.")
        return write_report(
            self,  # type: ignore[arg-type]
            X,
            path,
            y=y,
            held_out=held_out,
            max_rows=int(max_rows),
            random_state=random_state,
        )
