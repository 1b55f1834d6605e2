"""Means by importance weights of which none is too large."""

import numpy as np
import pytest
import torch

from skpoe.metrics import truncated
from skpoe.posteriors import DiagonalGaussian, SubsetPosterior
from skpoe.priors import StandardGaussian


def posterior(log_weights):
    params = {"mean": torch.zeros(len(log_weights), 1, 1), "precision": torch.ones(1, 1, 1)}
    return SubsetPosterior(DiagonalGaussian(), params, log_weights, StandardGaussian(1))


@pytest.mark.parametrize(("n_each", "n_subsets"), [(16, 1), (5, 3)])
def test_no_weight_is_above_the_root_of_their_number_times_their_average(
    n_each, n_subsets, generator
):
    shape = (n_each, n_subsets, 40)
    log_weights = 6 * torch.randn(shape, generator=generator, dtype=torch.float64)
    mixture = torch.randn(shape[1:], generator=generator, dtype=torch.float64).log_softmax(0)
    ours = truncated(log_weights, posterior(mixture)).exp().numpy()
    weights, shares = log_weights.exp().numpy(), mixture.exp().numpy()
    average = (weights * shares).sum((0, 1)) / n_each
    most = np.sqrt(n_each * n_subsets) * average
    np.testing.assert_allclose(ours, np.minimum(weights, most))
    assert (weights > most).any()
    assert (weights < most).any()


def test_an_exact_posterior_has_equal_weights_which_stay():
    log_weights = torch.full((7, 1, 3), -2.5)
    assert torch.equal(truncated(log_weights, posterior(torch.zeros(1, 3))), log_weights)


def test_a_component_that_a_row_lacks_has_no_say():
    log_weights = torch.tensor([[0.0], [50.0]])[None]  # (K, S, N) = (1, 2, 1)
    mixture = torch.tensor([[0.0], [-torch.inf]])
    assert truncated(log_weights, posterior(mixture))[0, 0, 0] == 0
