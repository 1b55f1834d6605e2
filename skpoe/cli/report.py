"""The command that writes a report."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..estimators import load
from .command import Command, Parser, Result
from .console import Console
from .inputs import add_data, read_data
from .options import add_common, add_model, positive, refuse_old


def _report_options(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        default=Path("report.html"),
        help="the page (default: %(default)s)",
    )
    parser.add_argument(
        "--max-rows",
        type=positive,
        default=1000,
        metavar="N",
        help="rows that are scored and drawn, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="SEED", help="which rows these are"
    )
    add_data(parser, fits=False)
    add_common(parser)


def _report(arguments: argparse.Namespace, console: Console) -> Result:
    est, out = load(arguments.model), arguments.out
    refuse_old([out], arguments.force)
    data = read_data(arguments, est)
    with console.predicting("Measuring and drawing"):
        est.report(data.X, out, max_rows=arguments.max_rows, random_state=arguments.random_state)
    return Result(f"Wrote {out}", {"out": str(out)})


REPORT = Command(
    "report",
    "describe a model and its data on one page of HTML",
    "Describe a model and data on one page of HTML, which needs no network: what is missing, how "
    "training went, errors and coverage of predictions, maps, what each modality tells.",
    _report_options,
    _report,
)
