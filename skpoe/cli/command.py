"""What a command is, and what it gives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .console import Console

Parser = argparse.ArgumentParser


class UsageError(Exception):
    """The command line asks for something that there is not."""


@dataclass(frozen=True)
class Result:
    """What a command found.

    Parameters
    ----------
    text : str
        For people.
    document : dict
        For machines, as JSON can say it.
    interrupted : bool, default=False
        Whether somebody stopped it, and the result is what there was by then.
    """

    text: str
    document: dict[str, Any]
    interrupted: bool = False


@dataclass(frozen=True)
class Command:
    """A command: its name, a line about it and more, its options, and what it does."""

    name: str
    about: str
    description: str
    add_options: Callable[[Parser], None]
    run: Callable[[argparse.Namespace, Console], Result]
