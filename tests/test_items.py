"""Datasets of torch, and what is like them, as X."""

import pickle

import numpy as np
import pytest
import torch
from containers import build
from sklearn.model_selection import GridSearchCV
from small import FAST, small
from torch.utils.data import Dataset, TensorDataset

from skpoe import MVAE, Modalities, PoEVAE
from skpoe.data import tables
from skpoe.data.validation import read
from skpoe.estimators import reading


class Rows(Dataset):
    """Rows of tables as dicts or tuples; None where a modality is missing. Counts its items."""

    def __init__(self, given, kind=dict, change=None):
        self.given, self.kind, self.change, self.asked = given, kind, change, []

    def __len__(self):
        return len(self.given["rna"])

    def __getitem__(self, row):
        self.asked.append(row)
        item = {
            name: None if np.isnan(table[row]).all() else torch.from_numpy(table[row])
            for name, table in self.given.items()
        }
        if self.change and row == self.change[0]:
            item = self.change[1](item)
        return item if self.kind is dict or not isinstance(item, dict) else tuple(item.values())


class Together(Rows):
    def __getitems__(self, rows):
        return [self[row] for row in rows]


class Plain:
    """What is no Dataset by name, but by what it can."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return {name: np.asarray(x) for name, x in self.rows[row].items()}


def arrays(holes="both"):
    return dict(build("modalities of arrays", holes).items())


@pytest.mark.parametrize("cls", [Rows, Together])
@pytest.mark.parametrize("kind", [dict, tuple])
def test_a_dataset_gives_the_numbers_of_its_tables(cls, kind):
    given = arrays()
    X = given if kind is dict else list(given.values())
    est = small(PoEVAE, **FAST).fit(Modalities(X))
    rows = cls(given, kind)
    twin = small(PoEVAE, **FAST).fit(rows)
    assert twin.modality_names_ == est.modality_names_
    np.testing.assert_array_equal(twin.transform(rows), est.transform(X))
    np.testing.assert_array_equal(twin.score_samples(rows), est.score_samples(X))
    filled, expected = twin.predict_missing(rows), est.predict_missing(X)
    assert type(filled) is type(expected) is (dict if kind is dict else list)
    for name in range(2) if kind is tuple else given:
        assert type(filled[name]) is np.ndarray
        np.testing.assert_array_equal(filled[name], expected[name])
    assert isinstance(twin.sample(2), type(expected))


def test_a_tuple_is_read_by_position_once_names_are_known():
    given = arrays()
    est = small(MVAE, **FAST).fit(given)
    np.testing.assert_array_equal(est.transform(Rows(given, tuple)), est.transform(given))


def test_what_only_looks_like_a_dataset_is_one():
    given = arrays("complete")
    est = small(MVAE, **FAST)
    expected = est.fit(given).transform(given)
    X = Plain(Rows(given))
    np.testing.assert_array_equal(est.fit(X).transform(X), expected)


def test_numbers_images_and_flags():
    images = torch.arange(40 * 4.0).reshape(40, 1, 2, 2)
    X = TensorDataset(images, torch.arange(40) % 2, torch.arange(40) > 3)
    made = Modalities(X)
    assert repr(made).startswith("Modalities(40 samples, modality_0: 1x2x2 float32, modality_1: 1")
    np.testing.assert_array_equal(made["modality_0"][:3], images[:3].numpy())
    np.testing.assert_array_equal(made["modality_2"][2:6, 0], [0, 0, 1, 1])
    np.testing.assert_array_equal(made["modality_0"][3], images[3].numpy())
    assert small(MVAE, **FAST).fit(X).reconstruct(X)[0].shape == (40, 1, 2, 2)


def test_an_item_is_read_once_for_all_modalities(monkeypatch):
    X = Rows({**arrays(), "third": np.ones((60, 2))})
    table = Modalities(X)
    source, _ = read(MVAE(), table)
    X.asked.clear()
    source[np.array([5, 3, 3])]
    source[:]
    assert X.asked == [5, 3, 3, *range(60)]
    monkeypatch.setattr(reading, "_HELD_FROM_ELSEWHERE", 0)
    asked = []
    for max_iter in (1, 1, 4):  # the first finds nothing read
        X.asked.clear()
        small(MVAE, **{**FAST, "max_iter": max_iter}).fit(table)
        asked.append(len(X.asked))
    assert asked[2] - asked[1] == 3 * 60


def test_searches_take_modalities_made_of_it():
    given = arrays()
    X = Modalities(Rows(given))
    search = GridSearchCV(small(MVAE, **FAST), {"latent_dim": [1, 2]}, cv=2)
    expected = search.fit(Modalities(given)).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(search.fit(X).cv_results_["mean_test_score"], expected)
    with pytest.raises(ValueError, match=r"If model selection split a dataset, pass skpoe\.Mod"):
        small(MVAE, **FAST).fit([X._tables["rna"]._items.dataset[row] for row in range(3)])


def test_threads_that_share_a_dataset_get_their_own_rows():
    from concurrent.futures import ThreadPoolExecutor

    X, expected = Modalities(Rows(arrays())), Modalities(arrays()).to_numpy()
    parts = [np.random.default_rng(seed).permutation(60)[:20] for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda rows: X[rows].to_numpy(), parts))
    for rows, table in zip(parts, found, strict=True):
        np.testing.assert_array_equal(table, expected[rows])


def test_it_is_pickled_with_one_reader_for_all():
    X = pickle.loads(pickle.dumps(Modalities(Rows(arrays()))[10:20]))
    np.testing.assert_array_equal(X.to_numpy(), Modalities(arrays()).to_numpy()[10:20])
    assert X._tables["rna"]._items is X._tables["adt"]._items


def test_a_modality_that_no_row_shows():
    nothing = {**arrays("complete"), "adt": np.full((60, 4), np.nan)}
    with pytest.raises(ValueError, match="Modality 'adt' is None, so its number of features is u"):
        small(MVAE, **FAST).fit(Rows(nothing))
    X = Modalities(Rows(nothing), n_features={"adt": 4})
    assert small(MVAE, **FAST).fit(arrays()).predict_missing(X)["adt"].shape == (60, 4)


def lacks(item):
    return {"rna": item["rna"]}


MISTAKES = {
    "length": (lambda item: {**item, "adt": torch.ones(3)}, ValueError, "gives modality 'adt' "
               "the shape (3,), but item 0 gives it (4,)"),
    "names": (lacks, ValueError, "has the modalities ['rna'], but item 0 has ['rna', 'adt']. "
              "Give None for a modality that a row lacks."),
    "words": (lambda item: {**item, "adt": "many"}, TypeError, "gives modality 'adt' as str of "
              "<U4, but numbers are needed"),
    "ragged": (lambda item: {**item, "adt": [[1], [1, 2]]}, TypeError, "gives modality 'adt' as "
               "list of object"),
    "no item": (lambda item: item["rna"], TypeError, "is a Tensor, but must be a tuple, list or "
                "dict of the modalities of one row"),
    "infinity": (lambda item: {**item, "adt": torch.full((4,), torch.inf).double()}, ValueError,
                 "Modality 'adt': Input contains infinity"),
}  # fmt: skip


# what the first item is, is what the others have to be
LATE = ("names", "length")


@pytest.mark.parametrize(
    ("mistake", "row"), [(m, row) for m in MISTAKES for row in (0, 31) if row or m not in LATE]
)
def test_mistakes_name_the_item_and_the_modality(mistake, row):
    change, kind, words = MISTAKES[mistake]
    with pytest.raises(kind) as info:
        MVAE(max_iter=1).fit(Rows(arrays("complete"), change=(row, change)))
    assert words in str(info.value)
    assert mistake == "infinity" or f"Item {row} of X" in str(info.value)


def test_what_is_no_dataset():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([])

    for X in (Stream(), range(3), "ab"):
        with pytest.raises(ValueError, match="X must be a table"):
            MVAE().fit(X)
    with pytest.raises(ValueError, match="X is a dataset without items"):
        MVAE().fit(TensorDataset(torch.ones(0, 2)))

    class Short(Together):
        def __getitems__(self, rows):
            return super().__getitems__(rows)[:1]

    with pytest.raises(ValueError, match=r"X.__getitems__ gave 1 items for 60 rows"):
        MVAE().fit(Short(arrays()))
    assert not tables.is_stored(np.ones((2, 2)))


def test_items_that_would_be_rounded_are_refused():
    x = np.arange(12.0).reshape(4, 3) + 1e8

    class Mixed(torch.utils.data.Dataset):
        def __init__(self, first, others):
            self.dtypes = [first, *[others] * 3]

        def __len__(self):
            return 4

        def __getitem__(self, row):
            return (x[row].astype(self.dtypes[row]),)

    X = Modalities(Mixed(np.float32, np.float64))
    with pytest.raises(ValueError, match="Item 1 of X .* as float64, but item 0 .* as float32"):
        X["modality_0"][:]
    for first, others in ((np.float64, np.float32), (np.int64, np.float64), (bool, np.int16)):
        read = Modalities(Mixed(first, others))["modality_0"][:]
        np.testing.assert_array_equal(read[1], x[1].astype(others).astype(float))
