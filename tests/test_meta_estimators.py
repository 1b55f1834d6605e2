"""Every tool of scikit-learn on every form of X, with every hole.

The law: what a tool returns (see tools.py) is finite, and the same for every form.
"""

import functools
import pickle
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from containers import CONTAINERS, CUTS, FORMS, GROUPS, HOLES, TABLES, WEIGHTS, build
from containers import LABELS as Y
from sklearn import model_selection as ms
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small import FAST, small
from tools import (
    BY_KIND,
    EXCEPTIONS,
    GRID,
    HANDS_ARRAYS_ON,
    ROUNDED,
    SCORERS,
    TOOLS,
    split_scores,
)

from skpoe import MVAE, MMVAEPlus, PerModality, PoEVAE, SphericalVAE

DOCS = (Path(__file__).parent.parent / "docs" / "scikit-learn.md").read_text()
# what scikit-learn's tools meet is the base class
ESTIMATORS = [PoEVAE, SphericalVAE, MMVAEPlus]
# many fits: all holes at once are enough
SLOW = [
    *[name for name in TOOLS if re.search("Search|LeaveOne|Stacking|Threshold|OneVs", name)],
    *["permutation_test_score", "learning_curve", "validation_curve", "cross_validate", "Optuna"],
]


# containers that tools meet alike, for how rows are read is no matter of theirs
ALIKE = CONTAINERS[2:]


def is_usual(n, form, holes):
    """Whether the n-th tool tries it each time: some are dealt out to the tools in turn."""
    if holes != "both":  # a table, which is compared with a container
        return form == TABLES[0] and holes == [*HOLES][n % 3]
    return form not in ALIKE or form == ALIKE[n % len(ALIKE)]


def cases():
    """Every tool on every form with every hole, but for the excused, and the excused."""
    good, excused = [], []
    for n, tool in enumerate(TOOLS):
        for form in FORMS:
            once = tool in SLOW or (tool, form) in EXCEPTIONS
            for holes in ["both"] if once else HOLES:
                if (tool, form) in EXCEPTIONS or (tool, form, holes) in EXCEPTIONS:
                    excused.append((tool, form, holes))
                    continue
                marks = [] if is_usual(n, form, holes) else [pytest.mark.slow]
                good.append(pytest.param(tool, form, holes, marks=marks))
    return good, excused


GOOD, EXCUSED = cases()


@functools.cache
def run(cls, tool, form, holes):
    vae = small(cls, **FAST, modalities=CUTS.get(form))
    return np.asarray(TOOLS[tool](vae, build(form, holes), Y), dtype=float)


def other_form(tool, form):
    """The first form of those that must give the same numbers."""
    kind = [TABLES, CONTAINERS][form in CONTAINERS] if tool in BY_KIND else FORMS
    return next((other for other in kind if (tool, other) not in EXCEPTIONS), form)


@pytest.mark.parametrize(("tool", "form", "holes"), GOOD)
def test_every_tool_on_every_form_with_every_hole(tool, form, holes):
    assert_same_on_other_form(tool, form, holes)


@pytest.mark.parametrize(("tool", "form", "holes"), EXCUSED)
def test_what_is_excused_fails(tool, form, holes):
    """It would be a strict xfail, but that writes out a long traceback each time."""
    with pytest.raises(Exception):  # noqa: B017, PT011
        assert_same_on_other_form(tool, form, holes)


def assert_same_on_other_form(tool, form, holes):
    result = run(MVAE, tool, form, holes)
    assert result.size
    assert np.isfinite(result).all()
    rounding = 1e-9 if tool in ROUNDED else 0
    expected = run(MVAE, tool, other_form(tool, form), holes)
    np.testing.assert_allclose(result, expected, rtol=rounding, atol=rounding)


def pairs():
    """Every tool with one of the other estimators in turn, and with the others where slow."""
    for n, tool in enumerate(TOOLS):
        for k, cls in enumerate(ESTIMATORS):
            mark = [] if n % len(ESTIMATORS) == k else [pytest.mark.slow]
            yield pytest.param(cls, tool, marks=mark)


@pytest.mark.parametrize(("cls", "tool"), list(pairs()))
def test_every_tool_with_every_estimator(cls, tool):
    form = next((form for form in FORMS if (tool, form) not in EXCEPTIONS), None)
    if form is None or (tool, form, "both") in EXCEPTIONS:
        pytest.skip("see EXCEPTIONS")
    result = run(cls, tool, form, "both")
    assert result.size
    assert np.isfinite(result).all()


@pytest.mark.parametrize("tool", HANDS_ARRAYS_ON)
def test_tools_that_hand_arrays_on_take_widths(tool):
    """What the docs offer for NAMELESS."""
    X = build("one DataFrame", "both")
    result = TOOLS[tool](MVAE(**FAST, modalities=CUTS["one array"]), X, Y)
    np.testing.assert_array_equal(result, run(MVAE, tool, "one array", "both"))


def test_docs_name_every_tool():
    for name in {re.match(r"\w+", tool)[0] for tool in TOOLS}:
        assert f"`{name}" in DOCS, name


def test_docs_name_every_exception():
    page = DOCS.split("## What does not")[1]
    for name in {re.match(r"\w+", tool)[0] for tool, *_ in EXCEPTIONS}:
        assert f"`{name}" in page, name


@pytest.mark.parametrize(
    ("cls", "holes"), [(ESTIMATORS[0], h) for h in HOLES] + [(c, "both") for c in ESTIMATORS[1:]]
)
def test_a_search_scores_containers_and_tables_alike(cls, holes):
    scorers = {name: SCORERS[name] for name in SCORERS if name != "LatentProbe"}  # it is slow
    scores = []
    for form in FORMS:
        found = ms.GridSearchCV(
            small(cls, **FAST, modalities=CUTS.get(form)), GRID, cv=2, scoring=scorers, refit=False
        )
        scores.append(split_scores(found.fit(build(form, holes), Y)))
    assert scores[0].shape == (2 * len(scorers), 2)
    assert len(np.unique(scores[0])) > 6  # neither folds nor settings are confused
    for other in scores[1:]:
        np.testing.assert_array_equal(scores[0], other)


def searched(cls=MVAE, **how):
    """A fitted search over a pipeline, on a container with holes."""
    pipeline = make_pipeline(PerModality(StandardScaler()), small(cls, **FAST))
    grid = {f"{cls.__name__.lower()}__{key}": values for key, values in GRID.items()}
    search = ms.GridSearchCV(pipeline, grid, cv=2, error_score="raise", **how)
    return search.fit(build("modalities of arrays", "both"))


def assert_same_search(a, b):
    np.testing.assert_array_equal(split_scores(a), split_scores(b))
    X = build("modalities of arrays", "entries")
    np.testing.assert_array_equal(a.transform(X), b.transform(X))


def test_two_jobs_find_what_one_finds():
    """One test, for processes are slow to start."""
    for cls in ESTIMATORS:
        assert_same_search(searched(cls, n_jobs=2), searched(cls))
    with joblib.parallel_config(backend="loky", n_jobs=2):
        found = searched()
    assert_same_search(found, searched())


def test_threads_of_joblib_find_what_one_process_finds():
    with joblib.parallel_config(backend="threading", n_jobs=2):
        found = searched()
    assert_same_search(found, searched())


# of joblib 1.5, about distributed
@pytest.mark.filterwarnings("ignore:`apply_async` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_dask_finds_what_one_process_finds(processes):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=processes,
            host="127.0.0.1",
            protocol="tcp",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = searched()
    assert_same_search(found, searched())


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_searches_survive_pickling(cls, pickler):
    found = searched(cls, n_jobs=1)
    again = pickle.loads(pytest.importorskip(pickler).dumps(found))
    assert_same_search(again, found)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def weighted(cls=MVAE):
    est = small(cls, **FAST).set_fit_request(sample_weight=True)
    return est.set_score_request(sample_weight=True)


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_weights_are_routed_through_a_search_and_a_pipeline(cls):
    X = build("modalities of arrays", "both")
    scaler = PerModality(StandardScaler())
    # older versions of scikit-learn ask the Pipeline itself, not its last step
    pipeline = make_pipeline(scaler, weighted(cls)).set_score_request(sample_weight=True)
    search = ms.GridSearchCV(pipeline, {}, cv=3, error_score="raise")
    search.fit(X, sample_weight=WEIGHTS)

    def by_hand(train):
        scaled = clone(scaler).fit(X[train])
        vae = small(cls, **FAST).fit(scaled.transform(X[train]), sample_weight=WEIGHTS[train])
        return scaled, vae

    for k, (train, test) in enumerate(ms.KFold(3).split(X)):
        scaled, vae = by_hand(train)
        score = vae.score(scaled.transform(X[test]), sample_weight=WEIGHTS[test])
        assert search.cv_results_[f"split{k}_test_score"] == score
    scaled, vae = by_hand(np.arange(len(X)))
    np.testing.assert_array_equal(search.transform(X), vae.transform(scaled.transform(X)))
    ignored = small(cls, **FAST).fit(scaled.transform(X))
    assert not np.allclose(search.transform(X), ignored.transform(scaled.transform(X)))


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_to_a_step_before_a_classifier():
    X = build("modalities of arrays", "both")
    model = make_pipeline(
        weighted(), LogisticRegression().set_fit_request(sample_weight=False)
    ).fit(X, Y, sample_weight=WEIGHTS)
    Z = MVAE(**FAST).fit(X, sample_weight=WEIGHTS).transform(X)
    np.testing.assert_array_equal(model[:-1].transform(X), Z)
    np.testing.assert_array_equal(
        model.predict_proba(X), LogisticRegression().fit(Z, Y).predict_proba(Z)
    )


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_weights_that_nobody_asked_for_are_refused(cls):
    X = build("modalities of arrays", "both")
    for model in (small(cls, **FAST), make_pipeline(small(cls, **FAST))):
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            ms.GridSearchCV(model, {}, cv=2, error_score="raise").fit(X, sample_weight=WEIGHTS)


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("form", FORMS)
def test_groups_are_routed_to_the_folds_of_a_search(form):
    groups = np.random.default_rng(0).permutation(GROUPS)
    X, folds = build(form, "both"), ms.GroupKFold(3)
    vae = MVAE(**FAST, modalities=CUTS.get(form))
    found = ms.GridSearchCV(vae, GRID, cv=folds, error_score="raise").fit(X, groups=groups)
    same = ms.GridSearchCV(vae, GRID, cv=[*folds.split(X, groups=groups)]).fit(X)
    np.testing.assert_array_equal(split_scores(found), split_scores(same))
    other = ms.GridSearchCV(vae, GRID, cv=3).fit(X)
    assert (split_scores(found) != split_scores(other)).all()
