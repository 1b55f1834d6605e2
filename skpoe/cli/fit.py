"""The command that trains."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from ..estimators import all_estimators, load
from ..io.container import require_safetensors
from .command import Command, Parser, Result, UsageError
from .console import Console
from .inputs import add_data, cut, read_data
from .options import add_common, refuse_old
from .parameters import add_parameters, parameters_of


def _fit_options(parser: Parser) -> None:
    kinds = parser.add_subparsers(
        dest="estimator", metavar="ESTIMATOR", required=True, title="estimators"
    )
    for name, cls in all_estimators():
        about = (cls.__doc__ or "").split("\n", 1)[0]
        one = kinds.add_parser(
            name,
            help=about,
            description=f"{about} It is fitted, and written to --out.",
            usage=f"skpoe fit {name} [-h] --out MODEL --modality NAME=FILE ... [options]",
        )
        one.add_argument("--out", required=True, metavar="MODEL", help="file for the fitted model")
        one.add_argument(
            "--start-from", metavar="MODEL", help="model that is trained further, as by warm_start"
        )
        add_data(one, fits=True)
        add_common(one)
        add_parameters(one, cls)
        one.set_defaults(parser=one)


def _fit(arguments: argparse.Namespace, console: Console) -> Result:
    cls, out = dict(all_estimators())[arguments.estimator], Path(arguments.out)
    parameters = parameters_of(arguments)
    try:
        est = cls(**parameters)
        est._validate_params()
    except ValueError as error:
        raise UsageError(str(error)) from error
    require_safetensors()
    refuse_old([out], arguments.force)
    if arguments.start_from is not None:
        est = load(arguments.start_from)
        if type(est) is not cls:
            raise ValueError(f"{arguments.start_from} is a model of {type(est).__name__}.")
        est.set_params(**parameters, warm_start=True)
    data = read_data(arguments)
    if columns := cut(arguments, data.X):
        est.set_params(modalities=columns)
    console.note(f"Fitting {cls.__name__}")
    console.watch(est)
    with redirect_stdout(sys.stderr):  # verbose= prints
        est.fit(data.X)
    est.save(out)
    widths = dict(zip(est.modality_names_, est._layout.widths, strict=True))
    run, losses = getattr(est, "_run", None), getattr(est, "loss_curve_", [])  # of networks
    interrupted = run is not None and run.interrupted
    document = {
        "estimator": cls.__name__,
        "model": str(out),
        "modalities": widths,
        "latent_dim": est.latent_dim_,
        "n_iter": est.n_iter_,
        "loss": losses[-1] if losses else None,
        "auto": est.auto_,
        "interrupted": interrupted,
    }
    told = ", ".join(f"{name}: {width}" for name, width in widths.items())
    text = (
        f"{cls.__name__} of {len(widths)} modalities ({told}), {est.latent_dim_} latent "
        f"variables, {est.n_iter_} iterations\nWrote {out}"
    )
    return Result(text, document, interrupted)


FIT = Command(
    "fit",
    "train an estimator on files",
    "Train an estimator, and write it to a file. skpoe fit ESTIMATOR --help tells its parameters.",
    _fit_options,
    _fit,
)
