"""The command that shows what the library does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..demo import run_demo
from .command import Command, Parser, Result
from .console import Console
from .options import add_common


def _demo_options(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, default=Path("skpoe-demo"), help="folder for pictures")
    parser.add_argument(
        "--max-iter", type=int, default=None, help="epochs of each fit (default: the estimators')"
    )
    add_common(parser, writes=False)


def _demo(arguments: argparse.Namespace, console: Console) -> Result:
    def say(line: str) -> None:
        print(line, file=sys.stderr if arguments.json else None)

    errors = run_demo(arguments.out, max_iter=arguments.max_iter, say=say)
    return Result("", {"relative_errors": errors})


DEMO = Command(
    "demo",
    "fill in the lower halves of handwritten digits, against linear models",
    "Train on handwritten digits cut into two halves, a third of the lower halves missing; "
    "fill in lower halves that no model saw; compare; search; draw.",
    _demo_options,
    _demo,
)
