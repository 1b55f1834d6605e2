"""The prediction term of AlignedELBO against numpy."""

import numpy as np
import pytest
import torch
from joint_gaussian import KINDS, posterior_mean, punch
from linear_gaussian import LinearGaussian
from torch import nn

from skpoe.data.batch import Batch
from skpoe.likelihoods import Bernoulli, StudentTDecoder
from skpoe.model import MultimodalVAE
from skpoe.objectives import AlignedELBO
from skpoe.posteriors import DiagonalGaussian
from skpoe.priors import StandardGaussian
from skpoe.random import RowNoise, row_keys
from skpoe.strategies import ProductOfExperts
from skpoe.subsets import Subsets

EXACT = {"rtol": 0, "atol": 1e-9}
LOG_ERROR = np.array([-0.4, 0.3, 0.0])


@pytest.fixture(scope="module")
def world():
    made = LinearGaussian(n=64)
    made.x = [x - b for x, b in zip(made.x, made.b, strict=True)]
    made.b = [np.zeros_like(b) for b in made.b]  # so that a zero says nothing
    return made


def noise_for(batch, seed=0):
    return RowNoise(seed, row_keys(batch.values, batch.masks))


def objective(weight, n_modalities=3, **params):
    made = AlignedELBO(prediction_weight=weight, n_modalities=n_modalities, **params)
    made.log_error.data = torch.from_numpy(LOG_ERROR[:n_modalities])
    return made


def term(model, batch, noise, weight=1.0, **params):
    """What the prediction adds: all else is the same, the noise too."""
    n_modalities = len(batch.values)
    with_it = objective(weight, n_modalities, **params)(model, batch, noise)
    return with_it - AlignedELBO(**params)(model, batch, noise)


def log_normal(x, mean, variance):
    """Up to the constant."""
    return -0.5 * ((x - mean) ** 2 / variance + np.log(variance))


def exact_terms(world, X, parts, predict=lambda W, z: W @ z):
    """Each shown entry, predicted from the part of the split that its modality is not in."""
    variance = 0.01 + np.exp(2 * LOG_ERROR)
    expected = np.zeros((world.n, 3))
    W, _, s2, _ = world.stacked((0, 1, 2))
    for n in range(world.n):
        if not parts[:, n].any(1).all():
            continue
        for m in range(3):
            other = parts[1, n] if parts[0, n, m] else parts[0, n]
            row = [x[n] if other[k] else np.full_like(x[n], np.nan) for k, x in enumerate(X)]
            z = posterior_mean(np.concatenate(row), np.zeros(len(W)), W, s2)
            mean = predict(world.W[m], z)
            expected[n, m] = np.nansum(log_normal(X[m][n], mean, variance[m]))
    return expected


@pytest.mark.parametrize("weights", [None, [2.0, 0.0, 0.5]])
@pytest.mark.parametrize("kind", [None, *KINDS])
def test_each_modality_is_predicted_from_the_part_that_it_is_not_in(world, kind, weights):
    X = world.x if kind is None else punch(world.x, kind)
    model, batch = world.model(), Batch.from_arrays(X)
    noise = noise_for(batch)
    parts = AlignedELBO()._parts(batch.observed, noise).numpy()
    assert not (parts[0] & parts[1]).any()
    split = batch.observed.sum(1).numpy() > 1
    np.testing.assert_array_equal((parts[0] | parts[1])[split], batch.observed[split])
    exact = exact_terms(world, X, parts) @ (np.ones(3) if weights is None else weights)
    assert (exact[split] != 0).all()
    for gamma in (1.0, 3.0):
        ours = term(model, batch, noise, gamma, likelihood_weights=weights).detach()
        np.testing.assert_allclose(ours, 0.5 * gamma * exact, **EXACT)


def test_draws_of_z_do_not_move_it(world):
    """It is at the posterior mean; the split is drawn."""
    model, batch = world.model(), world.batch()
    noise = noise_for(batch)
    torch.testing.assert_close(
        term(model, batch, noise), term(model, batch, noise, n_samples=5, beta=3.0)
    )


def test_errors_of_prediction_are_not_the_noise_of_the_model(world):
    """They have variances of their own, and only those learn how large they are."""
    model, batch = world.model(), world.batch()
    made, noise = objective(1.0), noise_for(batch)
    value = made(model, batch, noise) - AlignedELBO()(model, batch, noise)
    noises = [likelihood.rho for likelihood in model.likelihoods]
    *gradients, own = torch.autograd.grad(value.sum(), [*noises, made.log_error])
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert (own.abs() > 1e-3).all()
    # at the best value the variance is the mean squared error
    steps = torch.optim.LBFGS([made.log_error], max_iter=100, tolerance_grad=1e-10)

    def loss():
        steps.zero_grad()
        result = -made(model, batch, noise).sum()
        result.backward()
        return result

    steps.step(loss)
    parts = made._parts(batch.observed, noise).numpy()
    W, _, s2, _ = world.stacked((0, 1, 2))
    for m, width in enumerate(world.widths):
        total = 0.0
        for n in range(world.n):
            other = parts[1, n] if parts[0, n, m] else parts[0, n]
            row = [x[n] if other[k] else np.full_like(x[n], np.nan) for k, x in enumerate(world.x)]
            z = posterior_mean(np.concatenate(row), np.zeros(len(W)), W, s2)
            total += ((world.x[m][n] - world.W[m] @ z) ** 2).sum()
        variance = 0.01 + (2 * made.log_error[m]).exp().item()
        np.testing.assert_allclose(variance, total / (world.n * width), rtol=1e-5)


def test_likelihoods_without_a_noise_of_their_own_judge_it_themselves(generator):
    """Bits, and values whose scale the decoder says, in a model of linear networks."""
    X = [torch.rand(30, 4, generator=generator).round().double().numpy()]
    X += [torch.randn(30, 3, generator=generator).double().numpy()]
    likelihoods, widths = [Bernoulli(), StudentTDecoder()], (4, 3)
    for likelihood, x in zip(likelihoods, X, strict=True):
        x = torch.from_numpy(x)
        likelihood.start([(x, torch.ones(30, 1, dtype=torch.bool), torch.ones(30))])
    encoders = [nn.Linear(width, 4) for width in widths]
    decoders = [nn.Linear(2, 4), nn.Linear(2, 9)]
    strategy = ProductOfExperts(DiagonalGaussian(), encoders)
    model = MultimodalVAE(
        strategy, StandardGaussian(2), decoders, likelihoods, Subsets.full(2)
    ).double()
    batch = model.read(X)
    ours = term(model, batch, noise_for(batch))
    expected = torch.zeros(30).double()
    for m in range(2):
        read = likelihoods[1 - m].encode(batch.values[1 - m])
        mean, log_precision = encoders[1 - m](read).chunk(2, -1)
        precision = log_precision.exp()
        raw = decoders[m](mean * precision / (1 + precision))
        expected += likelihoods[m].log_prob(batch.values[m], batch.masks[m], raw)
    torch.testing.assert_close(ours, 0.5 * expected)


def test_with_it_the_objective_is_no_bound():
    assert AlignedELBO().is_bound
    assert not AlignedELBO(prediction_weight=1.0, n_modalities=2).is_bound
    assert AlignedELBO(n_modalities=2).log_error is None


def test_it_asks_for_the_number_of_modalities():
    with pytest.raises(ValueError, match="prediction_weight=1.0 .* n_modalities must be a pos"):
        AlignedELBO(prediction_weight=1.0)


def test_one_modality_has_nothing_to_be_predicted_from():
    world = LinearGaussian(widths=(4,))
    model, batch = world.model(), world.batch()
    noise = noise_for(batch)
    assert not term(model, batch, noise).any()
