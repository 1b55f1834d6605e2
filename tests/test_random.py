import numpy as np
import pytest
import torch
from scipy import stats

from skpoe import random
from skpoe.random import RowNoise, row_keys

KEYS = row_keys([torch.arange(4000.0)[:, None]], [torch.ones(4000, 1, dtype=torch.bool)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(dtype):
    noise = RowNoise(0, KEYS)
    normal = noise.normal(5, event=3, dtype=dtype)
    uniform = noise.uniform(5, event=3, dtype=dtype)
    assert normal.shape == uniform.shape == (5, 4000, 3)
    assert normal.dtype == uniform.dtype == dtype
    assert stats.kstest(normal.double().flatten().numpy(), "norm").pvalue > 0.001
    assert stats.kstest(uniform.double().flatten().numpy(), "uniform").pvalue > 0.001
    assert ((uniform > 0) & (uniform < 1)).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_independent_along_every_axis(axis):
    """Neighbours along draws, rows and events do not correlate, nor do their squares."""
    normal = RowNoise(1, KEYS).normal(6, event=6).double()
    a = normal.narrow(axis, 0, normal.shape[axis] - 1).flatten()
    b = normal.narrow(axis, 1, normal.shape[axis] - 1).flatten()
    for x, y in ((a, b), (a**2, b**2)):
        assert abs(np.corrcoef(x, y)[0, 1]) * np.sqrt(len(x)) < 4.5


def test_numbers_belong_to_rows():
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    whole = RowNoise(3, KEYS).normal(2, event=5)
    assert torch.equal(RowNoise(3, KEYS[order]).normal(2, event=5), whole[:, order])
    assert torch.equal(RowNoise(3, KEYS[:7]).normal(2, event=5), whole[:, :7])


def test_more_draws_keep_the_first_ones():
    noise = RowNoise(3, KEYS[:5])
    assert torch.equal(noise.normal(9, 1, event=3)[:4], noise.normal(4, 1, event=3))


def test_seeds_and_folds_differ():
    noises = [RowNoise(0, KEYS), RowNoise(1, KEYS)]
    noises += [noises[0].fold(label) for label in (0, 1, "latent", "subsets")]
    draws = np.stack([noise.normal(event=2).double().flatten() for noise in noises])
    correlation = np.corrcoef(draws) - np.eye(len(noises))
    assert np.abs(correlation).max() * np.sqrt(draws.shape[1]) < 4.5


def keys_of(x):
    x = torch.tensor(x)
    return row_keys([x.nan_to_num()], [~x.isnan()])


def test_keys_are_read_off_what_is_observed():
    nan = float("nan")
    keys = keys_of([[1.0, 2.0], [2.0, 1.0], [1.0, nan], [1.0, 0.0], [nan, 1.0], [1.0, 2.0]])
    assert len(keys.unique()) == 5
    assert keys[0] == keys[5]
    assert keys_of([[-0.0]]) == keys_of([[0.0]])


def test_keys_tell_small_numbers_and_modalities_apart():
    small = torch.arange(1.0, 1001.0)[:, None] * 1e-20
    yes = torch.ones(1000, 1, dtype=torch.bool)
    assert len(row_keys([small], [yes]).unique()) == 1000
    empty, no = torch.zeros(1000, 1), ~yes
    first = row_keys([small, empty], [yes, no])
    second = row_keys([empty, small], [no, yes])
    assert not (first == second).any()


def test_keys_of_binary_rows_do_not_collide():
    bits = (torch.arange(2**15)[:, None] >> torch.arange(15)) & 1
    mask = torch.ones(len(bits), 1, dtype=torch.bool)
    assert len(row_keys([bits.float()], [mask]).unique()) == 2**15


def test_keys_agree_between_precisions():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(50, 1, dtype=torch.bool)
    assert torch.equal(row_keys([x], [mask]), row_keys([x.double()], [mask]))


def test_global_generators_do_not_move():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    RowNoise(0, KEYS).normal(3, event=2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numpy_and_torch_give_the_same_numbers(monkeypatch, dtype):
    noise = RowNoise(3, KEYS[:50]).numbered(7).fold("latent")
    normal, uniform = noise.normal(2, event=5, dtype=dtype), noise.uniform(2, event=5, dtype=dtype)
    monkeypatch.setattr(random, "can_ask", lambda _: False)
    assert torch.equal(noise.uniform(2, event=5, dtype=dtype), uniform)
    torch.testing.assert_close(noise.normal(2, event=5, dtype=dtype), normal)


def test_a_number_for_each_row_is_that_number():
    noise = RowNoise(3, KEYS[:6])
    numbers = torch.tensor([0, 5, 5, 2**40, 0, 7])
    each = noise.numbered(numbers).normal(3, event=4)
    for row, number in enumerate(numbers.tolist()):
        for same in (number, torch.tensor(number)):
            assert torch.equal(noise.numbered(same).normal(3, event=4)[:, row], each[:, row])


@pytest.mark.parametrize("most", [0, 50, 2**20])
def test_parts_draw_what_they_would_draw_alone(monkeypatch, most):
    monkeypatch.setattr(random, "_MOST_TOGETHER", most)
    noise = RowNoise(3, KEYS[:10])
    for rows in (slice(0, 3), slice(3, 5), slice(5, 8), slice(8, 10), slice(0, 5)):
        part, alone = noise.part(rows).fold("latent"), noise[rows].fold("latent")
        for _ in range(2):
            for event in (3, 4):
                assert torch.equal(part.normal(2, event=event), alone.normal(2, event=event))
                assert torch.equal(part.uniform(2, event=event), alone.uniform(2, event=event))
        keys = torch.tensor([0, -1])
        assert torch.equal(part[keys].normal(event=2), alone[keys].normal(event=2))
        assert torch.equal(part.apart(2).normal(event=2), alone.apart(2).normal(event=2))


def test_as_many_parts_draw_together_as_numbers_are_drawn_at_a_time(monkeypatch):
    monkeypatch.setattr(random, "_MOST_TOGETHER", 5 * 2 * 4)
    noise, lengths = RowNoise(3, KEYS[:10]), []
    draw = RowNoise._normal

    def noted(self, *how):
        lengths.append(len(self._start))
        return draw(self, *how)

    monkeypatch.setattr(RowNoise, "_normal", noted)
    for first in range(0, 10, 2):
        noise.part(slice(first, first + 2)).normal(2, event=4)
    assert lengths == [5, 5, 2]
