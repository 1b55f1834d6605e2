"""What people see while they wait; results go to stdout, all else to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..estimators.predicting import watched

_WIDTH = 30
# what takes less needs no bar
_SECONDS = 1.0


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

    @contextmanager
    def predicting(self, text: str) -> Iterator[None]:
        """Say what is going on, and draw a bar of the rows that predictions have done."""
        self.note(text)
        if not self.shows:
            yield
            return
        began, last, has_drawn = time.monotonic(), 0, False

        def tell(n_done: int, n_all: int) -> None:
            nonlocal began, last, has_drawn
            now = time.monotonic()
            if n_done < last:  # another prediction
                began = now
            last = n_done
            if has_drawn or now - began > _SECONDS:
                has_drawn = True
                _draw(n_done, n_all, "row", now - began)

        try:
            with watched(tell):
                yield
        finally:
            if has_drawn:
                print(file=sys.stderr)

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
            took = time.monotonic() - self.began
            _draw(self.n_done, self.n_all or self.n_done, "epoch", took)
        return False

    def teardown(self, estimator: Any, context: Any) -> None:
        print(file=sys.stderr)


def _draw(n_done: int, n_all: int, what: str, seconds: float) -> None:
    """Draw a bar over the last one; ``seconds`` is what it took so far."""
    filled = _WIDTH * n_done // n_all
    left = seconds / n_done * (n_all - n_done)
    bar = "#" * filled + "." * (_WIDTH - filled)
    text = f"\r[{bar}] {what} {n_done:,} of {n_all:,}, {left:.0f} s left "
    print(text, end="", file=sys.stderr, flush=True)
