"""Calls of methods, files, commands and containers that cannot be answered."""

import contextlib
import io

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skpoe
from skpoe import MVAE, Modalities
from skpoe.cli import main
from skpoe.io import FileFormatError

from .words import E, T, ask, frame, good, having

METHODS = [
    (
        f"`{method}` before `fit`",
        good,
        lambda est, X, folder, method=method, args=args: getattr(MVAE(), method)(*args(X, folder)),
        NotFittedError,
        ("MVAE", "fit"),
    )
    for method, args in {
        "transform": lambda X, f: (X,),
        "sample": lambda X, f: (),
        "inverse_transform": lambda X, f: (np.ones((1, 2)),),
        "impute": lambda X, f: (X,),
        "predict_interval": lambda X, f: (X,),
        "log_likelihood": lambda X, f: (X, "rna"),
        "acquire": lambda X, f: (X,),
        "save": lambda X, f: (f / "x",),
        "get_feature_names_out": lambda X, f: (),
        "report": lambda X, f: (X, f / "r.html"),
    }.items()
] + [
    (
        "`predict_proba` before `fit`",
        good,
        lambda est, X, f: MVAE().predict_proba(X),
        AttributeError,
        ("predict_proba",),
    ),
    ("`predict_proba` of numbers", good, ask("predict_proba"), AttributeError, ("predict_proba",)),
    ("`transform(given='atac')`", good, ask("transform", given="atac"), E, ("atac", "rna")),
    ("`transform(given=5)`", good, ask("transform", given=5), E, ("5", "rna")),
    ("`transform(given=1.5)`", good, ask("transform", given=1.5), E, ("1.5",)),
    ("`log_likelihood(of='atac')`", good, ask("log_likelihood", of="atac"), E, ("atac",)),
    (
        "`log_likelihood(of='rna', given='rna')`",
        good,
        ask("log_likelihood", of="rna", given="rna"),
        E,
        ("rna",),
    ),
    ("`log_likelihood(of=[])`", good, ask("log_likelihood", of=[]), E, ("of=",)),
    ("`log_likelihood(of=None)`", good, ask("log_likelihood", of=None), E, ("None", "rna")),
    ("`acquire(candidates=['atac'])`", good, ask("acquire", candidates=["atac"]), E, ("atac",)),
    (
        "`acquire(candidates=[('rna', 7)])`",
        good,
        ask("acquire", candidates=[("rna", 7)]),
        E,
        ("7", "rna"),
    ),
    ("`acquire(candidates=[])`", good, ask("acquire", candidates=[]), E, ("candidate",)),
    (
        "`acquire(candidates=['rna'], target='rna')`",
        good,
        ask("acquire", candidates=["rna"], target="rna"),
        E,
        ("target", "rna"),
    ),
    (
        "`acquire(costs={'rna': 1.0})`",
        good,
        ask("acquire", costs={"rna": 1.0}),
        E,
        ("costs", "adt"),
    ),
    ("`acquire(costs=[1.0])`", good, ask("acquire", costs=[1.0]), E, ("costs", "1")),
    ("`acquire(costs=[1.0, 0.0])`", good, ask("acquire", costs=[1.0, 0.0]), E, ("costs", "adt")),
    ("`acquire(costs=3)`", good, ask("acquire", costs=3), E, ("costs",)),
    ("`sample(0)`", good, lambda est, X, f: est.sample(0), E, ("n_samples", "0")),
    ("`sample(2.5)`", good, lambda est, X, f: est.sample(2.5), E, ("n_samples", "2.5")),
    ("`impute(X, 0)`", good, ask("impute", 0), E, ("n_imputations", "0")),
    ("`sample_conditional(X, 0)`", good, ask("sample_conditional", 0), E, ("n_samples", "0")),
    (
        "`predict_interval(X, coverage=2)`",
        good,
        ask("predict_interval", coverage=2),
        E,
        ("coverage", "2"),
    ),
    (
        "`predict_interval(X, coverage='90%')`",
        good,
        ask("predict_interval", coverage="90%"),
        E,
        ("coverage", "90%"),
    ),
    (
        "`set_output(transform='excel')`",
        good,
        lambda est, X, f: clone(est).set_output(transform="excel").fit(Modalities(X)).transform(X),
        E,
        ("excel",),
    ),
]


def pickled(folder):
    import pickle

    (folder / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    return folder / "model.pkl"


def table(folder):
    pd.DataFrame(good()["rna"]).to_csv(folder / "rna.csv")
    return folder / "rna.csv"


def command(*words):
    """Run a command; what it prints when it fails is raised."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.suppress(SystemExit):
        main(list(words))
    raise SystemExit(told.getvalue().splitlines()[-1])


def empty(folder):
    (folder / "empty").touch()
    return folder / "empty"


FILES = [
    (
        "`save` to a folder",
        good,
        lambda est, X, f: est.save(f),
        IsADirectoryError,
        ("folder", "FOLDER"),
    ),
    (
        "`save` into a folder that is not there",
        good,
        lambda est, X, f: est.save(f / "no" / "m"),
        FileNotFoundError,
        ("no such folder", "FOLDER/no"),
    ),
    ("`save(3)`", good, lambda est, X, f: est.save(3), T, ("PathLike", "int")),
    (
        "`load` of a pickle",
        good,
        lambda est, X, f: skpoe.load(pickled(f)),
        FileFormatError,
        ("model.pkl", "no skpoe file"),
    ),
    (
        "`load` of an empty file",
        good,
        lambda est, X, f: skpoe.load(empty(f)),
        FileFormatError,
        ("empty", "no skpoe file"),
    ),
    (
        "`load` of no file",
        good,
        lambda est, X, f: skpoe.load(f / "none"),
        FileNotFoundError,
        ("FOLDER/none",),
    ),
    ("`load` of a folder", good, lambda est, X, f: skpoe.load(f), IsADirectoryError, ("FOLDER",)),
    (
        "`skpoe fitt`",
        good,
        lambda est, X, f: command("fitt"),
        SystemExit,
        ("fitt", "Did you mean fit"),
    ),
    (
        "`skpoe fit MVAE --modality rna=none.csv`",
        good,
        lambda est, X, f: command(
            "fit", "MVAE", "--modality", f"rna={f}/none.csv", "--out", f"{f}/m"
        ),
        SystemExit,
        ("none.csv", "No such file"),
    ),
    (
        "`skpoe fit MVAE --latent-dim 0`",
        good,
        lambda est, X, f: command(
            "fit", "MVAE", "--data", f"{table(f)}", "--latent-dim", "0", "--out", f"{f}/m"
        ),
        SystemExit,
        ("latent", "0"),
    ),
]

CONTAINER = [
    ("`Modalities([])`", list, lambda est, X, f: Modalities(X), E, ("modalit",)),
    (
        "`Modalities` of an array",
        lambda: np.ones((3, 2)),
        lambda est, X, f: Modalities(X),
        E,
        ("ndarray", "list of tables"),
    ),
    (
        "`Modalities` of different lengths",
        having(adt=np.ones((7, 2))),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`Modalities` of lists",
        having(adt=[[1.0], [1.0, 2.0]]),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`Modalities` of a vector",
        having(adt=np.ones(8)),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`n_features` of another width",
        good,
        lambda est, X, f: Modalities(X, n_features={"adt": 5}),
        E,
        ("adt",),
    ),
    (
        "`n_features` of no modality",
        good,
        lambda est, X, f: Modalities(X, n_features={"atac": 5}),
        E,
        ("atac",),
    ),
    (
        "a negative `n_features`",
        having(adt=None),
        lambda est, X, f: Modalities(X, n_features={"adt": -5}),
        E,
        ("n_features['adt']", "-5"),
    ),
    (
        "`n_features` is a list",
        having(adt=None),
        lambda est, X, f: Modalities(X, n_features=[3, 2]),
        T,
        ("n_features", "[3, 2]"),
    ),
    (
        "`n_features` names several that are not there",
        good,
        lambda est, X, f: Modalities(X, n_features={"atac": 5, 3: 2}),
        E,
        ("n_features", "atac"),
    ),
    (
        "a ragged mask",
        good,
        lambda est, X, f: Modalities(X, mask=[[True, False], [True]]),
        E,
        ("mask",),
    ),
    (
        "a mask of another length",
        good,
        lambda est, X, f: Modalities(X, mask={"adt": np.ones(7, bool)}),
        E,
        ("adt", "mask"),
    ),
    (
        "a mask of no modality",
        good,
        lambda est, X, f: Modalities(X, mask={"atac": np.ones(8, bool)}),
        E,
        ("atac",),
    ),
    ("`X['atac']`", good, lambda est, X, f: Modalities(X)["atac"], KeyError, ("atac", "rna")),
    ("`X[9]`", good, lambda est, X, f: Modalities(X)[9], IndexError, ("9", "8")),
    ("`X[[9]]`", good, lambda est, X, f: Modalities(X)[[9]], IndexError, ("range", "8")),
    (
        "`X[:, 0]` of a container",
        good,
        lambda est, X, f: Modalities(X)[:, 0],
        IndexError,
        ("rows",),
    ),
    (
        "`X.select(['atac'])`",
        good,
        lambda est, X, f: Modalities(X).select(["atac"]),
        KeyError,
        ("atac",),
    ),
    (
        "`X.drop(['rna', 'adt'])`",
        good,
        lambda est, X, f: Modalities(X).drop(["rna", "adt"]),
        E,
        ("no modality",),
    ),
    (
        "`X.rename({'rna': 'adt'})`",
        good,
        lambda est, X, f: Modalities(X).rename({"rna": "adt"}),
        E,
        ("same name",),
    ),
    ("`np.asarray(X)`", good, lambda est, X, f: np.asarray(Modalities(X)), T, ("to_numpy",)),
    (
        "`from_pandas` with an unknown column",
        frame(),
        lambda est, X, f: Modalities.from_pandas(X, {"m": ["zz"]}),
        E,
        ("zz",),
    ),
    (
        "`concat` of different widths",
        good,
        lambda est, X, f: Modalities.concat([Modalities(X), Modalities({"rna": np.ones((2, 7))})]),
        E,
        ("rna", "7"),
    ),
    ("`concat([])`", good, lambda est, X, f: Modalities.concat([]), E, ("no modality",)),
    ("`concat` of dicts", good, lambda est, X, f: Modalities.concat([X]), T, ("dict",)),
]
