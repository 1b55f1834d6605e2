"""The commands that ask a fitted model about data, or for data."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..estimators import load
from ..io.tables import as_frame, format_of, write_files
from .command import Command, Parser, Result
from .console import Console
from .inputs import MuDataFile, add_data, content_of, file_in, read_data
from .options import add_common, add_folder, add_model, positive, refuse_old, set_draws, share


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
    with console.predicting("Inferring latents"):
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
    refuse_old(files, arguments.force, tables=True, folder=folder)
    X = _with_room(data.X)
    with console.predicting("Filling in"):
        results = {"": est.predict_missing(X)}
    if ends:
        with console.predicting("Finding intervals"):
            results |= dict(zip(ends, est.predict_interval(X, arguments.interval), strict=True))
    if draws:
        with console.predicting(f"Drawing {len(draws)} imputations"):
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
    paths = [file_in(folder, name, f".{arguments.format}") for name in names]
    refuse_old(paths, arguments.force, tables=True, folder=folder)
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
    with console.predicting("Scoring"):
        scores = est.score_samples(data.X)
    document = {"log_likelihood": float(np.mean(scores)), "n_samples": len(scores)}
    text = f"{document['log_likelihood']:.6g} nats a row ({len(scores)} rows)"
    if out:
        frame = as_frame(scores[:, None], data.labels, ["log_likelihood"])
        write_files({out: content_of(out, frame, data.labels)})
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


TRANSFORM = Command(
    "transform",
    "infer latent variables",
    "Infer the posterior mean of the latent variables of each row from what it shows.",
    _transform_options,
    _transform,
)
IMPUTE = Command(
    "impute",
    "fill in what is missing",
    "Fill in what is missing by its mean given what the row shows: one file a modality, named "
    "by it, in the format that came; of a h5mu file a copy with layers. Observed entries are "
    "as they came.",
    _impute_options,
    _impute,
)
SAMPLE = Command(
    "sample",
    "draw new rows",
    "Draw new rows from a model: one file a modality.",
    _sample_options,
    _sample,
)
SCORE = Command(
    "score",
    "log-likelihood of data",
    "Estimate the log-likelihood of what each row shows, in nats; the mean is told.",
    _score_options,
    _score,
)
