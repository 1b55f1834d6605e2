"""Folds that are even in the patterns of what is missing."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from skpoe import MVAE, Modalities
from skpoe.model_selection import MissingnessSplit


def make(patterns, seed=0):
    """Two tables whose rows show what the patterns say: "rna", "adt", "both" or "none"."""
    rng = np.random.default_rng(seed)
    patterns = np.asarray(patterns)
    rna, adt = rng.normal(size=(len(patterns), 3)), rng.normal(size=(len(patterns), 2))
    rna[np.isin(patterns, ["adt", "none"])] = np.nan
    adt[np.isin(patterns, ["rna", "none"])] = np.nan
    return {"rna": rna, "adt": adt}


def some(seed=0, **sizes):
    return np.random.default_rng(seed).permutation(np.repeat(list(sizes), list(sizes.values())))


def folds_of(split, X, y=None):
    """The test rows of each fold, checked to be a partition, with train as the complement."""
    folds = list(split.split(X, y))
    n = sum(len(test) for _, test in folds)
    assert len(folds) == split.get_n_splits(X, y)
    np.testing.assert_array_equal(np.sort(np.concatenate([t for _, t in folds])), np.arange(n))
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.append(train, test)), np.arange(n))
    return [test for _, test in folds]


FORMS = {
    "dict": dict,
    "list": lambda t: list(t.values()),
    "tuple": lambda t: tuple(t.values()),
    "Modalities": Modalities,
    "rows of Modalities": lambda t: Modalities({n: x[::-1] for n, x in t.items()})[::-1],
    "with None": lambda t: Modalities({**t, "atac": None}),
    "frames": lambda t: {n: pd.DataFrame(x) for n, x in t.items()},
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_each_fold_has_its_share_of_each_pattern(form):
    patterns = some(both=50, rna=23, adt=10)
    X = FORMS[form](make(patterns))
    tests = folds_of(MissingnessSplit(5, random_state=0), X)
    assert sorted(map(len, tests)) == [16, 16, 17, 17, 17]
    assert [np.sum(patterns[t] == "both") for t in tests] == [10] * 5
    assert sorted(np.sum(patterns[t] == "rna") for t in tests) == [4, 4, 5, 5, 5]
    assert [np.sum(patterns[t] == "adt") for t in tests] == [2] * 5
    reference = folds_of(MissingnessSplit(5, random_state=0), make(patterns))
    for test, expected in zip(tests, reference, strict=True):
        np.testing.assert_array_equal(test, expected)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_law_over_random_patterns(seed, shuffle):
    """Sizes differ by at most 1, and so do counts of strata; rare patterns are one stratum."""
    rng = np.random.default_rng(seed)
    n_splits, n = rng.integers(2, 7), rng.integers(8, 60)
    X = np.where(rng.random((n, 4)) < rng.random(4), rng.normal(size=(n, 4)), np.nan)
    X = np.where(rng.random((n, 1)) < 0.1, np.nan, X)
    split = MissingnessSplit(n_splits, shuffle=shuffle, random_state=seed if shuffle else None)
    tests = folds_of(split, X)
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= 1
    patterns = ["".join("01"[int(v)] for v in row) for row in ~np.isnan(X)]
    strata = np.array([p if patterns.count(p) >= n_splits else "rare" for p in patterns])
    for stratum in set(strata):
        counts = [np.sum(strata[test] == stratum) for test in tests]
        assert max(counts) - min(counts) <= 1


def test_rare_patterns_are_pooled_without_a_warning():
    patterns = some(both=20, rna=2, adt=1, none=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tests = folds_of(MissingnessSplit(4, random_state=0), make(patterns))
        few = folds_of(MissingnessSplit(5, random_state=0), make(some(both=8, rna=1)))
        all_rare = folds_of(MissingnessSplit(4, random_state=0), make(some(both=3, rna=3)))
    assert [np.sum(patterns[t] != "both") for t in tests] == [1, 1, 1, 1]
    assert sorted(map(len, few)) == [1, 2, 2, 2, 2]
    assert sorted(map(len, all_rare)) == [1, 1, 2, 2]


def test_entries_make_a_pattern_in_a_table_and_not_in_a_modality():
    X = np.ones((12, 2))
    X[:6, 1] = np.nan
    tests = folds_of(MissingnessSplit(3, shuffle=False), X)
    assert [np.sum(t < 6) for t in tests] == [2, 2, 2]
    # as modalities all rows show both, so there is one stratum, dealt out in blocks
    tests = folds_of(MissingnessSplit(3, shuffle=False), {"one": X})
    assert [t.tolist() for t in tests] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    words = pd.DataFrame({"a": ["x", None] * 6, "b": range(12)})
    assert [np.sum(t % 2) for t in folds_of(MissingnessSplit(3, random_state=0), words)] == [2] * 3


@pytest.mark.parametrize("kind", [str, int, bool])
def test_patterns_and_classes_together(kind):
    patterns = np.repeat(["both", "rna"], [24, 12])
    y = np.tile([0, 1, 1], 12).astype(bool).astype(kind)
    tests = folds_of(MissingnessSplit(4, stratify_y=True, random_state=0), make(patterns), y)
    high = y == kind(True)
    for t in tests:
        assert np.sum(patterns[t] == "both") == 6
        assert np.sum(high[t] & (patterns[t] == "both")) == 4
        assert np.sum(high[t] & (patterns[t] == "rna")) == 2


def test_y_is_ignored_unless_asked_for():
    X = make(some(both=9, rna=6))
    split = MissingnessSplit(3, random_state=0)
    with_y = folds_of(split, X, np.linspace(0, 1, 15))
    for a, b in zip(folds_of(split, X), with_y, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_int_repeats_and_none_does_not_and_no_global_state_moves():
    X = make(some(both=60, rna=30))
    state = np.random.get_state()
    assert str(folds_of(MissingnessSplit(random_state=3), X)) == str(
        folds_of(MissingnessSplit(random_state=3), X)
    )
    fresh = MissingnessSplit()
    assert str(folds_of(fresh, X)) != str(folds_of(fresh, X))
    one, two = np.random.RandomState(3), np.random.RandomState(3)
    assert str(folds_of(MissingnessSplit(random_state=one), X)) == str(
        folds_of(MissingnessSplit(random_state=two), X)
    )
    after = np.random.get_state()
    assert state[2:] == after[2:]
    np.testing.assert_array_equal(state[1], after[1])


def test_data_are_not_written_to():
    X = make(some(both=9, rna=6))
    for x in X.values():
        x.flags.writeable = False
    folds_of(MissingnessSplit(3), X)


def test_searches_and_scores_take_it():
    patterns = some(both=20, rna=6, adt=4)
    X = Modalities(make(patterns))
    vae = MVAE(latent_dim=2, max_iter=2, random_state=0)
    split = MissingnessSplit(2, random_state=0)
    search = GridSearchCV(vae, {"latent_dim": [1, 2]}, cv=split).fit(X)
    assert search.n_splits_ == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    by_hand = [clone(vae).fit(X[train]).score(X[test]) for train, test in split.split(X)]
    np.testing.assert_array_equal(cross_val_score(vae, X, cv=split), by_hand)


def test_repr():
    assert repr(MissingnessSplit(3, random_state=0)) == (
        "MissingnessSplit(n_splits=3, random_state=0, shuffle=True, stratify_y=False)"
    )


MISTAKES = {
    "one fold": (
        lambda: MissingnessSplit(1),
        "k-fold cross-validation requires at least one train/test split by setting n_splits=2 or "
        "more, got n_splits=1.",
    ),
    "seed without shuffle": (
        lambda: MissingnessSplit(shuffle=False, random_state=0),
        "Setting a random_state has no effect since shuffle is False.",
    ),
    "stratify_y is a word": (
        lambda: MissingnessSplit(stratify_y="yes"),
        "stratify_y must be True or False; got 'yes'.",
    ),
    "few rows": (
        lambda: folds_of(MissingnessSplit(4), np.ones((3, 2))),
        "Cannot have number of splits n_splits=4 greater than the number of samples: 3.",
    ),
    "no y": (
        lambda: folds_of(MissingnessSplit(2, stratify_y=True), np.ones((4, 2))),
        "stratify_y=True needs a y of classes, 'binary' or 'multiclass'. Got 'None' instead.",
    ),
    "continuous y": (
        lambda: folds_of(
            MissingnessSplit(2, stratify_y=True), np.ones((4, 2)), [0.1, 0.2, 0.3, 1]
        ),
        "stratify_y=True needs a y of classes, 'binary' or 'multiclass'. "
        "Got 'continuous' instead.",
    ),
    "short y": (
        lambda: folds_of(MissingnessSplit(2, stratify_y=True), np.ones((4, 2)), [0, 1, 1]),
        "Found input variables with inconsistent numbers of samples: [4, 3]",
    ),
    "one axis": (
        lambda: folds_of(MissingnessSplit(2), np.ones(4)),
        "Modality 'X' must be an array or DataFrame with two axes (samples, features), or an "
        "array with more, such as (samples, channels, height, width); got (4,).",
    ),
    "sparse": (
        lambda: folds_of(MissingnessSplit(2), scipy.sparse.csr_array(np.eye(4))),
        "Modality 'X' is a csr_array. Missingness is simulated and split in dense numpy arrays "
        "and pandas DataFrames only: convert it first.",
    ),
}


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_mistakes(mistake):
    make_it, message = MISTAKES[mistake]
    with pytest.raises((ValueError, TypeError)) as info:
        make_it()
    assert str(info.value).startswith(message)


def test_groups_warn():
    with pytest.warns(UserWarning, match="The groups parameter is ignored by MissingnessSplit"):
        list(MissingnessSplit(2).split(np.ones((4, 2)), groups=[0, 0, 1, 1]))
