"""The command line: a thin caller of the estimators."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .demo import run_demo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, default=None
        Those of the process when None.

    Returns
    -------
    status : int
        0 when all went well.
    """
    parser = argparse.ArgumentParser(
        prog="python -m skpoe", description="Multimodal VAEs with the face of scikit-learn."
    )
    parser.add_argument("--version", action="version", version=f"skpoe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="fill in the lower halves of handwritten digits, against linear models",
        description="Train on handwritten digits cut into two halves, a third of the lower halves "
        "missing; fill in lower halves that no model saw; compare; search; draw.",
    )
    demo.add_argument("--out", type=Path, default=Path("skpoe-demo"), help="folder for pictures")
    demo.add_argument(
        "--max-iter", type=int, default=None, help="epochs of each fit (default: the estimators')"
    )
    chosen = parser.parse_args(arguments)
    run_demo(chosen.out, max_iter=chosen.max_iter, say=print)
    return 0
