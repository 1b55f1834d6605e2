"""Simulated missingness: exact counts, what it depends on, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.sparse.csgraph import maximum_bipartite_matching
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skpoe import MVAE, Modalities
from skpoe.datasets import DropEntries, DropModalities, drop_entries, drop_modalities

MECHANISMS = ["mcar", "mar", "mnar"]


@pytest.fixture
def tables():
    """20 rows; rna is shown by all, adt by 16, and one entry of each is missing besides."""
    rng = np.random.default_rng(0)
    rna, adt = rng.normal(size=(20, 4)), rng.normal(size=(20, 3))
    adt[:4] = np.nan
    rna[19, 0] = adt[18, 1] = np.nan
    return {"modality_0": rna, "modality_1": adt}


def frames(tables):
    index = [f"cell{i}" for i in range(20)]
    return {
        name: pd.DataFrame(x, index=index, columns=[f"{name}_{j}" for j in range(x.shape[1])])
        for name, x in tables.items()
    }


FORMS = {
    "list": lambda t: list(t.values()),
    "tuple": lambda t: tuple(t.values()),
    "dict": dict,
    "Modalities": Modalities,
    "rows of Modalities": lambda t: Modalities({n: np.vstack([x[:3], x]) for n, x in t.items()})[
        3:
    ],
    "list of frames": lambda t: list(frames(t).values()),
    "dict of frames": frames,
    "Modalities of frames": lambda t: Modalities(frames(t)),
}
TABLES = {
    "array": lambda t: np.hstack(list(t.values())),
    "frame": lambda t: pd.concat(frames(t).values(), axis=1),
}


def parts(X):
    if isinstance(X, (np.ndarray, pd.DataFrame)):
        return [np.asarray(X)]
    return [
        np.asarray(x) for x in (X if isinstance(X, (list, tuple)) else dict(X.items()).values())
    ]


def lost(X, X_new):
    """What is missing in X_new and not in X, a mask a table; all else is equal."""
    masks = []
    for x, new in zip(parts(X), parts(X_new), strict=True):
        masks.append(np.isnan(new) & ~np.isnan(x))
        np.testing.assert_array_equal(new[~masks[-1]], x[~masks[-1]])
    return masks


def same(X, Y):
    for x, y in zip(parts(X), parts(Y), strict=True):
        np.testing.assert_array_equal(x, y)


# --- exact counts, in every form and by every mechanism


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("form", sorted(FORMS))
def test_modalities_are_dropped_whole_an_exact_number_of_times(tables, form, mechanism):
    X = FORMS[form](tables)
    dropped = drop_modalities(
        X, 0.3, modalities=["modality_1"], mechanism=mechanism, random_state=0
    )
    assert type(dropped) is type(X)
    rna, adt = lost(X, dropped)
    assert not rna.any()
    assert adt.any(axis=1).sum() == 5  # of 16 rows, 4.8
    assert adt.sum() in (14, 15)  # whole rows of 3, one of them may have had a hole
    assert np.isnan(parts(dropped)[1]).all(axis=1).sum() == 9


@pytest.mark.parametrize("form", sorted(FORMS | TABLES))
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_entries_are_dropped_an_exact_number_of_times_in_each_column(tables, form, mechanism):
    X = {**FORMS, **TABLES}[form](tables)
    dropped = drop_entries(X, 0.5, mechanism=mechanism, random_state=0)
    assert type(dropped) is type(X)
    counts = np.concatenate([mask.sum(axis=0) for mask in lost(X, dropped)])
    expected = np.array([10, 10, 10, 10, 8, 8, 8])  # 9.5 is rounded to even, and so is 7.5
    if mechanism == "mar":
        assert (counts == 0).sum() == 3  # half of seven columns, rounded down
        expected = np.where(counts == 0, 0, expected)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_loses_the_same(tables, form):
    X = FORMS[form](tables)
    for drop in (drop_modalities, drop_entries):
        same(drop(X, 0.2, random_state=3), drop(tables, 0.2, random_state=3))


def test_a_rate_for_each_modality_chooses_them_too(tables):
    dropped = drop_modalities(tables, {"modality_1": 0.25, "modality_0": 0.1}, random_state=0)
    assert [mask.any(axis=1).sum() for mask in lost(tables, dropped)] == [2, 4]
    dropped = drop_modalities(tables, {"modality_1": 0.25}, mechanism="mar", random_state=0)
    assert [mask.any(axis=1).sum() for mask in lost(tables, dropped)] == [0, 4]
    same(
        drop_modalities(tables, 0.25, modalities="modality_1", random_state=0),
        drop_modalities(tables, {"modality_1": 0.25}, random_state=0),
    )


def test_a_rate_of_zero_gives_a_copy(tables):
    for drop in (drop_modalities, drop_entries):
        dropped = drop(tables, 0, random_state=0)
        same(dropped, tables)
        assert not np.shares_memory(dropped["modality_0"], tables["modality_0"])
        frame = pd.DataFrame(tables["modality_0"])
        assert not np.shares_memory(np.asarray(drop(frame, 0)), np.asarray(frame))


def test_a_modality_that_is_none_stays_none(tables):
    X = Modalities({**tables, "atac": None}, n_features={"atac": 5})
    for drop in (drop_modalities, drop_entries):
        dropped = drop(X, 0.2, mechanism="mnar", random_state=0)
        assert dropped["atac"] is None
        assert dropped.n_features == {"modality_0": 4, "modality_1": 3, "atac": 5}
    assert drop_modalities([tables["modality_0"], None], 0.0)[1] is None


def test_one_table_is_one_modality():
    dropped = drop_modalities(np.ones((10, 2)), 0.5, keep_one=False, random_state=0)
    assert np.isnan(dropped).all(axis=1).sum() == np.isnan(dropped).any(axis=1).sum() == 5


# --- keep_one


@pytest.mark.parametrize("mechanism", ["mcar", "mnar"])
@pytest.mark.parametrize(("n", "width", "rate", "count"), [(9, 3, 2 / 3, 6), (10, 2, 0.5, 5)])
def test_keep_one_at_the_largest_rate_leaves_exactly_one(mechanism, n, width, rate, count):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for _ in range(width)]
    for seed in range(20):
        dropped = drop_modalities(X, rate, mechanism=mechanism, random_state=seed)
        missing = np.stack([np.isnan(x).all(axis=1) for x in dropped], axis=1)
        assert missing.sum(axis=0).tolist() == [count] * width
        assert (missing.sum(axis=1) == width - 1).all()


def test_without_keep_one_rows_may_show_nothing():
    X = [np.ones((100, 1)), np.ones((100, 1))]
    dropped = drop_modalities(X, 0.9, keep_one=False, random_state=0)
    assert [np.isnan(x).sum() for x in dropped] == [90, 90]
    assert np.isnan(np.hstack(dropped)).all(axis=1).sum() >= 80


def test_keep_one_is_possible_exactly_when_a_matching_exists():
    """Oracle: each row that only has chosen modalities needs a cell of its own that is kept."""
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(300):
        n, m, rate = rng.integers(2, 12), rng.integers(2, 5), rng.random() * 0.9
        shown = rng.random((n, m)) < 0.7
        X = [np.where(shown[:, [j]], 1.0, np.nan) for j in range(m)]
        chosen = rng.permutation(m)[: rng.integers(1, m + 1)]
        outside = np.delete(shown, chosen, axis=1).any(axis=1)
        needy = shown[:, chosen].any(axis=1) & ~outside
        kept = [shown[:, j].sum() - round(rate * shown[:, j].sum()) for j in chosen]
        cells = np.repeat(shown[needy][:, chosen], kept, axis=1)
        matched = maximum_bipartite_matching(scipy.sparse.csr_array(cells), perm_type="column")
        possible = (matched >= 0).all()
        outcomes.append(possible)
        names = [f"modality_{j}" for j in chosen]
        if not possible:
            with pytest.raises(ValueError, match="which keep_one=True forbids"):
                drop_modalities(X, rate, modalities=names, random_state=0)
            continue
        dropped = drop_modalities(X, rate, modalities=names, random_state=0)
        left = ~np.isnan(np.hstack(dropped))
        assert [left[:, j].sum() for j in chosen] == kept
        np.testing.assert_array_equal(left.any(axis=1), shown.any(axis=1))
    assert 50 < sum(outcomes) < 250  # both were tried


@pytest.mark.parametrize(
    ("X", "rate", "message"),
    [
        (
            [np.ones((10, 1)), np.ones((10, 1))],
            0.6,
            "The 'rate' parameter of drop_modalities must be at most 0.5499 for this X, or a row "
            "would lose all that it shows, which keep_one=True forbids. Got 0.6 instead.",
        ),
        (
            [np.ones((100, 1)), np.ones((100, 1)), np.ones((100, 1))],
            0.7,
            "The 'rate' parameter of drop_modalities must be at most 0.665 for this X, or a row "
            "would lose all that it shows, which keep_one=True forbids. Got 0.7 instead.",
        ),
        (
            np.ones((10, 2)),
            0.3,
            "The 'rate' parameter of drop_modalities must be at most 0.05 for this X, or a row "
            "would lose all that it shows, which keep_one=True forbids. Got 0.3 instead.",
        ),
    ],
)
def test_the_largest_possible_rate_is_told(X, rate, message):
    with pytest.raises(ValueError) as info:  # noqa: PT011
        drop_modalities(X, rate)
    assert str(info.value) == message
    told = float(message.split("at most ")[1].split(" ")[0])
    drop_modalities(X, told)
    with pytest.raises(ValueError, match="keep_one=True forbids"):
        drop_modalities(X, told + 1e-4)


def test_the_largest_possible_rates_are_told_in_proportion():
    X = {"rna": np.ones((100, 1)), "adt": np.ones((100, 1))}
    with pytest.raises(ValueError) as info:  # noqa: PT011
        drop_modalities(X, {"rna": 0.8, "adt": 0.4})
    assert str(info.value) == (  # 67 and 33 of 100 rows; at 0.67 and 0.335 it were 67 and 34
        "The 'rate' parameter of drop_modalities must be at most {'rna': 0.6699, 'adt': 0.3349} "
        "for this X, or a row would lose all that it shows, which keep_one=True forbids. "
        "Got {'rna': 0.8, 'adt': 0.4} instead."
    )
    drop_modalities(X, {"rna": 0.6699, "adt": 0.3349})
    with pytest.raises(ValueError, match="keep_one=True forbids"):
        drop_modalities(X, {"rna": 0.67, "adt": 0.335})


# --- what the dropping depends on


def correlated(n=4000, seed=0):
    """Two modalities that share much: what depends on one must look as if on the other too."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, 3))
    b = a @ rng.normal(size=(3, 2)) + rng.normal(size=(n, 2))
    return {"a": a, "b": b}


def explained(mask, *tables):
    """Share of the variance of a mask that a linear regression on tables explains."""
    design = np.column_stack([np.ones(len(mask)), *tables])
    fitted = design @ np.linalg.lstsq(design, mask.astype(float), rcond=None)[0]
    return fitted.var() / mask.var()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_dropped_modalities_depend_on_what_the_mechanism_says(mechanism):
    X = correlated()
    dropped = drop_modalities(X, 0.3, modalities="b", mechanism=mechanism, random_state=1)
    mask = np.isnan(dropped["b"][:, 0])
    by_a, by_b, by_both = (
        explained(mask, X["a"]),
        explained(mask, X["b"]),
        explained(mask, X["a"], X["b"]),
    )
    if mechanism == "mcar":
        assert by_both < 0.01  # five regressors and 4000 rows explain 0.00125 by chance
    elif mechanism == "mar":
        assert by_a > 0.08
        assert by_both - by_a < 0.003  # given a, b says nothing
    else:
        assert by_b > 0.08
        assert by_both - by_b < 0.003  # given b, a says nothing
        assert X["b"][mask].mean() > X["b"][~mask].mean() + 0.3


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_dropped_entries_depend_on_what_the_mechanism_says(mechanism):
    X = np.hstack(list(correlated().values()))
    dropped = drop_entries(X, 0.3, mechanism=mechanism, random_state=1)
    hit = np.flatnonzero(np.isnan(dropped).any(axis=0))
    whole = np.setdiff1d(np.arange(5), hit)
    assert len(whole) == (2 if mechanism == "mar" else 0)
    for j in hit:
        mask = np.isnan(dropped[:, j])
        everything = explained(mask, X)
        if mechanism == "mcar":
            assert everything < 0.01
        elif mechanism == "mar":
            assert explained(mask, X[:, whole]) > 0.08
            assert everything - explained(mask, X[:, whole]) < 0.003
        else:
            assert explained(mask, X[:, [j]]) > 0.08
            assert everything - explained(mask, X[:, [j]]) < 0.003
            assert X[mask, j].mean() > X[~mask, j].mean()


def test_mnar_is_as_strong_for_a_wide_modality():
    """A mean of many columns varies little; it is standardised again."""
    X = {"a": np.random.default_rng(0).normal(size=(2000, 100))}
    dropped = drop_modalities(X, 0.3, mechanism="mnar", keep_one=False, random_state=0)
    mask, mean = np.isnan(dropped["a"][:, 0]), X["a"].mean(axis=1)
    assert (mean[mask].mean() - mean[~mask].mean()) / mean.std() > 0.5


def test_masks_do_not_move_with_what_they_must_not_depend_on():
    """The same seed and other values: exact, where correlations are estimates."""
    X, rng = correlated(200), np.random.default_rng(5)
    other = rng.normal(size=(200, 3)) ** 3

    def mask(mechanism, **changed):
        dropped = drop_modalities(
            {**X, **changed}, 0.3, modalities="b", mechanism=mechanism, random_state=0
        )
        return np.isnan(dropped["b"][:, 0])

    np.testing.assert_array_equal(mask("mcar"), mask("mcar", a=other, b=other[:, :2]))
    np.testing.assert_array_equal(mask("mar"), mask("mar", b=other[:, :2]))
    np.testing.assert_array_equal(mask("mnar"), mask("mnar", a=other))
    assert (mask("mar") != mask("mar", a=other)).any()
    assert (mask("mnar") != mask("mnar", b=other[:, :2])).any()


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("drop", [drop_modalities, drop_entries])
def test_units_do_not_matter(drop, mechanism):
    X = correlated(200)
    scaled = {"a": 1000 * X["a"] + 5, "b": X["b"] / 1000 - 7}
    options = {"modalities": "b"} if drop is drop_modalities else {}
    first = drop(X, 0.3, mechanism=mechanism, random_state=0, **options)
    second = drop(scaled, 0.3, mechanism=mechanism, random_state=0, **options)
    for name in X:
        np.testing.assert_array_equal(np.isnan(first[name]), np.isnan(second[name]))


def test_mcar_hits_all_rows_alike():
    X = [np.ones((10, 1)), np.ones((10, 1))]
    hits = sum(np.isnan(np.hstack(drop_modalities(X, 0.4, random_state=s))) for s in range(500))
    np.testing.assert_allclose(hits / 500, 0.4, atol=0.1)  # more than four deviations


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_constant_and_unseen_columns_are_taken(mechanism):
    X = {"a": np.full((10, 2), 0.1), "b": np.ones((10, 2)), "c": np.full((10, 1), np.nan)}
    X["b"][:, 1] = np.nan
    dropped = drop_modalities(X, 0.2, modalities="b", mechanism=mechanism, random_state=0)
    assert np.isnan(dropped["b"]).all(axis=1).sum() == 2
    drop_entries(X, 0.2, mechanism=mechanism, random_state=0)


# --- what stays


@pytest.mark.parametrize("form", sorted(FORMS | TABLES))
@pytest.mark.parametrize("drop", [drop_modalities, drop_entries])
def test_x_is_not_written_to_and_shares_nothing(tables, form, drop):
    for x in tables.values():
        x.flags.writeable = False
    X = {**FORMS, **TABLES}[form](tables)
    before = [x.copy() for x in parts(X)]
    options = {"keep_one": False} if drop is drop_modalities else {}
    dropped = drop(X, 0.3, random_state=0, **options)
    for x, old in zip(parts(X), before, strict=True):
        np.testing.assert_array_equal(x, old)
    for x in parts(X):
        assert not any(np.shares_memory(x, new) for new in parts(dropped))


def test_index_columns_and_dtypes_stay():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "f32": rng.normal(size=10).astype(np.float32),
            "count": rng.integers(0, 9, 10),
            "flag": rng.random(10) < 0.5,
            "nullable": pd.array([None, *range(9)], dtype="Int64"),
            "byte": rng.integers(0, 9, 10).astype(np.uint8),
        },
        index=[f"cell{i}" for i in range(10)],
    )
    before = X.copy()
    dropped = drop_entries(X, 0.3, random_state=0)
    pd.testing.assert_frame_equal(X, before)
    assert dropped.dtypes.astype(str).tolist() == [
        "float32",
        "float64",
        "float64",
        "Int64",
        "float64",
    ]
    assert dropped.index.equals(X.index)
    assert dropped.columns.equals(X.columns)
    assert dropped.isna().sum().tolist() == [3, 3, 3, 4, 3]
    kept = ~dropped.isna().to_numpy()
    np.testing.assert_array_equal(
        dropped.to_numpy(float, na_value=np.nan)[kept], X.to_numpy(float, na_value=np.nan)[kept]
    )
    pd.testing.assert_frame_equal(drop_entries(X, 0.0), X)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float16, np.float16),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float64),
        (bool, np.float64),
        (object, object),
    ],
)
def test_dtypes_of_arrays_that_can_hold_nan_stay(dtype, expected):
    X = [np.ones((10, 2), dtype=dtype), np.ones((10, 2), dtype=np.int64)]
    dropped = drop_modalities(X, 0.2, modalities="modality_0", random_state=0)
    assert [x.dtype for x in dropped] == [expected, np.int64]
    assert pd.isna(dropped[0]).sum() == 4


def test_lists_of_numbers_are_a_table():
    assert np.isnan(drop_entries([[1, 2], [3, 4]], 0.5, random_state=0)).sum(axis=0).tolist() == [
        1,
        1,
    ]


# --- randomness


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_an_int_repeats_and_none_does_not_and_no_global_state_moves(mechanism):
    X = correlated(200)
    state = np.random.get_state()
    for drop in (
        lambda **o: drop_modalities(X, 0.3, modalities="b", **o),
        lambda **o: drop_entries(X, 0.3, **o),
    ):
        same(drop(mechanism=mechanism, random_state=7), drop(mechanism=mechanism, random_state=7))
        different = [drop(mechanism=mechanism) for _ in range(2)]
        assert any((x != y).any() for x, y in zip(*map(parts, different), strict=True))
        one, two = np.random.RandomState(7), np.random.RandomState(7)
        same(drop(random_state=one), drop(random_state=two))
        assert one.randint(2**31) == two.randint(2**31)
    after = np.random.get_state()
    assert state[2:] == after[2:]
    np.testing.assert_array_equal(state[1], after[1])


# --- transformers


@pytest.mark.parametrize(
    ("transformer", "drop"),
    [
        (DropModalities(rate=0.2, mechanism="mnar", random_state=0), drop_modalities),
        (DropModalities(rate={"modality_1": 0.2}, random_state=0), drop_modalities),
        (DropEntries(rate=0.2, mechanism="mar", random_state=0), drop_entries),
    ],
)
def test_transformers_do_what_their_functions_do(tables, transformer, drop):
    expected = drop(tables, **transformer.get_params())
    unfitted = clone(transformer)
    same(unfitted.transform(tables), expected)
    same(unfitted.transform(tables), expected)
    same(transformer.fit_transform(tables), expected)
    assert vars(transformer).keys() == transformer.get_params().keys()  # nothing was learned
    assert not hasattr(transformer, "set_output")
    tags = transformer.__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert not tags.requires_fit


def test_transformers_work_in_a_pipeline(tables):
    X = Modalities(tables)
    for step in (DropModalities(rate=0.2, random_state=0), DropEntries(random_state=0)):
        vae = MVAE(latent_dim=2, max_iter=2, random_state=0)
        pipeline = make_pipeline(step, vae).fit(X)
        np.testing.assert_array_equal(
            pipeline.transform(X), clone(vae).fit(step.transform(X)).transform(step.transform(X))
        )


# --- what each mistake is told

TWO = {"rna": np.ones((4, 2)), "adt": np.ones((4, 1))}


def adt(table):
    return {**TWO, "adt": table}


RATE = (
    "The 'rate' parameter of drop_modalities must be a number in the range [0, 1) or a dict of "
    "modality to such a number. Got "
)
RATE_OF_ENTRIES = "The 'rate' parameter of drop_entries must be a number in the range [0, 1). Got "
NAMES = (
    "The 'modalities' parameter of drop_modalities must name modalities of X, which are "
    "['rna', 'adt']. Got "
)
DENSE = (
    "Missingness is simulated and split in dense numpy arrays and pandas DataFrames only: convert "
    "it first."
)
MODALITIES_MISTAKES = [
    (TWO, 1.0, {}, RATE + "1.0 instead."),
    (TWO, {"rna": -0.5}, {}, RATE + "{'rna': -0.5} instead."),
    (TWO, 0.5, {"modalities": ["adt", "atac"]}, NAMES + "['adt', 'atac'] instead."),
    (TWO, 0.5, {"modalities": 0}, NAMES + "[0] instead."),
    (TWO, 0.5, {"modalities": []}, NAMES + "[] instead."),
    (
        TWO,
        {"atac": 0.5},
        {},
        "The 'rate' parameter of drop_modalities must name modalities of X, which are "
        "['rna', 'adt']. Got ['atac'] instead.",
    ),
    (
        TWO,
        {"rna": 0.5},
        {"modalities": ["rna", "adt"]},
        "The 'rate' parameter of drop_modalities must name the same as 'modalities', "
        "['rna', 'adt']. Got ['rna'] instead.",
    ),
    (
        TWO,
        0.5,
        {"mechanism": None},
        "The 'mechanism' parameter of drop_modalities must be one of ['mcar', 'mar', 'mnar']. "
        "Got None instead.",
    ),
    (
        TWO,
        0.1,
        {"mechanism": "mar"},
        "mechanism='mar' needs a modality that shows something and is not dropped, for the "
        "missingness to depend on. The 'modalities' ['rna', 'adt'] of ['rna', 'adt'] leave none.",
    ),
    (adt(scipy.sparse.csr_array(np.eye(4))), 0.5, {}, "Modality 'adt' is a csr_array. " + DENSE),
]
ENTRIES_MISTAKES = [
    (TWO, float("nan"), {}, RATE_OF_ENTRIES + "nan instead."),
    (TWO, {"rna": 0.5}, {}, RATE_OF_ENTRIES + "{'rna': 0.5} instead."),
    (TWO, "half", {}, RATE_OF_ENTRIES + "'half' instead."),
    (TWO, False, {}, RATE_OF_ENTRIES + "False instead."),
    (
        TWO,
        0.5,
        {"mechanism": "MCAR"},
        "The 'mechanism' parameter of drop_entries must be one of ['mcar', 'mar', 'mnar']. "
        "Got 'MCAR' instead.",
    ),
    (
        np.ones((4, 1)),
        0.5,
        {"mechanism": "mar"},
        "mechanism='mar' needs at least two columns that show something, one to drop entries from "
        "and one to depend on. X has 1.",
    ),
    (adt(np.full((4, 1), np.inf)), 0.5, {}, "Modality 'adt': Input contains infinity"),
    (
        adt(np.full((4, 1), "high", dtype=object)),
        0.5,
        {},
        "Modality 'adt': could not convert string to float: 'high'",
    ),
    (np.ones(4), 0.5, {}, "Modality 'X': Expected 2D array, got 1D"),
    (scipy.sparse.dok_array(np.eye(4)), 0.5, {}, "Modality 'X' is a dok_array. " + DENSE),
    (
        pd.DataFrame(np.eye(4)).astype(pd.SparseDtype(float, 0.0)),
        0.5,
        {},
        "Modality 'X' is a sparse DataFrame. " + DENSE,
    ),
    (np.ma.MaskedArray(np.eye(4)), 0.5, {}, "Modality 'X' is a MaskedArray. " + DENSE),
    (None, 0.5, {}, "Modality 'X' is a NoneType. " + DENSE),
    (
        [np.ones((4, 1)), np.ones((3, 1))],
        0.5,
        {},
        "All modalities must have the same number of samples; got 'modality_0': 4",
    ),
]


@pytest.mark.parametrize(
    ("drop", "X", "rate", "options", "message"),
    [(drop_modalities, *row) for row in MODALITIES_MISTAKES]
    + [(drop_entries, *row) for row in ENTRIES_MISTAKES],
)
def test_mistakes(drop, X, rate, options, message):
    kind = TypeError if message.endswith(DENSE) else ValueError
    with pytest.raises(kind) as info:
        drop(X, rate, **options)
    assert str(info.value).startswith(message)


def test_what_a_table_of_another_kind_is_told():
    class Dataset:  # as h5py's: a shape and slices, no array
        ndim, shape = 2, (4, 1)

    for drop in (drop_modalities, drop_entries):
        with pytest.raises(TypeError) as info:
            drop(adt(Dataset()), 0.1)
        assert str(info.value) == "Modality 'adt' is a Dataset. " + DENSE


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("drop", [drop_entries, drop_modalities])
def test_columns_that_are_no_numbers_lose_their_share_too(drop, mechanism):
    mixed = pd.DataFrame(
        {
            "town": pd.Categorical([*"abcb"] * 5),
            "drug": ["x", "y"] * 10,
            "smokes": pd.array([True, None, False, True] * 5, dtype="boolean"),
            "visits": pd.array([3, 1, None, 0] * 5, dtype="Int64"),
        }
    )
    X = {"mixed": mixed, "age": np.arange(20.0)[:, None]}
    which = {"modalities": "mixed"} if drop is drop_modalities else {}
    new = drop(X, 0.4, mechanism=mechanism, random_state=0, **which)["mixed"]
    assert (new.dtypes == mixed.dtypes).all()
    before, after = mixed.isna().sum(), new.isna().sum()
    if drop is drop_modalities:
        assert new.isna().all(axis=1).sum() == 8
    else:
        lost = np.rint(0.4 * mixed.notna().sum())
        untouched = (after == before) & (mechanism == "mar")  # the half that it depends on
        assert ((after - before == lost) | untouched).all()


def test_dates_are_dropped_where_no_number_counts():
    X = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=10), "n": np.arange(10.0)})
    assert drop_entries(X, 0.3, random_state=0).isna().sum().tolist() == [3, 3]
    with pytest.raises(TypeError, match="Modality 'X': Column 'day' holds"):
        drop_entries(X, 0.3, mechanism="mnar")
