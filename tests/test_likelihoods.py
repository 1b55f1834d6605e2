"""Laws of the likelihoods, for every member of the registry, and scipy as the oracle."""

import numpy as np
import pytest
import torch
from likelihood_oracles import LEVELS, F, N, data, quadrature, scipy_of, started
from scipy import stats

from skpoe.likelihoods import LIKELIHOODS
from skpoe.random import RowNoise

# levels have laws of their own, in test_levels.py
names = pytest.mark.parametrize("name", sorted(set(LIKELIHOODS) - set(LEVELS)))
own_noise = pytest.mark.parametrize(
    "name", sorted(name for name, kind in LIKELIHOODS.items() if kind.has_own_noise)
)


@names
def test_density_mean_and_sum_agree_with_scipy(name):
    likelihood, x, mask = started(name)
    raw = torch.randn(2, 1, N, likelihood.n_outputs(F), dtype=torch.float64)
    oracle = scipy_of(name, likelihood, raw)
    inside = likelihood.standardise(x)
    log_density = getattr(oracle, "logpdf", None) or oracle.logpmf
    ours = likelihood.log_density(inside, raw).detach()
    expected = log_density(x.numpy())
    np.testing.assert_allclose(ours[..., mask], expected[..., mask.numpy()], atol=1e-10)
    total = likelihood.log_prob(inside * mask, mask, raw).detach()
    np.testing.assert_allclose(total, np.where(mask, expected, 0).sum(-1), atol=1e-10)
    np.testing.assert_allclose(likelihood.mean(raw).detach(), oracle.mean(), atol=1e-10)


# continuous_bernoulli takes the deviation of zeros and ones, which is larger
@pytest.mark.parametrize("name", sorted(set(LIKELIHOODS) - {"continuous_bernoulli"}))
def test_what_errors_are_summed_of_has_deviation_one(name):
    likelihood, x, mask = started(name)
    inside = likelihood.comparable(likelihood.standardise(x))
    mask = mask[:, likelihood.feature_of] if inside.shape != mask.shape else mask
    values = np.ma.masked_array(inside.numpy(), ~mask.numpy())
    np.testing.assert_allclose(values.std(0), 1.0, rtol=1e-6)


@names
def test_intervals_of_whole_numbers_have_them_for_ends(name):
    likelihood, _, _ = started(name)
    raw = torch.randn(N, likelihood.n_outputs(F), dtype=torch.float64)
    draws = likelihood.sample(raw, RowNoise(0, torch.arange(N))).detach()
    assert likelihood.is_whole == bool((draws == draws.floor()).all())
    by = 1.0 if likelihood.is_whole else 0.25
    ends = likelihood.interval(draws - 0.25, draws + 0.25)
    torch.testing.assert_close(torch.stack(ends), torch.stack([draws - by, draws + by]))


@names
def test_rows_that_are_whole_or_absent_are_summed_alike(name):
    likelihood, x, _ = started(name)
    raw = torch.randn(3, N, likelihood.n_outputs(F), dtype=torch.float64)
    rows = (torch.arange(N) % 2 == 0)[:, None]
    inside = likelihood.standardise(x)
    np.testing.assert_allclose(
        likelihood.log_prob(inside, rows, raw).detach(),
        likelihood.log_prob(inside, rows.expand(N, F), raw).detach(),
        atol=1e-12,
    )


@names
def test_density_integrates_to_one(name, generator):
    likelihood, x, _ = started(name)
    grid, weights = quadrature(name, x)
    inside = likelihood.standardise(grid[:, None].expand(-1, F))
    raw = torch.randn(likelihood.n_outputs(F), dtype=torch.float64, generator=generator)
    raw = raw.expand(len(grid), -1)
    mass = weights @ likelihood.log_density(inside, raw).exp()
    beyond = 1e-4 if name.startswith("student_t") else 1e-8  # what lies beyond 400
    np.testing.assert_allclose(mass.detach(), 1, atol=beyond)


@names
def test_samples_agree_with_scipy(name, generator):
    likelihood, _, _ = started(name)
    raw = torch.randn(1, likelihood.n_outputs(F), dtype=torch.float64, generator=generator)
    oracle = scipy_of(name, likelihood, raw)
    noise = RowNoise(0, torch.arange(20000))
    draws = likelihood.sample(raw.expand(20000, -1), noise).detach().numpy()
    error = oracle.std() / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - oracle.mean()) < 5 * error).all()
    if name.startswith("student_t"):  # its fourth moment is large, or none: compare quartiles
        quartiles = np.percentile(draws, (25, 75), axis=0)
        expected = np.stack([oracle.ppf(0.25)[0], oracle.ppf(0.75)[0]])
        np.testing.assert_allclose(quartiles, expected, atol=0.05 * oracle.std().max())
    else:
        np.testing.assert_allclose(draws.std(0), oracle.std()[0], rtol=0.03)
    if hasattr(oracle, "logpdf"):
        quantiles = oracle.cdf(draws)  # of the first column: uniform
        assert stats.kstest(quantiles[:, 0], "uniform").pvalue > 0.001
    else:
        for column in range(F):
            assert frequencies_fit(draws[:, column], lambda k: oracle.pmf(k)[0, column])  # noqa: B023


@names
def test_the_draw_of_a_row_does_not_depend_on_its_company(name):
    likelihood, _, _ = started(name)
    raw = 3 * torch.randn(N, likelihood.n_outputs(F), dtype=torch.float64)
    noise = RowNoise(0, torch.arange(N))
    whole = likelihood.sample(raw, noise)
    for n in range(N):
        alone = likelihood.sample(raw[n : n + 1], noise[n : n + 1])
        torch.testing.assert_close(alone[0], whole[n], rtol=1e-12, atol=0)


def frequencies_fit(draws, pmf):
    """Chi-square test of whole numbers, those above the 99th percentile in one cell."""
    top = int(np.percentile(draws, 99))
    cells = np.arange(top + 1)
    expected = np.array([float(pmf(k)) for k in cells]) * len(draws)
    seen = np.bincount(draws.astype(int).clip(max=top + 1), minlength=top + 2)
    expected = np.append(expected, len(draws) - expected.sum())
    common = expected > 5
    rare = expected[~common].sum(), seen[~common].sum()
    expected, seen = np.append(expected[common], rare[0]), np.append(seen[common], rare[1])
    keep = expected > 0
    return stats.chisquare(seen[keep], expected[keep], sum_check=False).pvalue > 0.001


@names
def test_missing_entries_are_neutral_to_the_encoder(name):
    likelihood, x, mask = started(name)
    encoded = likelihood.encode(likelihood.standardise(x))
    observed = (encoded * mask).sum(0) / mask.sum(0)
    np.testing.assert_allclose(observed, 0, atol=1e-12)


@names
def test_columns_that_were_never_seen_have_a_mean_that_no_latent_moves(name):
    x, mask = data(name)
    x[:, 1], mask[:, 1] = 0, False
    likelihood = LIKELIHOODS[name]()
    likelihood.start([(x, mask, torch.ones(len(x)))])
    raw = torch.randn(5, likelihood.n_outputs(F), dtype=torch.float64)
    mean = likelihood.mean(raw)
    assert len(mean[:, 1].unique()) == 1
    assert len(mean[:, 0].unique()) == 5


@names
def test_gradients_reach_every_parameter_and_raw(name):
    likelihood, x, mask = started(name)
    raw = torch.randn(N, likelihood.n_outputs(F), dtype=torch.float64, requires_grad=True)
    likelihood.log_prob(likelihood.standardise(x), mask, raw).sum().backward()
    for leaf in (raw, *likelihood.parameters()):
        assert leaf.grad.isfinite().all()
        assert leaf.grad.ne(0).any(0).all()  # of each feature


@own_noise
def test_the_noise_starts_as_if_z_said_nothing(name):
    likelihood, _, _ = started(name)
    np.testing.assert_allclose(likelihood.noise_variance().detach(), 1, rtol=1e-6)


@own_noise
def test_the_noise_starts_at_given_variances(name):
    likelihood, _, _ = started(name)
    parameter = likelihood.rho
    if name == "student_t":  # with other tails than those of the start
        likelihood.tail.data.fill_(8.0)
    wanted = torch.tensor([0.04, 0.9, 300.0], dtype=torch.float64)
    likelihood.start_noise(wanted)
    assert likelihood.rho is parameter
    assert parameter.dtype == torch.float64
    assert parameter.requires_grad
    np.testing.assert_allclose(likelihood.noise_variance().detach(), wanted, rtol=1e-10)
    spread = likelihood.spread.numpy()
    raw = torch.zeros(20000, F, dtype=torch.float64)
    oracle = scipy_of(name, likelihood, raw[:1])
    draws = likelihood.sample(raw, RowNoise(0, torch.arange(20000))).detach().numpy()
    variance = oracle.var()[0]
    if name == "log_normal":  # the noise is that of logarithms
        variance, draws = oracle.args[0][0] ** 2, np.log(draws)
    np.testing.assert_allclose(variance / spread**2, wanted, rtol=1e-10)
    np.testing.assert_allclose(draws.var(0) / spread**2, wanted, rtol=0.06)


@own_noise
def test_the_noise_starts_no_lower_than_its_floor_and_can_leave_it(name):
    likelihood, x, mask = started(name)
    likelihood.float().start_noise(torch.zeros(F, dtype=torch.float64))
    assert likelihood.rho.dtype == torch.float32
    scale = (likelihood.scale() / likelihood.spread).detach()
    assert ((scale > likelihood.floor) & (scale < 1.1 * likelihood.floor)).all()
    raw = torch.zeros(N, F)
    likelihood.log_prob(likelihood.standardise(x.float()), mask, raw).sum().backward()
    assert (likelihood.rho.grad > 0).all()


def test_the_variance_of_student_t_is_finite_however_heavy_its_tails():
    likelihood, _, _ = started("student_t")
    likelihood.float().tail.data.fill_(-30.0)
    assert likelihood.df() == 2  # rounded
    assert likelihood.noise_variance().isfinite().all()


@pytest.mark.parametrize("name", ["student_t_decoder", "gaussian_decoder"])
def test_the_noise_that_a_decoder_says_has_no_variance_of_its_own(name):
    likelihood, _, _ = started(name)
    for call in (likelihood.noise_variance, likelihood.scale):
        with pytest.raises(ValueError, match="it has no scale or variance of its own"):
            call()
    with pytest.raises(ValueError, match="it has no variance to start at"):
        likelihood.start_noise(torch.ones(F))


def test_student_t_bears_freak_values_and_gaussian_noise_is_its_limit():
    likelihood, x, mask = started("student_t")
    plain = LIKELIHOODS["gaussian"]()
    plain.start([(x, mask, torch.ones(N))])
    raw = torch.zeros(N, F, dtype=torch.float64, requires_grad=True)
    freak = likelihood.standardise(x + 1e4)
    pulls = [
        torch.autograd.grad(noise.log_density(freak, raw).sum(), raw)[0].abs()
        for noise in (likelihood, plain)
    ]
    assert (pulls[0] < 1e-3 * pulls[1]).all()
    likelihood.tail.data.fill_(1e7)
    likelihood.start_noise(torch.ones(F))
    inside = likelihood.standardise(x)
    np.testing.assert_allclose(
        likelihood.log_density(inside, raw).detach(),
        plain.log_density(inside, raw).detach(),
        rtol=1e-5,
    )


def test_student_t_decoder_has_three_outputs_a_feature_and_bears_freak_values():
    likelihood, x, _ = started("student_t_decoder")
    assert likelihood.n_outputs(F) == 3 * F
    assert not list(likelihood.parameters())  # the decoder says everything
    raw = torch.zeros(1, 3 * F, dtype=torch.float64, requires_grad=True)
    freak = likelihood.standardise(x[:1] + 1e4)
    (gradient,) = torch.autograd.grad(likelihood.log_density(freak, raw).sum(), raw)
    plain, _, _ = started("gaussian")
    raw = torch.zeros(1, F, dtype=torch.float64, requires_grad=True)
    (pull,) = torch.autograd.grad(plain.log_density(freak, raw).sum(), raw)
    assert (gradient[0, :F].abs() < 1e-3 * pull[0].abs()).all()


def test_gaussian_reports_its_scale_in_the_units_of_the_data():
    likelihood, x, mask = started("gaussian")
    # an untrained decoder explains nothing: the scale is the deviation of the data
    masked = np.ma.masked_array(x.numpy(), ~mask.numpy())
    np.testing.assert_allclose(likelihood.scale().detach(), masked.std(0).data, rtol=1e-6)


def test_constant_columns_keep_a_finite_scale():
    likelihood = LIKELIHOODS["gaussian"]()
    x = torch.full((1000, 2), 0.1)
    likelihood.start([(x, torch.ones(1000, 1, dtype=torch.bool), torch.ones(1000))])
    np.testing.assert_allclose(likelihood.spread, 1)
    np.testing.assert_allclose(likelihood.standardise(x), 0, atol=1e-8)


def test_large_offsets_keep_their_decimals():
    likelihood = LIKELIHOODS["gaussian"]()
    x = 1e9 + torch.arange(100.0).double()[:, None]
    likelihood.start([(x, torch.ones(100, 1, dtype=torch.bool), torch.ones(100))])
    inside = likelihood.standardise(x).float()
    np.testing.assert_allclose(likelihood.mean(inside), x, rtol=1e-14, atol=1e-4)


def test_bernoulli_names_the_column_and_the_value():
    with pytest.raises(
        ValueError, match="Bernoulli likelihood of modality 'rna' needs values"
    ) as e:
        LIKELIHOODS["bernoulli"]().check(np.array([[0.0, 1.0], [np.nan, 3.0]]), "rna")
    assert "column 1 has 3 in row 1" in str(e.value)


def test_gaussian_encoders_see_values_clipped_at_five_deviations():
    likelihood, x, _ = started("gaussian")
    x[0, 1] = 1e9
    encoded = likelihood.encode(likelihood.standardise(x))
    assert encoded.max() == 5
    assert likelihood.standardise(x).max() > 1e6  # the likelihood does not


@pytest.mark.parametrize("name", ["gaussian", "student_t", "student_t_decoder"])
def test_encoders_without_reach_see_values_clipped_near_what_training_showed(name):
    x, mask = data(name)
    x[0, 1] = 1e5  # a freak value, observed: it is read as it is
    x[:, 2], mask[:, 2] = 0, False
    halves = slice(0, N // 2), slice(N // 2, N)
    likelihood = LIKELIHOODS[name](reach=None)
    likelihood.start([(x[rows], mask[rows], torch.ones(N // 2)) for rows in halves])
    inside = likelihood.standardise(x)
    seen = np.ma.masked_array(inside.numpy(), ~mask.numpy())
    np.testing.assert_array_equal(likelihood.low, seen.min(0).filled(0) - 1)
    np.testing.assert_array_equal(likelihood.high, seen.max(0).filled(0) + 1)
    assert likelihood.low.dtype == likelihood.high.dtype == torch.float64
    for dtype in (torch.float32, torch.float64):  # not even rounding moves training data
        encoded = likelihood.encode(inside.to(dtype))
        assert encoded.dtype == dtype
        assert torch.equal(encoded[mask], inside.to(dtype)[mask])
    beyond = likelihood.encode(torch.tensor([[-1e9], [1e9]]).expand(-1, F))
    torch.testing.assert_close(beyond, torch.stack([likelihood.low, likelihood.high]).float())


def test_the_range_of_columns_that_are_whole_is_read_too():
    x = torch.tensor([[3.0, 1.0], [5.0, 1.0], [7.0, 1.0]])
    likelihood = LIKELIHOODS["gaussian"]()
    mask = torch.tensor([[True], [True], [False]])
    likelihood.start([(x[:2], mask[:2], torch.ones(2)), (x[2:] * 0, mask[2:], torch.ones(1))])
    np.testing.assert_allclose(likelihood.low, [-2, -1])
    np.testing.assert_allclose(likelihood.high, [2, 1])


def test_gaussian_refuses_what_cannot_be_squared():
    with pytest.raises(
        ValueError, match=r"Modality 'rna' has values beyond 1e\+150, whose squares"
    ):
        LIKELIHOODS["gaussian"]().check(np.array([[1.0, 1e160]]), "rna")


@pytest.mark.parametrize("df", [3.0, 5.0, 15.0])
def test_student_t_starts_at_the_tails_of_residuals(df):
    """The likeliest of a few degrees of freedom, by scipy; variances stay.

    A feature that leaves next to nothing of the variance that it should says the same of tails.
    """
    residuals = stats.t.rvs(df, size=(400, 4), random_state=0) * ((df - 2) / df) ** 0.5
    weights = np.random.default_rng(0).uniform(size=(400, 4))
    weights[:200, 1] = 0
    residuals[:200, 1] = 1e6  # are not there
    residuals /= np.sqrt(np.average(residuals**2, 0, weights))
    own = [1.0, 1.0, 0.01, 1.0]
    likelihood = LIKELIHOODS["student_t"]()
    likelihood.start([(torch.randn(9, 4), torch.ones(9, 1, dtype=torch.bool), torch.ones(9))])
    variance = torch.tensor([0.3, 0.5, 0.7, 0.9])
    likelihood.start_noise(variance)
    likelihood.start_tail(torch.from_numpy(residuals * own), torch.from_numpy(weights))
    torch.testing.assert_close(likelihood.noise_variance(), variance)
    tried = (2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0)
    scores = [
        (stats.t.logpdf(residuals, d, scale=((d - 2) / d) ** 0.5) * weights).sum() for d in tried
    ]
    best = tried[int(np.argmax(scores))]
    assert abs(np.log(best / df)) < 0.8
    np.testing.assert_allclose(likelihood.df().item(), best, rtol=1e-6)


@names
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_outputs_of_a_decoder_stay_finite(name, dtype):
    likelihood, x, mask = started(name)
    likelihood = LIKELIHOODS[name]()
    likelihood.start([(x, mask, torch.ones(N))])  # what is read off the data stays in float64
    for parameter in likelihood.parameters():
        parameter.data = parameter.data.to(dtype)
    inside = (likelihood.standardise(x) * mask).to(dtype)
    n_outputs = likelihood.n_outputs(F)
    signs = torch.cat([torch.ones(1, n_outputs), -torch.ones(1, n_outputs), torch.eye(n_outputs)])
    for sign in (*signs, *-signs):
        raw = (50 * sign).to(dtype).repeat(N, 1).requires_grad_()
        density = likelihood.log_density(inside, raw)
        assert density.dtype == dtype
        assert density.isfinite().all()
        likelihood.zero_grad()
        likelihood.log_prob(inside, mask, raw).sum().backward()
        for leaf in (raw, *likelihood.parameters()):
            assert leaf.grad.isfinite().all()
        assert likelihood.mean(raw).isfinite().all()
        noise = RowNoise(0, torch.arange(N))
        assert likelihood.sample(raw.detach(), noise).isfinite().all()
