"""Counts: rates, library sizes, dispersion, zero inflation, and Poisson draws."""

import numpy as np
import pytest
import torch
from likelihood_oracles import COUNTS, F, N, data, scipy_of, started
from scipy import special

from skpoe import PoEVAE
from skpoe.distributions.poisson import poisson_sample
from skpoe.likelihoods import LIKELIHOODS

counts = pytest.mark.parametrize("name", COUNTS)


@counts
def test_counts_are_read_as_logarithms_clipped_at_reach(name):
    likelihood = LIKELIHOODS[name](reach=2.0)
    x, mask = data(name)
    likelihood.start([(x, mask, torch.ones(N))])
    logs = np.ma.masked_array(np.log1p(x.numpy()), ~mask.numpy())
    expected = ((logs - logs.mean(0)) / logs.std(0)).clip(-2, 2)
    np.testing.assert_allclose(likelihood.encode(x)[mask], expected.compressed(), rtol=1e-10)
    assert likelihood.encode(torch.full((1, F), 1e9)).eq(2).all()


@counts
def test_rates_start_at_column_means_and_columns_of_zeros_below_one_count_in_all(name):
    x, mask = data(name)
    x[:, 0] = 0
    likelihood = LIKELIHOODS[name]()
    likelihood.start([(x[:3], mask[:3], torch.ones(3)), (x[3:], mask[3:], torch.ones(5))])
    means = np.ma.masked_array(x.numpy(), ~mask.numpy()).mean(0)
    rate = likelihood.rate(torch.zeros(1, F, dtype=torch.float64))[0]
    np.testing.assert_allclose(rate[1:], means[1:], rtol=1e-12)
    assert rate[0] == 0.5 / N


@counts
def test_library_sizes_multiply_rates(name):
    x, mask = data(name)
    x[3] = 0  # shows zeros alone
    mask[5] = False  # shows nothing
    x = x * mask
    likelihood = LIKELIHOODS[name](library=True)
    likelihood.start([(x, mask, torch.ones(N))])
    likelihood.double()
    raw = torch.randn(2, N, likelihood.n_outputs(F), dtype=torch.float64, requires_grad=True)
    base = likelihood.base.numpy()
    total = np.maximum(x.numpy().sum(1), 0.5)
    with np.errstate(divide="ignore"):
        size = total / (base * mask.numpy()).sum(1)
    size[5] = 1
    expected = oracle_of_rows(name, likelihood, raw, size).logpmf(x.numpy())
    ours = likelihood.log_prob(x, mask, raw)
    np.testing.assert_allclose(ours.detach(), np.where(mask, expected, 0).sum(-1), atol=1e-10)
    ours.sum().backward()
    assert raw.grad.isfinite().all()
    # without a mask a row is whole
    size = total / base.sum()
    whole = likelihood.log_density(x, raw).detach()
    expected = oracle_of_rows(name, likelihood, raw, size).logpmf(x.numpy())
    np.testing.assert_allclose(whole, expected, atol=1e-10)
    everything = torch.ones(N, 1, dtype=torch.bool)
    np.testing.assert_allclose(
        likelihood.log_prob(x, everything, raw).detach(), expected.sum(-1), atol=1e-10
    )
    oracle = scipy_of(name, likelihood, raw)  # means are those of a typical row
    np.testing.assert_allclose(likelihood.mean(raw).detach(), oracle.mean(), rtol=1e-10)


def oracle_of_rows(name, likelihood, raw, size):
    """scipy's words where the rates of row n are multiplied by size[n]."""
    base = likelihood.base
    likelihood.base = base * torch.from_numpy(size)[:, None]
    oracle = scipy_of(name, likelihood, raw)
    likelihood.base = base
    return oracle


@counts
def test_large_counts_keep_their_density_in_float32(name):
    x = torch.tensor([[1e6, 3.0], [1.01e6, 0.0], [0.99e6, 1.0]])
    likelihood = LIKELIHOODS[name]()
    likelihood.start([(x, torch.ones(3, 1, dtype=torch.bool), torch.ones(3))])
    raw = torch.full((3, likelihood.n_outputs(2)), 1e-3)
    single = likelihood.log_density(x, raw)
    double = likelihood.double().log_density(x.double(), raw.double())
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.detach(), double.detach(), rtol=1e-5, atol=2e-3)


@counts
@pytest.mark.parametrize("bad", [2.5, -1.0])
def test_counts_name_the_column_and_the_value(name, bad):
    title = LIKELIHOODS[name].title
    with pytest.raises(ValueError, match=f"^The {title} likelihood of modality 'rna' needs") as e:
        LIKELIHOODS[name]().check(np.array([[0.0, 1.0], [np.nan, bad]]), "rna", first_row=10)
    assert str(e.value).endswith(
        f"needs counts 0, 1, 2, ... (NaN where missing), but column 1 has {bad:g} in row 11. Give "
        "the counts as they were read, neither scaled nor as logarithms, or choose another "
        "likelihood for it."
    )
    LIKELIHOODS[name]().check(np.array([[0.0, np.nan, 7.0]]), "rna")


def test_poisson_samples_are_quantiles():
    ends = [2.0**-24, 1 - 2.0**-24]
    uniform = np.concatenate([np.random.default_rng(0).uniform(size=500), ends])
    for rate in (1e-300, 1e-6, 0.3, 2.0, 40.0, 1e4, 1e6, 1e12):
        rates = torch.full((502,), rate, dtype=torch.float64)
        ours = poisson_sample(torch.from_numpy(uniform), rates).numpy()
        below = np.where(ours > 0, special.gammaincc(ours, rate), 0)
        # five deviations out torch's function is off by 3e-7, uniform numbers are 1e-7 apart
        slack = 1e-9 if rate < 1e6 else 4e-7
        assert (special.gammaincc(ours + 1, rate) >= uniform - slack).all()
        assert (below <= uniform + slack).all()
        assert (ours == ours.round()).all()
    assert poisson_sample(torch.rand(9), torch.zeros(9)).eq(0).all()
    assert poisson_sample(torch.rand(0), torch.zeros(0)).shape == (0,)


def test_counts_vary_at_the_start_as_their_columns_do():
    """By the method of moments; columns that vary less than Poisson counts start near those."""
    x, mask = data("negative_binomial")
    x[:, 0] = 3  # constant
    x[:, 1] *= 9
    masked = np.ma.masked_array(x.numpy(), ~mask.numpy())
    mean, variance = masked.mean(0).data, masked.var(0).data
    for name in COUNTS[1:]:
        likelihood = LIKELIHOODS[name]()
        likelihood.start([(x, mask, torch.ones(N))])
        theta = likelihood.dispersion.theta().detach().numpy()
        assert theta[0] == pytest.approx(100)
        np.testing.assert_allclose((mean + mean**2 / theta)[1:], variance[1:], rtol=1e-5)


def test_zero_inflation_starts_low_and_zeros_can_be_explained_by_it():
    name = "zero_inflated_negative_binomial"
    likelihood, x, _ = started(name)
    raw = torch.zeros(N, 2 * F, dtype=torch.float64)
    counts, _, _ = started("negative_binomial")
    counts.base, counts.dispersion = likelihood.base, likelihood.dispersion
    plain, inflated = counts.log_density(x, raw[:, :F]), likelihood.log_density(x, raw)
    assert (inflated - plain)[x > 0].detach().numpy() == pytest.approx(np.log(0.95257), abs=1e-4)
    raw[:, F:] = 50
    assert (likelihood.log_density(x, raw)[x == 0].abs() < 1e-12).all()
    assert likelihood.mean(raw).max() < 1e-15


@pytest.mark.parametrize("library", [False, True])
@counts
def test_counts_with_holes_train_and_are_filled_in_and_drawn(name, library):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 2))
    X = []
    for width in (6, 4):
        rates = np.exp(1 + z @ rng.normal(size=(2, width)) / 2)
        X.append(rng.negative_binomial(3, 3 / (3 + rates)).astype(float))
    X[0] *= rng.uniform(size=X[0].shape) > 0.2
    truth = X[1][::3].copy()
    X[0][rng.uniform(size=X[0].shape) < 0.1] = np.nan
    X[1][::3] = np.nan
    likelihood = LIKELIHOODS[name](library=library)
    est = PoEVAE(likelihood=likelihood, max_iter=20, latent_dim=2, random_state=0).fit(X)
    assert np.isfinite(est.score(X))
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    filled = est.predict_missing(X)
    assert all(np.isfinite(x).all() and (x >= 0).all() for x in filled)
    # better than the means of the columns
    error = np.abs(np.log1p(filled[1][::3]) - np.log1p(truth)).mean()
    assert error < np.abs(np.log1p(np.nanmean(X[1], 0)) - np.log1p(truth)).mean()
    for x, draws in zip(X, est.sample(500), strict=True):
        assert (draws == np.floor(draws)).all()
        assert (draws >= 0).all()
        np.testing.assert_allclose(draws.mean(), np.nanmean(x), rtol=0.3)
