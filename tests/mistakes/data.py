"""Data that cannot be read, in fit and after it, and weights of their rows."""

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from sklearn.base import clone

from skpoe import MVAE

from .words import FAST, E, P, T, ask, cell, columns_named, fit, fit_then, good, having

DATA_IN_FIT = [
    ("no modality", list, fit(), E, ("no modality",)),
    ("one modality in a list", lambda: [good()["rna"]], fit(), E, ("list with one modality",)),
    ("a list of numbers", lambda: [1.0, 2.0, 3.0], fit(), E, ("2D array", "reshape")),
    (
        "a name that is no word",
        lambda: {1: good()["rna"], "adt": good()["adt"]},
        fit(),
        T,
        ("str", "1"),
    ),
    (
        "a list of tables and a column",
        lambda: [good()["rna"], np.ones(8)],
        fit(),
        E,
        ("X", "(8, 3), (8,)"),
    ),
    ("numbers beyond 1e150", having(adt=np.full((8, 2), 1e300)), fit(), E, ("adt", "Rescale")),
    ("a list of ragged rows", lambda: [[1.0, 2.0], [3.0]], fit(), E, ("X",)),
    ("a list of a ragged row", lambda: [["a", []]], fit(), E, ("X is a list",)),
    ("a DataFrame without columns", lambda: pd.DataFrame(index=range(8)), fit(), E, ("column",)),
    (
        "a whole number that no float holds",
        having(adt=np.full((8, 2), 10**400, dtype=object)),
        fit(),
        E,
        ("adt", "too large"),
    ),
    (
        "one table with a whole number that no float holds",
        lambda: [[10**400, 1.0], [2.0, 3.0]],
        fit(),
        E,
        ("X", "too large"),
    ),
    ("X is None", lambda: None, fit(), E, ("X",)),
    ("X is a number", lambda: 3.0, fit(), E, ("X",)),
    ("X is a word", lambda: "rna.csv", fit(), E, ("X",)),
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
        "DataFrames of different indexes",
        lambda: {
            name: pd.DataFrame(
                x, index=[f"{name}{i}" for i in range(8)], columns=list("abc")[: x.shape[1]]
            )
            for name, x in good().items()
        },
        fit(),
        E,
        ("rna", "adt", "indexes"),
    ),
    (
        "rows of a DataFrame beside other rows of it",
        lambda: {
            "rna": pd.DataFrame(np.ones((16, 3))).iloc[:8],
            "adt": pd.DataFrame(np.ones((16, 2))).iloc[8:],
        },
        fit(),
        E,
        ("rna", "adt", "indexes"),
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
    ("a word in an array of objects", cell("high", object), fit(), E, ("adt", "high")),
    ("a dict in an array of objects", cell({}, object), fit(), T, ("adt", "dict")),
    ("complex numbers", having(adt=good()["adt"] * 1j), fit(), E, ("adt", "omplex")),
    (
        "an array of dates",
        having(adt=np.full((8, 2), np.datetime64("2020-01-01"))),
        fit(),
        E,
        ("adt", "dates"),
    ),
    (
        "a word among numbers in a DataFrame",
        having(adt=pd.DataFrame({"dose": [1, 2, "q", 4, 5, 6, 7, 8]})),
        fit(),
        E,
        ("adt", "dose", "q", "row 2"),
    ),
    (
        "dates in a DataFrame",
        having(adt=pd.DataFrame({"day": pd.date_range("2020-01-01", periods=8)})),
        fit(),
        E,
        ("adt", "day", "dates"),
    ),
    (
        "levels, and a likelihood of numbers",
        having(adt=pd.DataFrame({"town": pd.Categorical(["a", "b"] * 4)})),
        fit(),
        E,
        ("town", "adt"),
    ),
    (
        "a tensor of complex numbers",
        having(adt=torch.ones(8, 2, dtype=torch.complex64)),
        fit(),
        E,
        ("adt", "omplex"),
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
        ("same name", "a"),
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
    (
        "modalities= names none",
        lambda: np.ones((8, 3)),
        fit(modalities={}),
        E,
        ("modalities={}",),
    ),
    (
        "modalities= gives ragged positions",
        lambda: np.ones((8, 3)),
        fit(modalities={"a": [0, [1, 2]]}),
        E,
        ("modalities['a']",),
    ),
    (
        "modalities= gives positions in two axes",
        lambda: np.ones((8, 3)),
        fit(modalities={"a": [[0], [1], [2]]}),
        E,
        ("modalities['a']",),
    ),
    (
        "modalities= gives lists for names of columns",
        lambda: pd.DataFrame(np.ones((8, 3)), columns=list("abc")),
        fit(modalities={"a": ["a", ["b", "c"]]}),
        E,
        ("modalities['a']",),
    ),
    ("modalities= is a word", lambda: np.ones((8, 3)), fit(modalities="rna"), P, ("modalities",)),
]

WEIGHTS = [
    ("too few weights", good, fit(weight=np.ones(7)), E, ("sample_weight",)),
    ("weights with two axes", good, fit(weight=np.ones((8, 2))), E, ("sample_weight", "(8, 2)")),
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
    (
        "a weight for one row, and `early_stopping=True`",
        good,
        fit(weight=np.r_[1.0, np.zeros(7)], early_stopping=True),
        E,
        ("early_stopping=True", "2 rows", "1"),
    ),
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
        "then no rows",
        lambda: {n: x[:0] for n, x in good().items()},
        ask("transform"),
        E,
        ("rna", "0 sample"),
    ),
    ("then infinity", cell(np.inf), ask("transform"), E, ("adt", "infinity")),
    ("then words", cell("high", object), ask("transform"), E, ("adt", "high")),
    (
        "then complex numbers",
        having(adt=good()["adt"] * 1j),
        ask("transform"),
        E,
        ("adt", "omplex"),
    ),
    (
        "then every modality None",
        lambda: {"rna": None, "adt": None},
        ask("sample_conditional"),
        E,
        ("None",),
    ),
    ("then different lengths", having(adt=np.ones((7, 2))), ask("score_samples"), E, ("adt",)),
    (
        "modalities after a fit on one table",
        good,
        lambda est, X, f: MVAE(**FAST).fit(X["rna"]).transform(X),
        E,
        ("one table",),
    ),
    (
        "other columns than in fit",
        columns_named("a", "b", "new"),
        fit_then("transform", columns_named("a", "b", "c")),
        E,
        ("rna", "new"),
    ),
    (
        "columns in another order",
        columns_named("b", "a", "c"),
        fit_then("transform", columns_named("a", "b", "c")),
        E,
        ("rna", "order"),
    ),
    (
        "`partial_fit` of another width",
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
        "then 2, after a fit on 0 and 1",
        having(adt=np.full((8, 2), 2.0)),
        fit_then("transform", having(adt=np.eye(8)[:, :2]), likelihood=["gaussian", "bernoulli"]),
        E,
        ("adt", "2"),
    ),
]
