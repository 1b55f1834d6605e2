"""The commands: each reads what its options name, asks an estimator, and tells the result."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..demo import run_demo
from ..estimators import all_estimators, load
from ..evaluation import evaluate_imputation
from ..io.container import require_safetensors
from ..io.tables import as_frame, format_of, write_files
from .console import Console
from .inputs import MuDataFile, add_data, content_of, cut, read_data
from .options import add_common, add_folder, add_model, positive, refuse_old, set_draws, share
from .parameters import add_parameters, parameters_of

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


def _fit_options(parser: Parser) -> None:
    kinds = parser.add_subparsers(
        dest="estimator", metavar="ESTIMATOR", required=True, title="estimators"
    )
    for name, cls in all_estimators():
        about = (cls.__doc__ or "").split("\n", 1)[0]
        one = kinds.add_parser(
            name, help=about, description=f"{about} Fits it, and writes it to --out."
        )
        one.add_argument("--out", required=True, metavar="MODEL", help="file for the fitted model")
        one.add_argument(
            "--resume", metavar="MODEL", help="model that is trained further, as by warm_start"
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
    if arguments.resume is not None:
        est = load(arguments.resume)
        if type(est) is not cls:
            raise ValueError(f"{arguments.resume} is a model of {type(est).__name__}.")
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
    interrupted = bool(getattr(getattr(est, "_run", None), "interrupted", False))
    document = {
        "estimator": cls.__name__,
        "model": str(out),
        "modalities": widths,
        "latent_dim": est.latent_dim_,
        "n_iter": est.n_iter_,
        "loss": est.loss_curve_[-1] if len(est.loss_curve_) else None,
        "auto": est.auto_,
        "interrupted": interrupted,
    }
    told = ", ".join(f"{name}: {width}" for name, width in widths.items())
    text = (
        f"{cls.__name__} of {len(widths)} modalities ({told}), {est.latent_dim_} latent "
        f"variables, {est.n_iter_} iterations\nWrote {out}"
    )
    return Result(text, document, interrupted)


def _transform_options(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="file for the latent variables (.csv, .tsv, .parquet, .npz; .h5mu for a copy of the "
        "data with them in obsm); without it, CSV on stdout",
    )
    parser.add_argument(
        "--given",
        action="append",
        metavar="NAME",
        help="modality that is read, instead of all; again for each",
    )
    add_data(parser, fits=False)
    add_common(parser)


def _transform(arguments: argparse.Namespace, console: Console) -> Result:
    est, out = load(arguments.model), arguments.out and Path(arguments.out)
    if out:
        refuse_old([out], arguments.force, tables=True)
    data = read_data(arguments, est)
    to_mudata = out and format_of(out) == "h5mu"
    if to_mudata and not isinstance(data, MuDataFile):
        raise ValueError(f"{out}: only data of a h5mu file are written to one.")
    latents = np.asarray(est.transform(data.X, given=arguments.given))
    frame = as_frame(latents, data.labels, list(est.get_feature_names_out()))
    if not out:
        return Result(frame.to_csv().rstrip("\n"), frame.to_dict(orient="split"))
    if isinstance(data, MuDataFile) and to_mudata:
        data.mdata.obsm["X_skpoe"] = latents
        write_files({out: data.mdata})
    else:
        write_files({out: content_of(out, frame, data.labels)})
    shape = {"n_samples": latents.shape[0], "latent_dim": latents.shape[1]}
    return Result(f"Wrote {out}", {"out": str(out), **shape})


def _impute_options(parser: Parser) -> None:
    add_model(parser, draws=True)
    add_folder(parser)
    parser.add_argument(
        "--draws",
        type=positive,
        default=0,
        metavar="K",
        help="also K versions filled in by draws, for multiple imputation: NAME.draw1.csv, ...",
    )
    parser.add_argument(
        "--interval",
        type=share,
        metavar="COVERAGE",
        help="also the ends of intervals of this probability, such as 0.9: NAME.lower.csv and "
        "NAME.upper.csv",
    )
    add_data(parser, fits=False)
    add_common(parser)


def _impute(arguments: argparse.Namespace, console: Console) -> Result:
    est, folder = load(arguments.model), Path(arguments.out)
    set_draws(est, arguments)
    draws = [f"draw{k + 1}" for k in range(arguments.draws)]
    ends = ["lower", "upper"] if arguments.interval is not None else []
    data = read_data(arguments, est)
    files = data.files(folder, ["", *ends, *draws])
    refuse_old(files, arguments.force, tables=True)
    X = _with_room(data.X)
    console.note("Filling in")
    results = {"": est.predict_missing(X)}
    if ends:
        console.note("Finding intervals")
        results |= dict(zip(ends, est.predict_interval(X, arguments.interval), strict=True))
    if draws:
        console.note(f"Drawing {len(draws)} imputations")
        results |= dict(zip(draws, est.impute(X, len(draws)), strict=True))
    return _written(folder, data.contents(folder, results))


def _sample_options(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument("n", type=positive, metavar="N", help="how many rows")
    add_folder(parser)
    parser.add_argument(
        "--format", choices=["csv", "parquet", "npz"], default="csv", help="of the files"
    )
    parser.add_argument("--random-state", type=int, metavar="SEED", help="the same rows each time")
    add_common(parser)


def _sample(arguments: argparse.Namespace, console: Console) -> Result:
    est, folder = load(arguments.model), Path(arguments.out)
    if arguments.random_state is not None:
        est.set_params(random_state=arguments.random_state)
    names = ["sample"] if est._layout.is_table else est.modality_names_
    paths = [folder / f"{name}.{arguments.format}" for name in names]
    refuse_old(paths, arguments.force, tables=True)
    drawn = est.sample(arguments.n)
    if est._layout.is_table:
        drawn = [drawn]
    elif not isinstance(drawn, (list, tuple)):
        drawn = [drawn[name] for name in names]
    labels = pd.RangeIndex(arguments.n)
    contents = {
        path: content_of(path, table, labels) for path, table in zip(paths, drawn, strict=True)
    }
    return _written(folder, contents)


def _score_options(parser: Parser) -> None:
    add_model(parser, draws=True)
    parser.add_argument("--out", metavar="FILE", help="file for the score of each row")
    add_data(parser, fits=False)
    add_common(parser)


def _score(arguments: argparse.Namespace, console: Console) -> Result:
    est, out = load(arguments.model), arguments.out and Path(arguments.out)
    set_draws(est, arguments)
    if out:
        refuse_old([out], arguments.force, tables=True)
    data = read_data(arguments, est)
    scores = est.score_samples(data.X)
    document = {"log_likelihood": float(np.mean(scores)), "n_samples": len(scores)}
    text = f"{document['log_likelihood']:.6g} nats a row ({len(scores)} rows)"
    if out:
        frame = as_frame(scores[:, None], data.labels, ["log_likelihood"])
        write_files({out: content_of(out, frame, data.labels)})
        document, text = {**document, "out": str(out)}, f"{text}\nWrote {out}"
    return Result(text, document)


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
    console.note(f"Hiding {arguments.hide}")
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


def _with_room(X: Any) -> Any:
    """Make numbers of DataFrames that are whole and have holes floats: means are not whole."""
    if isinstance(X, dict):
        return {name: _with_room(table) for name, table in X.items()}
    if not isinstance(X, pd.DataFrame):
        return X
    whole = [
        label
        for label, column in X.items()
        if pd.api.types.is_integer_dtype(column.dtype) and column.hasnans
    ]
    return X.astype(dict.fromkeys(whole, float)) if whole else X


def _written(folder: Path, contents: Mapping[Path, Any]) -> Result:
    folder.mkdir(parents=True, exist_ok=True)
    write_files(contents)
    files = [str(path) for path in contents]
    return Result("\n".join(f"Wrote {file}" for file in files), {"files": files})


def _demo_options(parser: Parser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("skpoe-demo"), help="folder for pictures"
    )
    parser.add_argument(
        "--max-iter", type=int, default=None, help="epochs of each fit (default: the estimators')"
    )
    add_common(parser, writes=False)


def _demo(arguments: argparse.Namespace, console: Console) -> Result:
    def say(line: str) -> None:
        print(line, file=sys.stderr if arguments.json else None)

    errors = run_demo(arguments.out, max_iter=arguments.max_iter, say=say)
    return Result("", {"relative_errors": errors})


COMMANDS = [
    Command(
        "fit",
        "train an estimator on files",
        "Train an estimator, and write it to a file. skpoe fit ESTIMATOR --help tells its "
        "parameters.",
        _fit_options,
        _fit,
    ),
    Command(
        "transform",
        "infer latent variables",
        "Infer the posterior mean of the latent variables of each row from what it shows.",
        _transform_options,
        _transform,
    ),
    Command(
        "impute",
        "fill in what is missing",
        "Fill in what is missing by its mean given what the row shows: one file a modality, named "
        "by it, in the format that came; of a h5mu file a copy with layers. Observed entries are "
        "as they came.",
        _impute_options,
        _impute,
    ),
    Command(
        "sample",
        "draw new rows",
        "Draw new rows from a model: one file a modality.",
        _sample_options,
        _sample,
    ),
    Command(
        "score",
        "log-likelihood of data",
        "Estimate the log-likelihood of what each row shows, in nats; the mean is told.",
        _score_options,
        _score,
    ),
    Command(
        "evaluate",
        "hide what is known, fill it in, and compare",
        "Hide entries that are known, fill them in, and compare. Take rows that the model was not "
        "trained on.",
        _evaluate_options,
        _evaluate,
    ),
    Command(
        "demo",
        "fill in the lower halves of handwritten digits, against linear models",
        "Train on handwritten digits cut into two halves, a third of the lower halves missing; "
        "fill in lower halves that no model saw; compare; search; draw.",
        _demo_options,
        _demo,
    ),
]
