import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from skpoe.random import RowNoise
from skpoe.subsets import Subsets, codes, distinct, sample_uniformly, sample_within

PATTERNS = torch.tensor(list(itertools.product((0, 1), repeat=3))).bool()  # every row of 3


def test_members():
    assert Subsets.full(3).members.int().tolist() == [[1, 1, 1]]
    assert Subsets.singletons(2).members.int().tolist() == [[1, 0], [0, 1]]
    powerset = {tuple(row) for row in Subsets.powerset(3).members.int().tolist()}
    assert powerset == set(itertools.product((0, 1), repeat=3)) - {(0, 0, 0)}
    with pytest.raises(ValueError, match="powerset of 40 modalities is too large"):
        Subsets.powerset(40)


@pytest.mark.parametrize("make", [Subsets.full, Subsets.singletons, Subsets.powerset])
def test_within_is_a_mixture_over_what_is_observed(make):
    membership, log_weights = make(3).within(PATTERNS)
    np.testing.assert_allclose(log_weights.exp().sum(0), 1, rtol=1e-6)
    for n, row in enumerate(PATTERNS.tolist()):
        mass = {}
        for subset, weight in zip(membership[:, n].tolist(), log_weights[:, n].exp(), strict=True):
            assert not any(s and not o for s, o in zip(subset, row, strict=True))
            mass[tuple(subset)] = mass.get(tuple(subset), 0) + float(weight)
        mass = {subset: weight for subset, weight in mass.items() if weight > 0}
        if not any(row):
            assert set(mass) == {(False, False, False)}
            continue
        # uniform over the distinct non-empty subsets of what is observed that the rule names
        assert all(any(subset) for subset in mass)
        np.testing.assert_allclose(list(mass.values()), 1 / len(mass), rtol=1e-6)
        n_observed = sum(row)
        expected = {"full": 1, "singletons": n_observed, "powerset": 2**n_observed - 1}
        assert len(mass) == expected[make.__name__]


@pytest.mark.parametrize("n_modalities", [1, 5, 62, 70])
def test_codes_name_subsets(n_modalities):
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(300, n_modalities, generator=generator) < 0.5
    number = len({tuple(row) for row in rows.tolist()})
    assert len(codes(rows).unique()) == number


def test_distinct_marks_the_first_of_equal_subsets():
    fixed = (Subsets.full(3) | Subsets.singletons(3)).members
    membership = fixed[:, None] & PATTERNS
    marked = distinct(membership)
    for n in range(len(PATTERNS)):
        seen = set()
        for s in range(len(fixed)):
            subset = tuple(membership[s, n].tolist())
            assert marked[s, n] == (any(subset) and subset not in seen)
            seen.add(subset)


@pytest.mark.parametrize(("lowest", "below_all"), [(1, 1), (2, 1), (1, 0)])
def test_sample_within_is_uniform_in_size_then_in_members(lowest, below_all):
    generator = torch.Generator().manual_seed(0)
    observed = torch.tensor([[1, 1, 1, 0, 1], [1, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]])
    n_draws = 30000
    uniform = torch.rand(n_draws, 4, 6, generator=generator)
    drawn = sample_within(observed.bool(), uniform, lowest, below_all)
    for n, row in enumerate(observed.tolist()):
        here = [m for m in range(5) if row[m]]
        sizes = range(lowest, len(here) - below_all + 1)
        expected = {}
        for size in sizes:
            combinations = list(itertools.combinations(here, size))
            expected |= {c: 1 / len(sizes) / len(combinations) for c in combinations}
        if not expected:
            assert not drawn[:, n].any()
            continue
        got = drawn[:, n].nonzero()
        counts = {}
        sets = [()] * n_draws
        for k, m in got.tolist():
            sets[k] = (*sets[k], m)
        for subset in sets:
            counts[subset] = counts.get(subset, 0) + 1
        assert set(counts) == set(expected)
        for subset, share in expected.items():
            error = np.sqrt(share * (1 - share) / n_draws)
            assert abs(counts[subset] / n_draws - share) <= 5 * error


def within_many(n_modalities, row, n_subsets=4, n_rows=5000):
    """Sampled subsets of many rows that show the same, as tuples."""
    observed = torch.tensor(row).bool().expand(n_rows, -1)
    noise = RowNoise(0, torch.arange(n_rows))
    membership, log_weights = Subsets.sampled(n_modalities, n_subsets).within(observed, noise)
    assert membership.shape == (n_subsets, n_rows, n_modalities)
    np.testing.assert_allclose(log_weights.exp(), 1 / n_subsets, rtol=1e-6)
    return membership


@pytest.mark.parametrize("row", [*PATTERNS.int().tolist(), [1], [0]])
def test_sampled_subsets_are_uniform_over_the_non_empty_ones(row):
    membership = within_many(len(row), row)
    choices = [
        subset
        for subset in itertools.product((0, 1), repeat=len(row))
        if any(subset) and all(o >= s for s, o in zip(subset, row, strict=True))
    ] or [(0,) * len(row)]
    subsets, counts = membership.flatten(0, 1).int().unique(dim=0, return_counts=True)
    assert {tuple(subset) for subset in subsets.tolist()} == set(choices)
    expected = membership[..., 0].numel() / len(choices)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert statistic <= chi2.ppf(0.999, max(1, len(choices) - 1))
    if len(choices) > 1:  # draws of a row are independent
        same = (membership[0] == membership[1]).all(-1).double().mean()
        error = np.sqrt(1 / len(choices) * (1 - 1 / len(choices)) / membership.shape[1])
        assert abs(float(same) - 1 / len(choices)) < 4 * error


def test_sampled_subsets_of_thirty_modalities():
    """Every modality is a member with probability 2^29 / (2^30 - 1), pairs independently."""
    membership = within_many(30, [1] * 30)
    draws = membership.flatten(0, 1).double()
    assert membership.any(-1).all()
    error = 0.5 / np.sqrt(len(draws))
    assert (draws.mean(0) - 0.5).abs().max() < 5 * error
    pairs = draws.T @ draws / len(draws) - torch.eye(30) * 0.25
    assert (pairs - 0.25).abs().max() < 5 * np.sqrt(3) / 2 * error
    sizes = draws.sum(-1)
    assert abs(sizes.var() - 7.5) < 5 * 7.5 * np.sqrt(2 / len(draws))
    with pytest.raises(ValueError, match="Sample subsets instead"):
        Subsets.powerset(30)


def test_sampled_subsets_need_noise_and_are_rowwise():
    observed = PATTERNS[[7, 3, 5]]
    subsets = Subsets.sampled(3, 6)
    assert len(subsets) == 6
    with pytest.raises(ValueError, match="Subsets that are sampled need noise"):
        subsets.within(observed)
    keys = torch.tensor([11, 12, 13])
    all_rows, _ = subsets.within(observed, RowNoise(0, keys))
    alone, _ = subsets.within(observed[1:2], RowNoise(0, keys[1:2]))
    assert (all_rows[:, 1:2] == alone).all()


def test_the_ends_of_the_unit_interval_give_subsets_too():
    ends = torch.tensor([2.0**-24, 0.5, 1 - 2.0**-24], dtype=torch.float64)
    for observed in (PATTERNS, torch.ones(1, 30).bool()):
        for first, coin in itertools.product(ends, ends):
            uniform = torch.full((1, len(observed), observed.shape[1] + 1), float(coin)).double()
            uniform[..., -1] = first
            drawn = sample_uniformly(observed, uniform)
            assert (drawn[0].any(-1) == observed.any(-1)).all()
            assert not (drawn[0] & ~observed).any()


def test_nothing_is_a_component_of_its_own():
    subsets = Subsets.singletons(3) | Subsets.nothing(3)
    membership, log_weights = subsets.within(PATTERNS)
    for n, row in enumerate(PATTERNS.int().tolist()):
        shown = sum(row)
        expected = [o / (shown + 1) for o in row] + [1 / (shown + 1)]
        np.testing.assert_allclose(log_weights[:, n].exp(), expected, rtol=1e-6)
    assert not membership[-1].any()
    alone, log_weights = Subsets.nothing(3).within(PATTERNS)
    assert not alone.any()
    assert (log_weights == 0).all()
    # one component more of two of the three: weights are shares
    weighted = Subsets(torch.tensor([[1, 1, 0], [0, 0, 0]]), torch.tensor([3.0, 1.0]))
    _, log_weights = weighted.within(PATTERNS)
    for n, row in enumerate(PATTERNS.int().tolist()):
        expected = [0.75, 0.25] if row[0] or row[1] else [0.0, 1.0]
        np.testing.assert_allclose(log_weights[:, n].exp(), expected, rtol=1e-6)
