"""From the words of the command line to a command, and from errors to exit codes."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from .. import __version__
from .command import Result, UsageError
from .console import Console
from .demo import DEMO
from .evaluate import EVALUATE
from .fit import FIT
from .predict import IMPUTE, SAMPLE, SCORE, TRANSFORM
from .report import REPORT

COMMANDS = [FIT, TRANSFORM, IMPUTE, SAMPLE, SCORE, EVALUATE, REPORT, DEMO]

_FAILED, _INTERRUPTED = 1, 130
# what the user can mend
_TOLD = (ValueError, TypeError, KeyError, OSError, ImportError, FloatingPointError, MemoryError)


class _Parser(argparse.ArgumentParser):
    """Knows near matches of what it does not know."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **how})

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action, f"{value!r} is none of {', '.join(known)}{_near(str(value), known)}"
            )

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say which words nobody asked for."""
        word = unknown[0].partition("=")[0]
        options = [option for action in self._actions for option in action.option_strings]
        self.error(f"{word} is no option of {self.prog}{_near(word, options)}")


def _near(word: str, known: Iterable[str]) -> str:
    lower = {one.lower(): one for one in known}
    near = [lower[one] for one in difflib.get_close_matches(word.lower(), lower, cutoff=0.5)]
    return f". Did you mean {' or '.join(near)}?" if near else ""


def _build() -> _Parser:
    parser = _Parser(
        prog="skpoe",
        description="Multimodal variational autoencoders for data with missing modalities.",
        epilog="Exit codes: 0, all went well; 1, data or files are not as they should be; 2, the "
        "command line is not; 130, interrupted. skpoe COMMAND --help tells the options, and "
        "skpoe fit ESTIMATOR --help the parameters of an estimator.",
    )
    parser.add_argument("--version", action="version", version=f"skpoe {__version__}")
    kinds = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    for command in COMMANDS:
        one = kinds.add_parser(command.name, help=command.about, description=command.description)
        one.set_defaults(parser=one, run=command.run)
        command.add_options(one)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Those of the process when None.

    Returns
    -------
    status : int
        0 when all went well, 1 when data or files are not as they should be, 130 when somebody
        interrupted it.

    Raises
    ------
    SystemExit
        With 2 where the command line asks for what there is not; with 0 after help.
    """
    words = [_spelled(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    chosen, unknown = _build().parse_known_args(words)
    if unknown:
        chosen.parser.refuse(unknown)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            result = chosen.run(chosen, Console(quiet=chosen.quiet))
        except UsageError as error:
            chosen.parser.error(str(error))
        except KeyboardInterrupt:
            print("skpoe: interrupted", file=sys.stderr)
            return _INTERRUPTED
        except _TOLD as error:
            if chosen.debug:
                raise
            print(f"skpoe: error: {_told(error)}", file=sys.stderr)
            return _FAILED
    _tell(result, as_json=chosen.json)
    return _INTERRUPTED if result.interrupted else 0


def _spelled(word: str) -> str:
    """Take --latent_dim for --latent-dim: parameters are spelled so in Python."""
    option, equals, value = word.partition("=")
    return option.replace("_", "-") + equals + value if word.startswith("--") else word


def _show_warning(message: Any, category: Any, *where: Any) -> None:
    print(f"skpoe: warning: {message}", file=sys.stderr)


def _told(error: BaseException) -> str:
    """Say an error in one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(text).split()) or type(error).__name__


def _tell(result: Result, *, as_json: bool) -> None:
    text = json.dumps(_plain(result.document), allow_nan=False) if as_json else result.text
    try:
        print(text, end="\n" if text else "", flush=True)
    except BrokenPipeError:  # whoever read has seen enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(value: Any) -> Any:
    """Say a value as JSON can: what is not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
