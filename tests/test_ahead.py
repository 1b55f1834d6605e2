"""Rows on disk: the order in which training visits them, and reading ahead."""

import threading
import time

import numpy as np
import pytest
import torch
from small import FAST, small

import skpoe
from skpoe import MVAE, Modalities
from skpoe.data import ahead
from skpoe.data.ahead import Blocks, read_ahead
from skpoe.data.batch import Batch
from skpoe.data.rows import Held, Rows, Streamed
from skpoe.data.source import Source
from skpoe.estimators import reading
from skpoe.estimators.checkpoints import Checkpoint


def readers():
    return [t for t in threading.enumerate() if t.name == "skpoe-read-ahead"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Chunks:
    """A store whose rows are read by chunks; it notes what was read."""

    def __init__(self, table, n_chunk):
        self.table, self.shape, self.dtype = table, table.shape, table.dtype
        self.chunks, self.reads = (n_chunk, table.shape[1]), []

    def __getitem__(self, rows):
        self.reads.append(rows)
        return self.table[rows]

    def __array__(self, dtype=None, copy=None):
        return self.table


def streamed(n_rows=4000, n_chunk=10, width=4):
    table = np.arange(n_rows * width, dtype=np.float32).reshape(n_rows, width)
    store = Chunks(table, n_chunk)
    source = Source(Modalities({"a": store}), [width], np.dtype(np.float32))
    return store, Streamed(source, Batch.from_arrays), table


@pytest.fixture
def small_buffers(monkeypatch):
    monkeypatch.setattr(ahead, "_BUFFER", 640 * 4 * 4)  # 640 rows of four floats
    monkeypatch.setattr(ahead, "_LARGEST", 2560 * 4 * 4)


@pytest.mark.parametrize("n_rows", [1, 7, 639, 640, 641, 3999])
@pytest.mark.parametrize("size", [1, 32, 1000])
def test_every_row_comes_once_in_nearly_equal_batches(n_rows, size):
    groups = Blocks(10, 640).deal(torch.arange(n_rows), size, seeded())
    batches = [rows for group in groups for rows in group]
    assert torch.equal(torch.cat(batches).sort().values, torch.arange(n_rows))
    lengths = [len(rows) for rows in batches]
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(batches) == -(-n_rows // size)
    together = [sum(map(len, group)) for group in groups]
    assert max(together) <= max(640, max(lengths))


def test_the_order_is_a_function_of_the_generator():
    def order(seed):
        groups = Blocks(10, 100).deal(torch.arange(1000), 16, seeded(seed))
        return torch.cat([rows for group in groups for rows in group])

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


def test_what_is_read_together_lies_in_few_blocks_and_is_mixed():
    at = torch.arange(5000, 25_000)
    for group in Blocks(20, 640).deal(at, 32, seeded()):
        blocks = at[torch.cat(list(group))] // 20
        assert len(blocks.unique()) <= 640 / 20 + 2  # cut at both ends
        # batches see blocks as a shuffle has it: 32 rows of 32 blocks are in 20 of them (1 - 1/e)
        seen = [len((at[rows] // 20).unique()) for rows in group]
        assert np.mean(seen) > 16
        assert len((at[group[0]] // 20).diff().abs().unique()) > 5


def test_blocks_are_those_of_the_file_whatever_the_rows():
    at = torch.randperm(20_000, generator=seeded(3))[:10_000]  # a fold, shuffled
    for group in Blocks(20, 640).deal(at, 32, seeded()):
        assert len((at[torch.cat(list(group))] // 20).unique()) <= 1.25 * 2 * 640 / 20


def test_rows_that_one_buffer_holds_come_as_those_in_memory():
    rows = Rows(Held(Batch.from_arrays([np.ones((500, 4), np.float32)])), torch.ones(500))
    (group,) = Blocks(10, 640).deal(torch.arange(500), 32, seeded())
    expected = rows.deal(32, seeded())
    assert all(torch.equal(a, b) for a, b in zip(group, expected, strict=True))


@pytest.mark.parametrize(
    ("n_chunk", "n_block", "n_buffer"),
    [
        (1, 5, 640),
        (5, 5, 640),
        (15, 15, 1920),
        (100, 100, 2560),
        (640, 640, 2560),
        (9999, 640, 2560),
    ],
)
def test_blocks_hold_whole_chunks_if_buffers_allow(small_buffers, n_chunk, n_block, n_buffer):
    assert streamed(n_chunk=n_chunk)[1].blocks == Blocks(n_block, n_buffer)


def test_rows_that_are_larger_than_a_buffer():
    wide = Source(Modalities({"a": Chunks(np.zeros((3, 2)), 2)}), [2**26], np.dtype(np.float64))
    assert Blocks.of(wide) == Blocks(1, 1)


@pytest.mark.parametrize("index", [None, torch.arange(3, 4000, 3)])
def test_visits_give_the_values_of_the_rows(small_buffers, index):
    store, table, values = streamed()
    weights = torch.arange(4000.0) + 1
    rows = Rows(table, weights, index)
    seen = []
    same = streamed()[1]
    for numbers, picked in rows.visit(32, seeded(), lambda rows: rows[1::2]):
        batch, keys, weight = rows.open(picked)
        where = numbers[1::2] if index is None else index[numbers[1::2]]
        np.testing.assert_array_equal(batch.values[0], values[where])
        assert torch.equal(weight, weights[where])
        assert torch.equal(keys, same[where][1])
        seen.append(numbers)
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(len(rows)))
    assert all(isinstance(read, slice) for read in store.reads if index is None)


@pytest.mark.parametrize(("n_rows", "most"), [(0, 0), (100, 2**20), (2**11, 0), (2**11, 2**9)])
@pytest.mark.parametrize("index", [None, torch.arange(3, 300, 3)])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("widths", [[4], [3, 3], [1, 4]])
def test_rows_in_memory_may_be_taken_together(monkeypatch, n_rows, most, index, holes, widths):
    monkeypatch.setattr(skpoe.data.rows, "_ROWS_TOGETHER", n_rows)
    monkeypatch.setattr(skpoe.data.rows, "_TOGETHER", most)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(300, width)) for width in widths]
    for n, array in enumerate(arrays if holes else ()):
        array[n::5] = np.nan
        array[n + 1 :: 5, 0] = np.nan
    whole = Batch.gather([Batch.from_arrays(arrays)], 300)
    table = Held(whole)
    rows = Rows(table, torch.arange(300.0) + 1, index)

    def encode(batch):
        return batch.map([lambda x, m=m: x - m - 1 for m in range(len(widths))])

    seen = []
    for numbers, picked in rows.visit(32, seeded(), lambda rows: rows[1::2], encode):
        batch, keys, weights = rows.open(picked)
        where = numbers[1::2] if index is None else index[numbers[1::2]]
        wanted = whole[where]
        for made, right in ((batch, wanted), (batch.encoded, encode(wanted))):
            if made is None:  # by itself there is nothing to gain
                assert picked.part is None
                continue
            assert all(map(torch.equal, made.tensors(), right.tensors()))
            assert made.complete == right.complete
            blocks = made.block, right.block
            assert torch.equal(*blocks) if widths == [3, 3] else blocks == (None, None)
        assert torch.equal(weights, rows.weights[where])
        assert torch.equal(keys, table.keys[where])
        if picked.part is not None:
            assert torch.equal(picked.part.keys[picked.part.place], keys)
            assert picked.part.numbers[picked.part.place].unique().tolist() == [picked.part.number]
        assert (picked.part is not None) == (n_rows > 0)
        seen.append(numbers)
    assert torch.equal(torch.cat(seen), torch.randperm(len(rows), generator=seeded()))


def test_rows_in_memory_are_visited_as_before():
    values = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    rows = Rows(Held(Batch.from_arrays([values])), torch.ones(300))
    source = Source(Modalities({"a": values}), [4], np.dtype(np.float32))
    large = Rows(Streamed(source, Batch.from_arrays), torch.ones(300))  # as more than 1 GiB is
    assert large.blocks is None
    for table in (rows, large):
        order = [numbers for numbers, *_ in table.visit(32, seeded(), lambda rows: rows)]
        assert torch.equal(torch.cat(order), torch.randperm(300, generator=seeded()))


def test_a_piece_is_read_while_the_one_before_is_used():
    started = [threading.Event() for _ in range(5)]

    def read(piece):
        assert threading.current_thread() is not threading.main_thread()
        started[piece].set()
        return piece

    for piece in read_ahead(read, range(5)):
        assert piece == 4 or started[piece + 1].wait(5)
        assert piece > 2 or not started[piece + 2].is_set(), "two pieces ahead"
    assert not readers()
    assert list(read_ahead(read, [])) == []


def test_errors_come_where_their_piece_is_asked_for():
    def read(piece):
        if piece == 2:
            raise OSError("the disk is gone")
        return piece

    pieces = read_ahead(read, range(5))
    assert [next(pieces), next(pieces)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(pieces)
    assert not readers()


def test_closing_waits_for_the_last_thread():
    def read(piece):
        time.sleep(0.05 * piece)
        return piece

    pieces = read_ahead(read, range(5))
    assert next(pieces) == 0
    pieces.close()
    assert not readers()


def data(n_rows=600, fails=None):
    table = np.random.default_rng(0).normal(size=(n_rows, 4))
    store = Chunks(table, 1)
    read = store.__getitem__

    class Fails(Chunks):
        def __getitem__(self, rows):
            if fails is not None and threading.current_thread().name == "skpoe-read-ahead":
                raise fails
            return read(rows)

    return Modalities({"a": Fails(table, 1), "b": table[:, :1]})


@pytest.fixture
def many_buffers(monkeypatch):
    monkeypatch.setattr(reading, "_HELD_FROM_ELSEWHERE", 0)
    monkeypatch.setattr(ahead, "_BUFFER", 128 * 5 * 8)


def test_fit_raises_what_reading_raises_and_leaves_no_thread(many_buffers):
    est = small(MVAE, **FAST)
    with pytest.raises(OSError, match="the disk is gone"):
        est.fit(data(fails=OSError("the disk is gone")))
    assert not hasattr(est, "model_")
    assert not readers()


def test_an_interrupt_leaves_a_usable_estimator_and_no_thread(many_buffers):
    est = small(MVAE, **FAST)
    with pytest.warns(UserWarning, match="interrupted after 0 epochs"):
        est.fit(data(fails=KeyboardInterrupt()))
    assert est.transform(data()).shape == (600, 2)
    assert not readers()


def test_a_fit_repeats_and_goes_on_to_the_same_bits(many_buffers, monkeypatch, tmp_path):
    whole = small(MVAE, **{**FAST, "max_iter": 4}).fit(data())
    again = small(MVAE, **{**FAST, "max_iter": 4}).fit(data())
    np.testing.assert_array_equal(whole.transform(data()), again.transform(data()))
    in_memory = small(MVAE, **{**FAST, "max_iter": 4}).fit(
        Modalities(dict((name, np.asarray(table)) for name, table in data().items()))
    )
    assert in_memory.loss_curve_ != whole.loss_curve_, "there was one buffer"
    np.testing.assert_allclose(in_memory.loss_curve_, whole.loss_curve_, rtol=0.05)
    short = small(MVAE, **{**FAST, "max_iter": 4}, checkpoint=tmp_path / "c", checkpoint_every=1)

    keep, kept = Checkpoint.keep, []

    def die(self, state):
        keep(self, state)
        kept.append(state)
        if len(kept) == 2:
            raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", die)
        with pytest.raises(OSError, match="killed"):
            short.fit(data())
    resumed = short.set_params(resume=True).fit(data())
    assert resumed.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(resumed.transform(data()), whole.transform(data()))
