"""Laws that hold whatever the rows, their holes and their form are; hypothesis looks for others.

``python -m pytest tests/test_properties.py --hypothesis-profile=thorough -n 0`` looks for long.
"""

import functools
import itertools

import numpy as np
import pandas as pd
import pytest
from arbitrary import (
    KEEP_DTYPE,
    KINDS_OF_COLUMNS,
    TABLES,
    containers,
    dense,
    frames,
    parts,
    picture,
    rows,
    widths,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from small import FAST, NAMES, WIDTHS, fitted, named, small

from skpoe import MIWAE, MVAE, Modalities, MultimodalFactorAnalysis, PoEVAE, load

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*importance samples count effectively"),
    pytest.mark.filterwarnings("ignore:Some columns have no observed value"),
    pytest.mark.filterwarnings("ignore:.*was still changing by more than tol"),
]
every_kind = pytest.mark.parametrize("cls", WIDTHS)
SAME = {"rtol": 1e-10, "atol": 1e-10}
SINGLE = {"rtol": 1e-5, "atol": 1e-5}


def answers(est, X):
    """What an estimator says of X, as float arrays; X is as it was."""
    before = picture(X)
    said = {"transform": est.transform(X), "score_samples": est.score_samples(X)}
    filled, (drawn, _) = est.predict_missing(X), est.impute(X, 2)
    said |= {f"predict_missing {name}": dense(x) for name, x in parts(filled).items()}
    said |= {f"impute {name}": dense(x) for name, x in parts(drawn).items()}
    assert picture(X) == before, "the caller's data were changed"
    for name, value in said.items():
        assert np.isfinite(value).all(), name
    return said


def assert_same(said, expected, at=slice(None), how=SAME, leave=()):
    assert set(said) == set(expected)
    for name, value in said.items():
        if not name.startswith(tuple(leave)):
            np.testing.assert_allclose(value, expected[name][at], err_msg=name, **how)


def are_alone(arrays):
    """Rows that no other row is like, to the single precision of keys: their noise is theirs."""
    X = np.hstack(arrays)
    alike = np.isclose(X[:, None], X, rtol=1e-5, atol=1e-5, equal_nan=True).all(axis=-1)
    return alike.sum(axis=1) == 1


# --- what comes back


def bits(x, shown):
    return np.ascontiguousarray(x[shown]).tobytes()


def assert_filled(old, new, expected):
    """A table came back: its form, labels and dtypes, what it showed, and no hole."""
    if old is None:
        assert new.shape == expected.shape
    else:
        assert type(new) is type(old) or isinstance(old, np.ndarray) or hasattr(old, "tocsr")
        assert new.shape == old.shape
        shown = ~np.isnan(expected)
        assert bits(dense(new), shown) == bits(dense(old), shown)
    if isinstance(old, pd.DataFrame):
        pd.testing.assert_index_equal(new.index, old.index)
        pd.testing.assert_index_equal(new.columns, old.columns)
        assert new.dtypes.tolist() == old.dtypes.tolist()
    elif old is not None and old.dtype != object:
        assert new.dtype == old.dtype
    assert not np.isnan(dense(new)).any()


@every_kind
@given(data=st.data())
def test_what_was_shown_comes_back_to_the_bit(cls, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    arrays = data.draw(rows(WIDTHS[cls], dtype=dtype))
    X = data.draw(containers(arrays, NAMES[: len(arrays)]))
    if isinstance(X, (list, tuple)) and len(X) == 1:
        X = dict(zip(NAMES, X, strict=False))
    est, before = fitted(cls), picture(X)
    for new in (est.predict_missing(X), *est.impute(X, 2)):
        assert type(new) is type(X)
        whole, back = parts(X), parts(new)
        for m, (name, array) in enumerate(zip(NAMES, arrays, strict=False)):
            key = m if isinstance(X, (list, tuple)) else name
            assert_filled(whole[key], back[key], array)
    assert picture(X) == before


CUT = {"numbers": ["dose", "word", "weight"], "rest": ["visits", "smokes", "town", "grade"]}


@functools.cache
def fitted_on_columns(cls):
    at = np.random.default_rng(0).integers(0, 9, size=24)
    frame = pd.DataFrame(
        {
            "dose": at + 0.5 * (at % 2),
            "weight": 50.5 - at,
            "visits": at,
            "smokes": at > 4,
            "town": np.array(["oslo", "rome", "bonn"])[at % 3],
            "grade": np.array(["low", "mid", "high"])[at // 3],
            "word": np.array(["yes", "no"])[at % 2],
        }
    ).astype({name: dtype for name, (dtype, _) in KINDS_OF_COLUMNS.items()})
    return small(cls, **FAST, likelihood="auto", modalities=CUT).fit(frame)


@pytest.mark.parametrize("cls", [PoEVAE, MVAE, MIWAE])
@given(frame=frames(), data=st.data())
def test_columns_of_several_kinds_come_back_as_they_came(cls, frame, data):
    est, before = fitted_on_columns(cls), picture(frame)
    filled, (drawn, _) = est.predict_missing(frame), est.impute(frame, 2)
    for new in (filled, drawn):
        assert new.dtypes.tolist() == frame.dtypes.tolist()
        pd.testing.assert_index_equal(new.index, frame.index)
        assert not new.isna().any(axis=None)
        for name, column in frame.items():
            shown = column.notna().to_numpy()
            pd.testing.assert_series_equal(new[name][shown], column[shown])
    assert np.isfinite(est.score_samples(frame)).all()
    order = np.array(data.draw(st.permutations(range(len(frame)))))
    again = est.predict_missing(frame.iloc[order])
    pd.testing.assert_frame_equal(again, filled.iloc[order], rtol=1e-6)
    assert picture(frame) == before


# --- rows do not know of each other


@every_kind
@given(data=st.data())
def test_rows_do_not_know_their_order_nor_their_company(cls, data):
    arrays = data.draw(rows(WIDTHS[cls]))
    n, est = len(arrays[0]), fitted(cls)
    whole = answers(est, named(arrays))
    order = np.array(data.draw(st.permutations(range(n))))
    turned = answers(est, named([x[order] for x in arrays]))
    alone = are_alone(arrays)  # draws of rows that are alike are dealt out in their order
    assert_same(turned, whole, order, leave=["impute"])
    draws = {name: x for name, x in whole.items() if name.startswith("impute")}
    for name, x in draws.items():
        np.testing.assert_allclose(turned[name][alone[order]], x[order][alone[order]], **SAME)
    cut = data.draw(st.integers(1, n))
    for part in (slice(0, cut), slice(cut, n)):
        if (here := [x[part] for x in arrays])[0].size:
            assert_same(answers(est, named(here)), whole, part, leave=["impute"])
    more = [np.vstack([x, np.full_like(x[:2], np.nan)]) for x in arrays]
    beside = answers(est, named(more))
    assert_same({name: x[:n] for name, x in beside.items()}, whole, leave=["impute"])
    nothing = beside["score_samples"][n:]
    np.testing.assert_allclose(nothing, 0, atol=1e-9)


# --- the form does not matter


@every_kind
@given(data=st.data())
def test_the_same_values_in_two_forms_give_the_same(cls, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    arrays = data.draw(rows(WIDTHS[cls], dtype=dtype))
    names, est = NAMES[: len(arrays)], fitted(cls)
    tables = KEEP_DTYPE if dtype == np.float32 else list(TABLES)
    X = data.draw(containers(arrays, names, tables))
    if isinstance(X, (list, tuple)):  # results are compared by name
        X = named(X)
    assert_same(answers(est, X), answers(est, named(arrays)))


WHOLE = [np.int64, np.int8, np.uint16, bool, np.float32]


@every_kind
@given(data=st.data())
def test_integers_and_truth_values_are_numbers(cls, data):
    """Read as doubles, whatever else there is; results of a mixture too."""
    low, high = data.draw(st.sampled_from([(0, 1), (0, 100)]))
    dtypes = [data.draw(st.sampled_from(WHOLE)) for _ in WIDTHS[cls]]
    assume(not all(dtype == np.float32 for dtype in dtypes))
    n = data.draw(st.integers(1, 12))
    seed = data.draw(st.integers(0, 99))
    numbers = np.random.default_rng(seed).integers(low, high, (n, sum(WIDTHS[cls])), endpoint=True)
    arrays = np.split(numbers, np.cumsum(WIDTHS[cls])[:-1], axis=1)
    arrays = [x.astype(dtype) for x, dtype in zip(arrays, dtypes, strict=True)]
    X, est = named(arrays), fitted(cls)
    expected = answers(est, {name: x.astype(float) for name, x in X.items()})
    assert_same(answers(est, X), expected)
    for name, x in est.predict_missing(X).items():
        assert x.dtype == X[name].dtype
        assert x is not X[name]


# --- what is missing says nothing


@every_kind
@given(data=st.data())
def test_a_modality_that_is_missing_may_be_said_so_in_any_way(cls, data):
    arrays = data.draw(rows(WIDTHS[cls]))
    names, est = NAMES[: len(arrays)], fitted(cls)
    gone = data.draw(st.sets(st.sampled_from(names), max_size=len(names) - 1))
    X = named(arrays)
    hidden = {name: np.full_like(x, np.nan) if name in gone else x for name, x in X.items()}
    expected = answers(est, hidden)
    assert_same(answers(est, {**hidden, **dict.fromkeys(gone)}), expected)
    masked = Modalities(
        X, mask={name: np.zeros(len(x), bool) for name, x in X.items() if name in gone}
    )
    assert_same(answers(est, masked), expected)
    Z = est.transform(X, given=[name for name in names if name not in gone])
    np.testing.assert_array_equal(Z, expected["transform"])


# --- fit

FITS = {
    "factor analysis": lambda **p: MultimodalFactorAnalysis(
        latent_dim=1, shrinkage=0.1, max_iter=3, **p
    ),
    "MVAE": lambda **p: small(MVAE, **FAST | {"max_iter": 1, "hidden_layer_sizes": ()}, **p),
    "PoEVAE": lambda **p: small(PoEVAE, **FAST | {"max_iter": 1, "hidden_layer_sizes": ()}, **p),
}
every_fit = pytest.mark.parametrize("fit", FITS.values(), ids=FITS)


@st.composite
def learned(draw, **how):
    """Rows that can be learned from: something is shown."""
    arrays = draw(rows(draw(widths), n_rows=draw(st.integers(2, 12)), **how))
    assume(not all(np.isnan(x).all() for x in arrays))
    return arrays


@every_fit
@given(data=st.data())
def test_fit_reads_every_form_alike(fit, data):
    arrays = data.draw(learned())
    names = NAMES[: len(arrays)]
    X = data.draw(containers(arrays, names))
    if isinstance(X, (list, tuple)):
        X = named(X)
    X = Modalities(X, n_features=dict(zip(names, (x.shape[1] for x in arrays), strict=True)))
    est, plain = fit().fit(X), fit().fit(Modalities(named(arrays)).select(X.names))
    assert_same(answers(est, X), answers(plain, named(arrays)))


@every_fit
@given(data=st.data())
def test_fit_reads_one_table_as_its_modalities(fit, data):
    arrays = data.draw(learned())
    sizes = [x.shape[1] for x in arrays]
    labels = [
        [f"{name}{f}" for f in range(size)] for name, size in zip(NAMES, sizes, strict=False)
    ]
    by_name = Modalities({f"modality_{m}": x for m, x in enumerate(arrays)})
    apart = fit().fit(by_name)
    table = np.hstack(arrays)
    frame = pd.DataFrame(
        table, columns=list(itertools.chain(*labels)), index=[f"r{n}" for n in range(len(table))]
    )
    cut = {f"modality_{m}": where for m, where in enumerate(labels)}
    for X, modalities in ((table, sizes), (TABLES["csr"](table), sizes), (frame, cut)):
        est, before = fit(modalities=modalities).fit(X), picture(X)
        np.testing.assert_allclose(est.transform(X), apart.transform(by_name), **SAME)
        np.testing.assert_allclose(est.score_samples(X), apart.score_samples(by_name), **SAME)
        filled = est.predict_missing(X)
        assert_filled(X, filled, table)
        expected = apart.predict_missing(by_name).to_numpy()
        np.testing.assert_allclose(dense(filled), expected, **SAME)
        assert picture(X) == before


@given(arrays=learned(), data=st.data())
def test_factor_analysis_does_not_know_the_order_of_modalities_nor_of_rows(arrays, data):
    make, X = FITS["factor analysis"], named(arrays)
    expected = answers(make().fit(X), X)
    order = np.array(data.draw(st.permutations(range(len(arrays[0])))))
    names = data.draw(st.permutations(list(X)))
    Y = {name: X[name][order] for name in names}
    again = make().fit(Y)
    said = answers(again, Y)
    for name in expected:
        if name.startswith(("score", "predict")):
            np.testing.assert_allclose(said[name], expected[name][order], rtol=1e-6, atol=1e-6)


@every_fit
@given(arrays=learned())
def test_a_saved_estimator_says_the_same(fit, arrays, tmp_path_factory):
    X = named(arrays)
    est = fit().fit(X)
    again = load(est.save(tmp_path_factory.mktemp("saved") / "model.skpoe"))
    expected = answers(est, X)
    for name, value in answers(again, X).items():
        np.testing.assert_array_equal(value, expected[name])
