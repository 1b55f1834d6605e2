"""Categories, ordered levels and limits of detection: scipy, enumeration and closed forms."""

import numpy as np
import pytest
import torch
from likelihood_oracles import LEVELS, F, N, data, started
from scipy import special, stats

from skpoe.likelihoods import LIKELIHOODS, CensoredGaussian
from skpoe.random import RowNoise

levels = pytest.mark.parametrize("name", LEVELS)
N_LEVELS = (2, 3, 4)
CUTS = np.split(np.arange(sum(N_LEVELS)), np.cumsum(N_LEVELS)[:-1])


def raws(likelihood, *lead, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(2 * rng.normal(size=(*lead, likelihood.n_outputs(F))))


def expected(name, likelihood, raw):
    """Probabilities of the levels of each feature, by numpy."""
    raw = raw.numpy()
    if name == "categorical":
        logits = raw + np.log(likelihood.share.numpy())
        return [special.softmax(logits[..., part], axis=-1) for part in CUTS]
    found = []
    for feature, n_levels in enumerate(N_LEVELS):
        cuts = likelihood.cuts().detach().numpy()[feature, : n_levels - 1]
        below = stats.logistic.cdf(cuts - raw[..., feature, None])
        edges = [np.zeros_like(below[..., :1]), below, np.ones_like(below[..., :1])]
        found.append(np.diff(np.concatenate(edges, axis=-1), axis=-1))
    return found


@levels
def test_probabilities_densities_and_sums(name):
    likelihood, x, mask = started(name)
    raw = raws(likelihood, 2, N)
    chances = expected(name, likelihood, raw)
    tables = likelihood.probabilities(likelihood.mean(raw).detach())
    for feature, chance in enumerate(chances):
        np.testing.assert_allclose(tables[feature], chance, atol=1e-12)
    codes = x.numpy().astype(int)
    density = np.stack(
        [
            np.log(np.take_along_axis(c, codes[None, :, f, None].repeat(2, 0), -1)[..., 0])
            for f, c in enumerate(chances)
        ],
        axis=-1,
    )
    inside, wide = likelihood.standardise(x), mask[:, likelihood.feature_of]
    total = likelihood.log_prob(inside * wide, wide, raw).detach()
    np.testing.assert_allclose(total, np.where(mask, density, 0).sum(-1), atol=1e-10)
    whole = torch.arange(N)[:, None] % 2 == 0
    np.testing.assert_allclose(
        likelihood.log_prob(inside, whole, raw).detach(),
        np.where(whole, density, 0).sum(-1),
        atol=1e-10,
    )


@levels
def test_without_a_decoder_the_levels_have_the_shares_of_the_data(name):
    likelihood, x, mask = started(name)
    tables = likelihood.probabilities(likelihood.mean(torch.zeros(likelihood.n_outputs(F))))
    for feature, n_levels in enumerate(N_LEVELS):
        seen = x[mask[:, feature], feature].numpy().astype(int)
        share = np.bincount(seen, minlength=n_levels) / len(seen)
        np.testing.assert_allclose(tables[feature].detach(), share, atol=2e-3)


@levels
def test_a_level_that_no_row_shows_is_possible(name):
    x, mask = data(name)
    likelihood = LIKELIHOODS[name](n_levels=[2, 3, 6])
    likelihood.start([(x, mask, torch.ones(N))])
    chance = likelihood.probabilities(likelihood.mean(torch.zeros(likelihood.n_outputs(F))))[2]
    assert chance.shape == (6,)
    assert (chance[4:] > 0.01).all()
    assert likelihood.log_prob(
        likelihood.standardise(torch.tensor([[1.0, 2.0, 5.0]]).double()),
        torch.ones(1, 1, dtype=torch.bool),
        torch.zeros(1, likelihood.n_outputs(F)),
    ).isfinite()


@levels
def test_draws_have_the_probabilities(name):
    likelihood, _, _ = started(name)
    raw = raws(likelihood, 1, seed=1)
    draws = likelihood.sample(raw.expand(20000, -1), RowNoise(0, torch.arange(20000))).numpy()
    for feature, chance in enumerate(expected(name, likelihood, raw)):
        count = np.bincount(draws[:, feature].astype(int), minlength=N_LEVELS[feature])
        assert stats.chisquare(count, chance[0] * 20000).pvalue > 0.001


def test_the_best_guess_of_a_category_is_its_mode_and_of_ordered_levels_the_median():
    for name in LEVELS:
        likelihood, _, _ = started(name)
        mean = torch.tensor([[0.6, 0.4, 0.4, 0.25, 0.35, 0.3, 0.15, 0.15, 0.4]]).double()
        guess = likelihood.best_guess(mean)
        assert guess.tolist() == [[0, 0, 3] if name == "categorical" else [0, 1, 2]]
        for draw in ([0.0, 2.0, 3.0], [1.0, 0.0, 1.0]):  # a draw is its own best guess
            inside = likelihood.standardise(torch.tensor([draw]).double())
            assert likelihood.best_guess(inside).tolist() == [draw]


@levels
def test_far_out_decoders_stay_finite_with_gradients(name):
    likelihood, x, _ = started(name)
    likelihood.float()
    raw = 1e4 * raws(likelihood, N).float()
    raw.requires_grad_()
    value = likelihood.log_density(likelihood.standardise(x.float()), raw)
    value.sum().backward()
    assert value.isfinite().all()
    for leaf in (raw, *likelihood.parameters()):
        assert leaf.grad.isfinite().all()


@levels
def test_columns_that_were_never_seen_have_a_mean_that_no_latent_moves(name):
    x, mask = data(name)
    x[:, 1], mask[:, 1] = 0, False
    likelihood = LIKELIHOODS[name](n_levels=N_LEVELS)
    likelihood.start([(x, mask, torch.ones(N))])
    tables = likelihood.probabilities(likelihood.mean(raws(likelihood, 5)).detach())
    assert np.ptp(tables[1].numpy(), axis=0).max() == 0
    assert np.ptp(tables[2].numpy(), axis=0).max() > 0.01


@levels
def test_numbers_that_are_no_levels_are_refused_by_the_name_of_the_column(name):
    for bad in (0.5, -1.0):
        with pytest.raises(ValueError, match=f"{name} likelihood of modality 'rna' .* column 'b'"):
            LIKELIHOODS[name]().check(np.array([[0, bad], [np.nan, 1]]), "rna", 3, ["a", "b"])
    likelihood, _, _ = started(name)
    likelihood.check(np.array([[1.0, 2.0, 3.0]]), "rna")
    with pytest.raises(ValueError, match="column 0 has 2 in row 7"):
        likelihood.check(np.array([[2.0, 0.0, 0.0]]), "rna", first_row=7)


@levels
def test_encoders_read_levels_about_zero_and_linear_ones_with_deviation_one(name):
    likelihood, x, mask = started(name)
    wide = mask[:, likelihood.feature_of]
    encoded = likelihood.encode(likelihood.standardise(x)) * wide
    np.testing.assert_allclose(encoded.sum(0), 0, atol=1e-12)
    likelihood.read_linearly()
    encoded = likelihood.encode(likelihood.standardise(x)) * wide
    np.testing.assert_allclose(encoded.square().sum(0) / wide.sum(0), 1, atol=1e-12)


LOW, HIGH = 45.0, 58.0


@pytest.fixture
def censored():
    x = np.clip(50 + 7 * np.random.default_rng(0).normal(size=(40, 2)), LOW, HIGH)
    likelihood = CensoredGaussian(low=LOW, high=[HIGH, np.inf])
    x[:, 1] = np.where(x[:, 1] == HIGH, HIGH + 3, x[:, 1])
    likelihood.start([(torch.from_numpy(x), torch.ones(40, 1).bool(), torch.ones(40))])
    return likelihood.double(), torch.from_numpy(x)


def test_values_at_a_limit_have_the_probability_of_what_lies_beyond(censored):
    likelihood, x = censored
    raw = torch.randn(40, 2, dtype=torch.float64, requires_grad=True)
    mean = (likelihood.shift + likelihood.spread * raw).detach().numpy()
    oracle = stats.norm(mean, likelihood.scale().detach().numpy())
    wanted = np.where(x == LOW, oracle.logcdf(LOW), oracle.logpdf(x))
    wanted[:, 0] = np.where(x[:, 0] == HIGH, oracle.logsf(HIGH)[:, 0], wanted[:, 0])
    assert 5 < (x[:, 0] == HIGH).sum()
    ours = likelihood.log_density(likelihood.standardise(x), raw)
    np.testing.assert_allclose(ours.detach(), wanted, atol=1e-9)
    ours.sum().backward()
    assert raw.grad.isfinite().all()


def test_means_and_draws_are_those_of_what_is_reported(censored):
    likelihood, _ = censored
    raw = torch.tensor([[-1.0, 1.5]], dtype=torch.float64)
    centre = (likelihood.shift + likelihood.spread * raw).numpy()[0]
    scale = likelihood.scale().detach().numpy()
    grid = np.linspace(-12, 12, 200001)
    wanted = [
        np.trapezoid(np.clip(c + s * grid, LOW, high) * stats.norm.pdf(grid), grid)
        for c, s, high in zip(centre, scale, (HIGH, np.inf), strict=True)
    ]
    np.testing.assert_allclose(likelihood.mean(raw).detach()[0], wanted, atol=1e-6)
    draws = likelihood.sample(raw.expand(20000, -1), RowNoise(0, torch.arange(20000)))
    np.testing.assert_allclose(draws.detach().mean(0), wanted, atol=0.15)
    assert draws.min() == LOW
    assert draws[:, 0].max() == HIGH < draws[:, 1].max()


def test_values_beyond_a_limit_are_refused():
    with pytest.raises(ValueError, match=r"limits, 0.0 and None .* column 1 has -2 in row 0"):
        CensoredGaussian(low=0.0).check(np.array([[0.0, -2.0], [np.nan, 1]]), "assay")
