"""What people see while they wait; results go to stdout, all else to stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

_WIDTH = 30


class Console:
    """Progress on stderr, where somebody looks at it.

    Parameters
    ----------
    quiet : bool
        Whether to show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.shows = not quiet and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Say what is going on."""
        if self.shows:
            print(text, file=sys.stderr, flush=True)

    def watch(self, estimator: Any) -> None:
        """Draw a bar of the epochs of the next fit, where scikit-learn has callbacks."""
        if self.shows and hasattr(estimator, "set_callbacks"):
            estimator.set_callbacks(_Bar())


class _Bar:
    """A callback of scikit-learn: epochs done, and the time that the others will take."""

    def setup(self, estimator: Any, context: Any) -> None:
        self.n_done, self.n_all, self.began = 0, context.max_subtasks, time.monotonic()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        if context.task_name == "fit":
            self.n_all, self.began = context.max_subtasks, time.monotonic()

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        if context.task_name == "epoch":
            self.n_done += 1
            n_all = self.n_all or self.n_done
            left = (time.monotonic() - self.began) / self.n_done * (n_all - self.n_done)
            filled = _WIDTH * self.n_done // n_all
            bar = "#" * filled + "." * (_WIDTH - filled)
            text = f"\r[{bar}] epoch {self.n_done} of {n_all}, {left:.0f} s left "
            print(text, end="", file=sys.stderr, flush=True)
        return False

    def teardown(self, estimator: Any, context: Any) -> None:
        print(file=sys.stderr)
