"""Mistakes, one a line: what is done, on which data, and the words that it is told.

``test_bad_inputs`` makes each, and writes ``docs/mistakes.md`` from them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from .calls import CONTAINER, FILES, METHODS
from .data import DATA_IN_FIT, DATA_LATER, SUPPORT, WEIGHTS
from .parameters import PARAMETERS


class Mistake(NamedTuple):
    """What is done to a fitted estimator with data, and what comes of it."""

    what: str  # unique
    data: Callable[[], Any]
    do: Callable[..., Any]  # takes the fitted estimator, the data and an empty folder
    error: type[Exception]
    words: tuple[str, ...]


PARTS = {
    "Data in `fit`": DATA_IN_FIT,
    "Data after `fit`": DATA_LATER,
    "Values that a likelihood does not know": SUPPORT,
    "`sample_weight`": WEIGHTS,
    "Parameters": PARAMETERS,
    "Methods": METHODS,
    "Files and commands": FILES,
    "`Modalities`": CONTAINER,
}
MISTAKES = {title: [Mistake(*told) for told in part] for title, part in PARTS.items()}
