"""Mistakes, one a line: what is done, on which data, and the words that it is told.

``test_bad_inputs`` makes each, and writes ``docs/mistakes.md`` from them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

import skpoe
from skpoe import DMVAE, MIWAE, MVAE, Modalities, ModularVAE, MultimodalFactorAnalysis, PoEVAE
from skpoe.cli import main
from skpoe.io import FileFormatError
from skpoe.likelihoods import Bernoulli

FAST = {"max_iter": 1, "hidden_layer_sizes": (4,), "latent_dim": 2, "random_state": 0}


class Mistake(NamedTuple):
    """What is done to a fitted estimator with data, and what comes of it."""

    what: str
    data: Callable[[], Any]
    do: Callable[..., Any]  # takes the fitted estimator, the data and an empty folder
    error: type[Exception]
    words: tuple[str, ...]


def good():
    rng = np.random.default_rng(0)
    return {"rna": rng.normal(size=(8, 3)), "adt": rng.normal(size=(8, 2))}


def having(**tables):
    """Good data, but for some modalities; those that are Ellipsis are left out."""
    X = {**good(), **tables}
    return lambda: {name: x for name, x in X.items() if x is not ...}


def cell(value, dtype=float):
    """Good data, but for one cell of adt."""
    table = good()["adt"].astype(dtype)
    table[1, 1] = value
    return having(adt=table)


def fit(cls=MVAE, weight=None, **parameters):
    return lambda est, X, folder: cls(**{**FAST, **parameters}).fit(X, sample_weight=weight)


def fit_fa(**parameters):
    return lambda est, X, folder: MultimodalFactorAnalysis(**parameters).fit(X)


def ask(method, *args, **named):
    return lambda est, X, folder: getattr(est, method)(X, *args, **named)


def frame(**columns):
    return lambda: pd.DataFrame(columns or {"a": [1.0, 2.0, 3.0], "b": [0.5, np.nan, 1.0]})


def columns_named(*names):
    table = pd.DataFrame(good()["rna"], columns=list(names))
    return having(rna=table)


def fit_then(method, first, **parameters):
    """Fit on other data first, and then ask."""

    def do(est, X, folder):
        return getattr(MVAE(**{**FAST, **parameters}).fit(first()), method)(X)

    return do


E, T, P = ValueError, TypeError, InvalidParameterError

DATA_IN_FIT = [
    ("no modality", list, fit(), E, ("no modality",)),
    ("one modality in a list", lambda: [good()["rna"]], fit(), E, ("list with one modality",)),
    ("a list of numbers", lambda: [1.0, 2.0, 3.0], fit(), E, ("X",)),
    ("a list of ragged rows", lambda: [[1.0, 2.0], [3.0]], fit(), E, ("X",)),
    ("X is None", lambda: None, fit(), E, ("X",)),
    ("X is a number", lambda: 3.0, fit(), E, ("X",)),
    ("X is a word", lambda: "rna.csv", fit(), E, ("X",)),
    ("X is a Series", lambda: pd.Series([1.0, 2.0]), fit(), E, ("X",)),
    ("X is a generator", lambda: (x for x in ()), fit(), E, ("X",)),
    ("X is a set", lambda: {1.0, 2.0}, fit(), E, ("X",)),
    ("one array of images", lambda: np.ones((8, 1, 2, 2)), fit(), E, ("(8, 1, 2, 2)",)),
    ("a modality with one axis", having(adt=np.ones(8)), fit(), E, ("adt",)),
    ("a modality that is a number", having(adt=3.0), fit(), E, ("adt",)),
    ("a modality that is a word", having(adt="adt.csv"), fit(), E, ("adt",)),
    (
        "a modality that is a list of ragged rows",
        having(adt=[[1.0, 2.0]] * 7 + [[1.0]]),
        fit(),
        E,
        ("adt",),
    ),
    ("a modality that is a Series", having(adt=pd.Series(np.ones(8))), fit(), E, ("adt",)),
    ("modalities of different lengths", having(adt=np.ones((7, 2))), fit(), E, ("adt",)),
    (
        "frames of different index",
        lambda: {
            n: pd.DataFrame(x, index=range(k, k + 8), columns=list("abc")[: x.shape[1]])
            for k, (n, x) in enumerate(good().items())
        },
        fit(),
        E,
        ("index",),
    ),
    (
        "a name that is not a word",
        lambda: {1: good()["rna"], "adt": good()["adt"]},
        fit(),
        T,
        ("1",),
    ),
    ("infinity", cell(np.inf), fit(), E, ("adt", "infinity")),
    ("minus infinity", cell(-np.inf), fit(), E, ("adt", "infinity")),
    (
        "infinity in a sparse matrix",
        having(adt=scipy.sparse.csr_array(np.diag([1, np.inf])[[0, 1] * 4])),
        fit(),
        E,
        ("adt", "infinity"),
    ),
    (
        "infinity in a tensor",
        having(adt=torch.full((8, 2), torch.inf)),
        fit(),
        E,
        ("adt", "infinity"),
    ),
    (
        "a number too large for float32",
        having(adt=np.full((8, 2), 1e300)),
        fit(dtype="float32"),
        E,
        ("adt",),
    ),
    ("a word in an array of objects", cell("high", object), fit(), E, ("adt", "high")),
    ("None in an array of objects", cell({}, object), fit(), E, ("adt",)),
    ("complex numbers", having(adt=good()["adt"] * 1j), fit(), E, ("adt", "omplex")),
    ("dates", having(adt=np.full((8, 2), np.datetime64("2020-01-01"))), fit(), E, ("adt",)),
    (
        "dates in a DataFrame",
        having(adt=pd.DataFrame({"day": pd.date_range("2020-01-01", periods=8)})),
        fit(),
        E,
        ("adt",),
    ),
    (
        "words in a DataFrame",
        having(adt=pd.DataFrame({"town": ["a", "b"] * 4})),
        fit(),
        E,
        ("town", "adt"),
    ),
    (
        "a tensor of truth values",
        having(adt=torch.ones(8, 2, dtype=torch.complex64)),
        fit(),
        E,
        ("adt",),
    ),
    (
        "no rows",
        lambda: {"rna": np.ones((0, 3)), "adt": np.ones((0, 2))},
        fit(),
        E,
        ("rna", "0 sample"),
    ),
    ("one row", lambda: {n: x[:1] for n, x in good().items()}, fit(), E, ("rna", "1 sample")),
    ("no columns", having(adt=np.ones((8, 0))), fit(), E, ("adt", "0 feature")),
    (
        "everything missing",
        lambda: {n: x * np.nan for n, x in good().items()},
        fit(),
        E,
        ("missing",),
    ),
    ("None without a width", having(adt=None), fit(), E, ("adt", "n_features")),
    ("every modality is None", lambda: [None, None], fit(), E, ("None",)),
    (
        "columns with the same name",
        lambda: pd.DataFrame(np.ones((8, 2)), columns=["a", "a"]),
        fit(),
        E,
        ("a",),
    ),
    (
        "columns with the same name in a modality",
        columns_named("a", "a", "b"),
        fit(),
        E,
        ("rna", "a"),
    ),
    (
        "columns with several levels of names",
        lambda: pd.DataFrame(
            np.ones((8, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])
        ),
        fit(),
        E,
        ("MultiIndex",),
    ),
    ("columns of numbers and words as names", columns_named("a", 1, "b"), fit(), T, ("rna",)),
    (
        "a list of modalities in model selection",
        lambda: list(good().values()),
        lambda est, X, folder: clone(est).fit(X),
        E,
        ("Modalities(X)",),
    ),
    (
        "modalities= cuts columns that are not there",
        lambda: np.ones((8, 5)),
        fit(modalities=[4, 4]),
        E,
        ("modalities",),
    ),
    (
        "modalities= names a column twice",
        lambda: np.ones((8, 3)),
        fit(modalities={"a": [0, 1], "b": [1, 2]}),
        E,
        ("one modality",),
    ),
    (
        "modalities= names columns of an array",
        lambda: np.ones((8, 3)),
        fit(modalities={"a": ["x"]}),
        E,
        ("modalities['a']",),
    ),
    ("modalities= is a word", lambda: np.ones((8, 3)), fit(modalities="rna"), P, ("modalities",)),
]
WEIGHTS = [
    ("too few weights", good, fit(weight=np.ones(7)), E, ("sample_weight",)),
    ("weights with two axes", good, fit(weight=np.ones((8, 2))), E, ("ample",)),
    ("a negative weight", good, fit(weight=np.r_[-1.0, np.ones(7)]), E, ("sample_weight",)),
    ("NaN as weight", good, fit(weight=np.r_[np.nan, np.ones(7)]), E, ("sample_weight", "NaN")),
    (
        "an infinite weight",
        good,
        fit(weight=np.r_[np.inf, np.ones(7)]),
        E,
        ("sample_weight", "infinity"),
    ),
    ("weights that are words", good, fit(weight=["a"] * 8), E, ("sample_weight",)),
    ("all weights zero", good, fit(weight=np.zeros(8)), E, ("sample_weight", "zero")),
    ("one row with a weight", good, fit(weight=np.r_[1.0, np.zeros(7)]), E, ("sample_weight",)),
    (
        "too few weights in score",
        good,
        ask("score", sample_weight=np.ones(7)),
        E,
        ("sample_weight",),
    ),
    (
        "a negative weight in score",
        good,
        ask("score", sample_weight=np.r_[-1.0, np.ones(7)]),
        E,
        ("sample_weight",),
    ),
    (
        "weights of zero in score",
        good,
        ask("score", sample_weight=np.zeros(8)),
        E,
        ("sample_weight",),
    ),
    (
        "NaN as weight in score",
        good,
        ask("score", sample_weight=np.full(8, np.nan)),
        E,
        ("sample_weight",),
    ),
    (
        "rows that show nothing have all the weight",
        having(),
        fit(weight=np.ones(3)),
        E,
        ("sample_weight",),
    ),
    (
        "weights in fit_transform",
        good,
        lambda est, X, f: MVAE(**FAST).fit_transform(X, sample_weight=[1, 2]),
        E,
        ("sample_weight",),
    ),
]
DATA_LATER = [
    (
        "a modality more",
        lambda: [good()["rna"], good()["rna"], good()["adt"]],
        ask("transform"),
        E,
        ("3 modalities",),
    ),
    ("a modality less", having(adt=...), ask("predict_missing"), E, ("1 modalit", "None")),
    ("another name", having(adt=..., atac=good()["adt"]), ask("score"), E, ("atac", "adt")),
    (
        "two tables in another order",
        lambda: [good()["adt"], good()["rna"]],
        ask("transform"),
        E,
        ("rna", "2 features"),
    ),
    ("another width", having(adt=np.ones((8, 4))), ask("impute"), E, ("adt", "4 features")),
    ("one table", lambda: np.ones((8, 5)), ask("transform"), E, ("one table",)),
    (
        "later: no rows",
        lambda: {n: x[:0] for n, x in good().items()},
        ask("transform"),
        E,
        ("rna", "0 sample"),
    ),
    ("later: infinity", cell(np.inf), ask("transform"), E, ("adt", "infinity")),
    ("later: words", cell("high", object), ask("transform"), E, ("adt", "high")),
    ("later: complex", having(adt=good()["adt"] * 1j), ask("transform"), E, ("adt", "omplex")),
    (
        "later: all None",
        lambda: {"rna": None, "adt": None},
        ask("sample_conditional"),
        E,
        ("None",),
    ),
    ("later: different lengths", having(adt=np.ones((7, 2))), ask("score_samples"), E, ("adt",)),
    (
        "later: modalities after one table",
        good,
        lambda est, X, f: MVAE(**FAST).fit(X["rna"]).transform(X),
        E,
        ("one table",),
    ),
    (
        "later: other columns",
        columns_named("a", "b", "new"),
        fit_then("transform", columns_named("a", "b", "c")),
        E,
        ("rna", "new"),
    ),
    (
        "later: columns in another order",
        columns_named("b", "a", "c"),
        fit_then("transform", columns_named("a", "b", "c")),
        E,
        ("rna", "order"),
    ),
    (
        "later: a level that fit did not see",
        frame(a=["x", "z", "x"]),
        fit_then("transform", frame(a=["x", "y", "x"]), likelihood="auto"),
        E,
        ("a", "z"),
    ),
    (
        "later: partial_fit of another width",
        having(adt=np.ones((8, 4))),
        lambda est, X, f: MVAE(**FAST).fit(good()).partial_fit(X),
        E,
        ("adt",),
    ),
    ("Z of another width", lambda: np.ones((3, 5)), ask("inverse_transform"), E, ("Z", "5")),
    ("Z with NaN", lambda: np.full((3, 2), np.nan), ask("inverse_transform"), E, ("Z", "NaN")),
    ("Z with one axis", lambda: np.ones(2), ask("inverse_transform"), E, ("2D array",)),
]
SUPPORT = [
    (
        f"{name}: {what}",
        having(adt=np.full((8, 2), 0.0) + np.asarray(value)),
        fit(likelihood={"rna": "gaussian", "adt": name}),
        E,
        ("adt", word),
    )
    for name, what, value, word in [
        ("bernoulli", "2", 2.0, "2"),
        ("continuous_bernoulli", "-0.1", -0.1, "-0.1"),
        ("beta", "1", 1.0, "1"),
        ("poisson", "-1", -1.0, "-1"),
        ("poisson", "a half", 0.5, "0.5"),
        ("negative_binomial", "-1", -1.0, "-1"),
        ("zero_inflated_negative_binomial", "a half", 0.5, "0.5"),
        ("categorical", "a half", 0.5, "0.5"),
        ("ordinal", "a half", 0.5, "0.5"),
        ("log_normal", "0", 0.0, "0"),
        ("categorical", "-1", -1.0, "-1"),
        ("categorical", "1e9", 1e9, "1000"),
    ]
] + [
    (
        "later: bernoulli 2",
        having(adt=np.full((8, 2), 2.0)),
        fit_then("transform", having(adt=np.eye(8)[:, :2]), likelihood=["gaussian", "bernoulli"]),
        E,
        ("adt", "2"),
    ),
]
PARAMETERS = [
    (
        f"`{name}={value!r}`" + (f" of {cls.__name__}" if cls is not MVAE else ""),
        good,
        fit(cls, **{name: value}),
        error,
        (name, *words),
    )
    for cls, name, value, error, *words in [
        (MVAE, "latent_dim", 0, P),
        (MVAE, "latent_dim", 2.5, P),
        (MVAE, "latent_dim", "many", P),
        (MVAE, "hidden_layer_sizes", 5, P),
        (MVAE, "hidden_layer_sizes", (0,), E),
        (MVAE, "hidden_layer_sizes", (2.5,), E),
        (MVAE, "hidden_layer_sizes", ("a",), E),
        (MVAE, "hidden_layer_sizes", "256", P),
        (MVAE, "activation", "relux", P),
        (MVAE, "likelihood", "gausian", E),
        (MVAE, "likelihood", ["gaussian"], E),
        (MVAE, "likelihood", {"rna": "gaussian"}, E),
        (MVAE, "likelihood", {"rna": "gaussian", "atac": "gaussian"}, E),
        (MVAE, "likelihood", ["gaussian", 3], E),
        (MVAE, "likelihood", None, P),
        (MVAE, "encoder", "resnet", P),
        (MVAE, "encoder", [None], E),
        (MVAE, "encoder", [None, 3], E),
        (MVAE, "encoder", 3, P),
        (MVAE, "decoder", {"rna": None}, E),
        (MVAE, "decoder", "mnist_cnn", E),
        (MIWAE, "encoder", [None, None], T),
        (MVAE, "beta", -1, P),
        (MVAE, "beta", np.nan, E),
        (MVAE, "beta", np.inf, E),
        (MVAE, "kl_warmup", -1, P),
        (MVAE, "likelihood_weights", [1.0], E),
        (MVAE, "likelihood_weights", [1.0, -1.0], E),
        (MVAE, "likelihood_weights", [1.0, np.nan], E),
        (MVAE, "likelihood_weights", {"rna": 1.0}, E),
        (MVAE, "likelihood_weights", ["a", "b"], E),
        (MVAE, "likelihood_weights", [0.0, 0.0], E),
        (MVAE, "n_samples", 0, P),
        (MVAE, "n_importance_samples", 0, P),
        (MVAE, "imputation", "median", P),
        (MVAE, "learning_rate", "fast", P),
        (MVAE, "learning_rate_init", 0, P),
        (MVAE, "learning_rate_init", np.nan, E),
        (MVAE, "learning_rate_init", np.inf, E),
        (MVAE, "weight_decay", -1, P),
        (MVAE, "batch_size", 0, P),
        (MVAE, "batch_size", "all", P),
        (MVAE, "max_iter", -1, P),
        (MVAE, "max_iter", 1.5, P),
        (MVAE, "tol", -1, P),
        (MVAE, "early_stopping", "yes", P),
        (MVAE, "validation_fraction", 1.0, P),
        (MVAE, "n_iter_no_change", 0, P),
        (MVAE, "dtype", "float16", P),
        (MVAE, "device", "toaster", E),
        (MVAE, "device", "cuda:99", E),
        (MVAE, "n_threads", 0, P),
        (MVAE, "random_state", "seed", P),
        (MVAE, "random_state", -1, P),
        (MVAE, "resume", True, E),
        (MVAE, "checkpoint_every", 0, P),
        (MVAE, "checkpoint", 3, P),
        (MVAE, "n_subsets", -1, P),
        (MVAE, "n_subsets", 2.5, P),
        (MVAE, "verbose", "loud", P),
        (PoEVAE, "covariance", "round", P),
        (PoEVAE, "shrinkage", 1.0, P),
        (PoEVAE, "trust", 0, P),
        (PoEVAE, "start_weight", 2, P),
        (DMVAE, "private_dim", 0, P),
        (DMVAE, "private_dim", [1, 2], P),
        (ModularVAE, "strategy", "product", P),
        (ModularVAE, "objective", "elbow", P),
        (ModularVAE, "prior", "flat", P),
        (ModularVAE, "posterior", "cauchy", P),
        (ModularVAE, "subsets", "some", P),
        (ModularVAE, "subsets", [["atac"]], E),
        (ModularVAE, "subsets", [], E),
        (ModularVAE, "init", "factor_analysis", E),
    ]
] + [
    ("an encoder instance", good, fit(encoder=torch.nn.Linear(3, 4)), T, ("encoder",)),
    (
        "encoder instances",
        good,
        fit(encoder=[torch.nn.Linear(3, 4), torch.nn.Linear(2, 4)]),
        T,
        ("encoder",),
    ),
    (
        "an encoder that makes nothing",
        good,
        fit(encoder=lambda n_in, n_out: None),
        T,
        ("encoder", "rna"),
    ),
    (
        "an encoder of the wrong width",
        good,
        fit(encoder=lambda n_in, n_out: torch.nn.Linear(n_in, 7)),
        E,
        ("encoder", "rna", "7"),
    ),
    (
        "an encoder that reads another width",
        good,
        fit(encoder=lambda n_in, n_out: torch.nn.Linear(9, n_out)),
        E,
        ("encoder", "rna"),
    ),
    (
        "a decoder of the wrong width",
        good,
        fit(decoder=lambda n_in, n_out: torch.nn.Linear(n_in, 7)),
        E,
        ("decoder", "rna", "7"),
    ),
    (
        "an encoder that takes no sizes",
        good,
        fit(encoder=lambda: torch.nn.Linear(3, 4)),
        T,
        ("encoder",),
    ),
    ("a likelihood class", good, fit(likelihood=Bernoulli), P, ("likelihood",)),
    (
        "init='factor_analysis' and bernoulli",
        having(rna=np.eye(8)[:, :3], adt=np.eye(8)[:, :2]),
        fit(PoEVAE, init="factor_analysis", likelihood="categorical"),
        E,
        ("init",),
    ),
    (
        "a parameter that is none",
        good,
        lambda est, X, f: est.set_params(n_latent=3),
        E,
        ("n_latent",),
    ),
    ("factor analysis of words", frame(a=["x", "y", "x"]), fit_fa(), E, ("a",)),
    ("factor analysis, latent_dim=0", good, fit_fa(latent_dim=0), P, ("latent_dim",)),
    ("factor analysis, max_iter=0", good, fit_fa(max_iter=0), P, ("max_iter",)),
    (
        "factor analysis, more factors than features",
        good,
        fit_fa(latent_dim=500),
        E,
        ("latent_dim",),
    ),
    (
        "checkpoint in a folder that is not there",
        good,
        lambda est, X, f: MVAE(**FAST, checkpoint=f / "no" / "a.ckpt").fit(X),
        OSError,
        ("no",),
    ),
]
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
    ("`transform(given=[])`", good, ask("transform", given=[]), E, ("given",)),
    ("`transform(given=1.5)`", good, ask("transform", given=1.5), E, ("1.5",)),
    ("`transform(given=True)`", good, ask("transform", given=True), E, ("True",)),
    ("`log_likelihood(of='atac')`", good, ask("log_likelihood", of="atac"), E, ("atac",)),
    (
        "`log_likelihood(of='rna', given='rna')`",
        good,
        ask("log_likelihood", of="rna", given="rna"),
        E,
        ("rna",),
    ),
    ("`log_likelihood(of=[])`", good, ask("log_likelihood", of=[]), E, ("of=",)),
    ("`log_likelihood(of=None)`", good, ask("log_likelihood", of=None), E, ("of",)),
    ("`acquire` unknown candidates", good, ask("acquire", candidates=["atac"]), E, ("atac",)),
    ("`acquire` unknown column", good, ask("acquire", candidates=[("rna", 7)]), E, ("7", "rna")),
    ("`acquire` no candidate", good, ask("acquire", candidates=[]), E, ("candidate",)),
    (
        "`acquire` candidate holds the target",
        good,
        ask("acquire", candidates=["rna"], target="rna"),
        E,
        ("target", "rna"),
    ),
    ("`acquire` cost missing", good, ask("acquire", costs={"rna": 1.0}), E, ("costs", "adt")),
    ("`acquire` costs short", good, ask("acquire", costs=[1.0]), E, ("costs", "1")),
    ("`acquire` cost zero", good, ask("acquire", costs=[1.0, 0.0]), E, ("costs", "adt")),
    ("`acquire` costs number", good, ask("acquire", costs=3), E, ("costs",)),
    (
        "`acquire` costs unknown",
        good,
        ask("acquire", costs={"rna": 1.0, "adt": 1.0, "atac": 2.0}),
        E,
        ("costs",),
    ),
    ("`sample(0)`", good, lambda est, X, f: est.sample(0), E, ("n_samples", "0")),
    ("`sample(2.5)`", good, lambda est, X, f: est.sample(2.5), E, ("n_samples", "2.5")),
    ("`sample(True)`", good, lambda est, X, f: est.sample(True), E, ("n_samples", "True")),
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
    ("`score` y", good, lambda est, X, f: est.score(X, sample_weight="a"), E, ("sample_weight",)),
    (
        "set_output of a wrong word",
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


def empty(folder):
    (folder / "empty").touch()
    return folder / "empty"


FILES = [
    ("`save` to a folder", good, lambda est, X, f: est.save(f), OSError, ("folder",)),
    (
        "`save` into a folder that is not there",
        good,
        lambda est, X, f: est.save(f / "no" / "m"),
        OSError,
        ("no",),
    ),
    ("`save(3)`", good, lambda est, X, f: est.save(3), T, ("path",)),
    (
        "`load` of a pickle",
        good,
        lambda est, X, f: skpoe.load(pickled(f)),
        FileFormatError,
        ("pickle",),
    ),
    (
        "`load` of an empty file",
        good,
        lambda est, X, f: skpoe.load(empty(f)),
        FileFormatError,
        ("empty",),
    ),
    ("`load` of no file", good, lambda est, X, f: skpoe.load(f / "none"), OSError, ("none",)),
    ("`load` of a folder", good, lambda est, X, f: skpoe.load(f), OSError, ("",)),
    ("report to a folder", good, lambda est, X, f: est.report(X, f), OSError, ("",)),
    ("cli: unknown command", good, lambda est, X, f: main(["fitt"]), SystemExit, ("",)),
    (
        "cli: unknown file",
        good,
        lambda est, X, f: main(
            ["fit", "MVAE", "--modality", f"rna={f}/none.csv", "--out", f"{f}/m"]
        ),
        SystemExit,
        ("",),
    ),
]
CONTAINER = [
    ("`Modalities([x, y])` of no tables", list, lambda est, X, f: Modalities(X), E, ("modalit",)),
    (
        "`Modalities` of an array",
        lambda: np.ones((3, 2)),
        lambda est, X, f: Modalities(X),
        (T),
        ("",),
    ),
    (
        "`Modalities` of different lengths",
        having(adt=np.ones((7, 2))),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`Modalities` of ragged",
        having(adt=[[1.0], [1.0, 2.0]]),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`Modalities` one axis",
        having(adt=np.ones(8)),
        lambda est, X, f: Modalities(X),
        E,
        ("adt",),
    ),
    (
        "`Modalities` width that is not",
        good,
        lambda est, X, f: Modalities(X, n_features={"adt": 5}),
        E,
        ("adt",),
    ),
    (
        "`Modalities` n_features of unknown",
        good,
        lambda est, X, f: Modalities(X, n_features={"atac": 5}),
        E,
        ("atac",),
    ),
    (
        "`Modalities` n_features negative",
        having(adt=None),
        lambda est, X, f: Modalities(X, n_features={"adt": -5}),
        E,
        ("adt",),
    ),
    (
        "`Modalities` mask shape",
        good,
        lambda est, X, f: Modalities(X, mask={"adt": np.ones(7, bool)}),
        E,
        ("adt", "mask"),
    ),
    (
        "`Modalities` mask unknown",
        good,
        lambda est, X, f: Modalities(X, mask={"atac": np.ones(8, bool)}),
        E,
        ("atac",),
    ),
    ("`X['atac']`", good, lambda est, X, f: Modalities(X)["atac"], KeyError, ("atac", "rna")),
    ("`X[9]`", good, lambda est, X, f: Modalities(X)[9], IndexError, ("9", "8")),
    ("`X[[9]]`", good, lambda est, X, f: Modalities(X)[[9]], IndexError, ("9", "8")),
    ("`X[:, 0]`", good, lambda est, X, f: Modalities(X)[:, 0], IndexError, ("rows",)),
    (
        "`X.select(['atac'])`",
        good,
        lambda est, X, f: Modalities(X).select(["atac"]),
        KeyError,
        ("atac",),
    ),
    (
        "`X.drop` all",
        good,
        lambda est, X, f: Modalities(X).drop(["rna", "adt"]),
        E,
        ("no modality",),
    ),
    (
        "`X.rename` clash",
        good,
        lambda est, X, f: Modalities(X).rename({"rna": "adt"}),
        E,
        ("same name",),
    ),
    ("`np.asarray(X)`", good, lambda est, X, f: np.asarray(Modalities(X)), T, ("to_numpy",)),
    (
        "`from_pandas`",
        frame(),
        lambda est, X, f: Modalities.from_pandas(X, {"m": ["zz"]}),
        E,
        ("zz",),
    ),
    (
        "`concat` widths",
        good,
        lambda est, X, f: Modalities.concat([Modalities(X), Modalities({"rna": np.ones((2, 7))})]),
        E,
        ("rna", "7"),
    ),
    ("`concat` nothing", good, lambda est, X, f: Modalities.concat([]), E, ("",)),
    ("`concat` dicts", good, lambda est, X, f: Modalities.concat([X]), T, ("",)),
]
MISTAKES = [
    Mistake(*m)
    for part in (DATA_IN_FIT, WEIGHTS, DATA_LATER, SUPPORT, PARAMETERS, METHODS, FILES, CONTAINER)
    for m in part
]
