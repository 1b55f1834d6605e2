import itertools

import numpy as np
import pytest
import torch

from skpoe.subsets import Subsets, codes, distinct, sample_within

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
