"""The command that judges a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..estimators import load
from ..evaluation import evaluate_imputation
from ..io.tables import write_files
from .command import Command, Parser, Result
from .console import Console
from .inputs import add_data, content_of, read_data
from .options import add_common, add_model, refuse_old, set_draws, share


def _evaluate_options(parser: Parser) -> None:
    add_model(parser, draws=True)
    parser.add_argument(
        "--hide",
        choices=["modalities", "entries"],
        default="modalities",
        help="each modality in turn, in all rows, or some entries (default: %(default)s)",
    )
    parser.add_argument(
        "--rate",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="of the known entries that are hidden, by --hide entries (default: %(default)s)",
    )
    parser.add_argument(
        "--coverage",
        type=share,
        default=0.9,
        metavar="COVERAGE",
        help="nominal, of the intervals (default: %(default)s)",
    )
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="SEED", help="which entries are hidden"
    )
    parser.add_argument("--out", metavar="FILE", help="file for the scores of each column")
    add_data(parser, fits=False)
    add_common(parser)


def _evaluate(arguments: argparse.Namespace, console: Console) -> Result:
    est, out = load(arguments.model), arguments.out and Path(arguments.out)
    set_draws(est, arguments)
    if out:
        refuse_old([out], arguments.force, tables=True)
    data = read_data(arguments, est)
    with console.predicting(f"Hiding {arguments.hide}"):
        scores = evaluate_imputation(
            est,
            data.X,
            hide=arguments.hide,
            rate=arguments.rate,
            coverage=arguments.coverage,
            random_state=arguments.random_state,
        )
    by_modality = scores.groupby(level="modality", sort=False)
    means = by_modality[["relative_error", "accuracy", "coverage"]].mean()
    means.insert(0, "n_hidden", by_modality["n_hidden"].sum())
    document = {
        "hide": arguments.hide,
        "nominal_coverage": arguments.coverage,
        "modalities": means.to_dict(orient="index"),
        "columns": scores.reset_index().to_dict(orient="records"),
    }
    text = (
        means.to_string(float_format="{:.3f}".format, na_rep="-")
        + "\nMeans over columns; relative_error is the squared error over that of the column mean."
    )
    if out:
        table = scores.reset_index(level="column").astype({"column": str})
        write_files({out: content_of(out, table, table.index)})
        document, text = {**document, "out": str(out)}, f"{text}\nWrote {out}"
    return Result(text, document)


EVALUATE = Command(
    "evaluate",
    "hide what is known, fill it in, and compare",
    "Hide entries that are known, fill them in, and compare. Take rows that the model was not "
    "trained on.",
    _evaluate_options,
    _evaluate,
)
