"""Likelihoods of continuous data other than Gaussian and Student-t: what is special in each."""

import numpy as np
import pytest
import torch
from likelihood_oracles import F, N, data, started
from scipy import stats

from skpoe.likelihoods import LIKELIHOODS
from skpoe.random import RowNoise


@pytest.mark.parametrize("name", ["laplace", "log_normal"])
def test_noise_starts_at_given_variances(name):
    likelihood, _, _ = started(name)
    np.testing.assert_allclose(likelihood.noise_variance().detach(), 1, rtol=1e-6)
    wanted = torch.tensor([0.04, 0.9, 3.0], dtype=torch.float64)
    likelihood.start_noise(wanted)
    np.testing.assert_allclose(likelihood.noise_variance().detach(), wanted, rtol=1e-10)
    noise = RowNoise(0, torch.arange(20000))
    draws = likelihood.sample(torch.zeros(20000, F, dtype=torch.float64), noise)
    inside = likelihood.standardise(draws.detach()).numpy()
    np.testing.assert_allclose(inside.var(0), wanted, rtol=0.06)
    assert likelihood.can_start


def test_the_pull_of_laplace_residuals_does_not_depend_on_their_size():
    likelihood, x, _ = started("laplace")
    raw = torch.zeros(N, F, dtype=torch.float64, requires_grad=True)
    pulls = [
        torch.autograd.grad(likelihood.log_density(x + far, raw).sum(), raw)[0]
        for far in (1e2, 1e6)
    ]
    torch.testing.assert_close(*pulls)


def test_log_normal_data_are_standardised_logarithms():
    likelihood, x, mask = started("log_normal")
    logs = np.ma.masked_array(np.log(x.numpy().clip(1e-9)), ~mask.numpy())
    expected = (logs - logs.mean(0)) / logs.std(0)
    inside = likelihood.standardise(x)
    np.testing.assert_allclose(inside[mask], expected.compressed(), rtol=1e-9)
    assert inside.isfinite().all()  # also where x is missing
    np.testing.assert_allclose(likelihood.low, expected.min(0) - 1, rtol=1e-9)
    np.testing.assert_allclose(likelihood.high, expected.max(0) + 1, rtol=1e-9)
    unbound = LIKELIHOODS["log_normal"](reach=None)
    unbound.start([(x, mask, torch.ones(N))])
    assert torch.equal(unbound.encode(inside)[mask], inside[mask])


SLOPES = [0.0, 1e-8, 1e-4, 0.01, 0.3, 0.59, 0.5999, 0.6, 0.6001, 0.7, 1.0, 5.0, 30.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_continuous_bernoulli_is_exact_about_one_half_by_quadrature(dtype):
    """Normaliser, its gradient, and the mean."""
    points, weights = np.polynomial.legendre.leggauss(200)
    points, weights = (points + 1) / 2, weights / 2
    slopes = torch.tensor([*SLOPES, *(-slope for slope in SLOPES[1:])], dtype=dtype)
    rows = slopes.double().numpy()[:, None]  # as float32 has them
    tilted = weights * np.exp(rows * (points - 0.5))
    mass, mean = tilted.sum(1), (tilted * points).sum(1) / tilted.sum(1)

    likelihood = LIKELIHOODS["continuous_bernoulli"]()
    x = torch.full((len(slopes), 1), 0.5, dtype=dtype)
    likelihood.start([(x, torch.ones(len(slopes), 1, dtype=torch.bool), torch.ones(len(slopes)))])
    raw = slopes[:, None].clone().requires_grad_()
    density = likelihood.log_density(x, raw)
    (slope,) = torch.autograd.grad(density.sum(), raw)
    rtol, atol = (1e-11, 1e-14) if dtype == torch.float64 else (3e-6, 1e-7)
    np.testing.assert_allclose(density[:, 0].detach(), -np.log(mass), rtol=rtol, atol=atol)
    np.testing.assert_allclose(slope[:, 0], 0.5 - mean, rtol=20 * rtol, atol=atol)
    np.testing.assert_allclose(likelihood.mean(raw.detach())[:, 0], mean, rtol=rtol, atol=atol)


@pytest.mark.parametrize("slope", [0.0, 1e-9, -1e-4, 40.0, -40.0, 1e4])
def test_continuous_bernoulli_draws_are_quantiles_at_every_slope(slope):
    """Uniform where flat, exponential where steep; float32 has no neighbours of 1 so near."""
    likelihood, _, _ = started("continuous_bernoulli")
    law = stats.uniform() if abs(slope) < 1 else stats.expon(scale=1 / abs(slope))
    for dtype in (torch.float32, torch.float64):
        noise = RowNoise(0, torch.arange(5000))
        draws = likelihood.sample(torch.full((5000, F), slope, dtype=dtype), noise).double()
        assert ((draws >= 0) & (draws <= 1)).all()
        near = (1 - draws if slope > 1 else draws)[:, 0].numpy()
        if dtype == torch.float64 or slope < 1:
            assert stats.kstest(near, law.cdf).pvalue > 0.001


def test_beta_starts_at_the_moments_of_its_columns():
    likelihood, x, mask = started("beta")
    masked = np.ma.masked_array(x.numpy(), ~mask.numpy())
    mean, variance = masked.mean(0).data, masked.var(0).data
    ours = likelihood.mean(torch.zeros(1, F, dtype=torch.float64))[0]
    np.testing.assert_allclose(ours, mean, rtol=1e-12)
    total = likelihood.concentration().detach().numpy()
    np.testing.assert_allclose(mean * (1 - mean) / (1 + total), variance, rtol=1e-5)


def test_beta_columns_that_do_not_vary_have_the_highest_concentration():
    x = torch.full((9, 1), 0.3)
    likelihood = LIKELIHOODS["beta"]()
    likelihood.start([(x, torch.ones(9, 1, dtype=torch.bool), torch.ones(9))])
    assert likelihood.concentration().item() == pytest.approx(1000, rel=1e-4)
    assert likelihood.mean(torch.zeros(1, 1)).item() == pytest.approx(0.3)


def test_beta_keeps_values_next_to_one_in_float32():
    likelihood, _, _ = started("beta")
    x = torch.tensor([[1 - 1e-12, 1e-12, 0.5]], dtype=torch.float64)
    inside = likelihood.standardise(x).float()
    ours = likelihood.log_density(inside, torch.zeros(1, F))
    total = likelihood.concentration().detach().numpy()
    mean = torch.sigmoid(likelihood.centre).numpy()
    oracle = stats.beta(mean * total, (1 - mean) * total)
    np.testing.assert_allclose(ours.detach(), oracle.logpdf(x.numpy()), rtol=1e-4)


MISTAKES = {
    "log_normal": (
        0.0,
        "The log-normal likelihood of modality 'rna' needs positive numbers (NaN where missing), "
        "but column 1 has 0 in row 11. If zeros mean 'not measured', set them to NaN, or choose "
        "another likelihood for it.",
    ),
    "continuous_bernoulli": (
        1.5,
        "The continuous Bernoulli likelihood of modality 'rna' needs values from 0 to 1 (NaN "
        "where missing), but column 1 has 1.5 in row 11. Scale the modality to that range, or "
        "choose another likelihood for it.",
    ),
    "beta": (
        1.0,
        "The beta likelihood of modality 'rna' needs values between 0 and 1, ends excluded (NaN "
        "where missing), but column 1 has 1 in row 11. Take 'continuous_bernoulli' if 0 and 1 are "
        "possible, or choose another likelihood for it.",
    ),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_checks_name_the_column_and_the_value(name):
    bad, message = MISTAKES[name]
    with pytest.raises(ValueError) as e:  # noqa: PT011
        LIKELIHOODS[name]().check(np.array([[0.5, 0.2], [np.nan, bad]]), "rna", first_row=10)
    assert str(e.value) == message
    x, mask = data(name)
    LIKELIHOODS[name]().check(np.where(mask, x, np.nan), "rna")


def test_laplace_refuses_what_gaussian_refuses():
    with pytest.raises(ValueError, match=r"Modality 'rna' has values beyond 1e\+150"):
        LIKELIHOODS["laplace"]().check(np.array([[1.0, 1e160]]), "rna")


def test_a_limit_is_that_of_the_precision_that_data_have():
    assay = LIKELIHOODS["censored_gaussian"](low=0.7)
    assay.check(np.array([[0.7], [1.0]], np.float32), "assay")
    with pytest.raises(ValueError, match="needs values within its limits"):
        assay.check(np.array([[0.7 - 1e-6]], np.float32), "assay")
