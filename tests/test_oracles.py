"""The whole model against a world with closed forms, in float64."""

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from small import small

from skpoe import MVAE, PoEVAE
from skpoe.metrics import importance_log_likelihood
from skpoe.objectives import ELBO, OBJECTIVES, AlignedELBO, SubsetELBO
from skpoe.random import RowNoise, row_keys
from skpoe.subsets import Subsets

EXACT = {"rtol": 0, "atol": 1e-10}


def noise_for(batch, seed=0):
    return RowNoise(seed, row_keys(batch.values, batch.masks))


def make(name, **params):
    """An objective of the registry; the jackknife leaves a draw out, so it needs two."""
    if name == "jvi":
        params["n_samples"] = max(2, params.get("n_samples", 1))
    return OBJECTIVES[name](**params)


def subsets_for(name):
    """Subsets at inference: all modalities, but of a mixture where the objective is of one."""
    if name != "mmvm":
        return Subsets.full
    return lambda n: Subsets.singletons(n) | Subsets.nothing(n)


@pytest.fixture(scope="module")
def world():
    return LinearGaussian()


@pytest.fixture(scope="module")
def patterns(world):
    """Every pattern of missing modalities, the empty one included, over the rows."""
    code = np.arange(world.n) % 2 ** len(world.widths)
    return (code[:, None] >> np.arange(len(world.widths)) & 1).astype(bool)


def shown(observed):
    return [tuple(np.flatnonzero(row)) for row in observed]


def test_posterior_of_every_subset_is_exact(world):
    model, batch = world.model(), world.batch()
    posterior = model.posterior(batch, world.membership())
    root = posterior.params["root"][0]
    for s, subset in enumerate(world.subsets):
        mean, covariance = world.posterior(subset)
        np.testing.assert_allclose(posterior.params["mean"][s].detach(), mean, **EXACT)
        ours = (root.mT @ root)[posterior.params["pattern"][s, 0]]
        np.testing.assert_allclose(ours.detach(), covariance, **EXACT)


def test_log_weights_are_constant_and_equal_log_p_for_every_subset(world):
    model, full = world.model(), world.batch()
    for subset in world.subsets:
        observed = np.zeros((world.n, len(world.widths)), dtype=bool)
        observed[:, subset] = True
        batch = world.batch(observed)
        with torch.no_grad():
            score = importance_log_likelihood(model, batch, noise_for(full), 7)
        np.testing.assert_allclose(score, world.log_prob(subset), **EXACT)


def test_elbo_plus_gap_is_log_p_for_any_diagonal_posterior(world):
    model, batch = world.model("diagonal_gaussian", perturb=0.1), world.batch()
    posterior = model.posterior(batch)
    mean = posterior.params["mean"][0].detach().numpy()
    variance = 1 / posterior.params["precision"][0].detach().numpy()
    subset = tuple(range(len(world.widths)))
    W, b, s2, x = world.stacked(subset)
    square = (x - mean @ W.T - b) ** 2 + variance @ (W**2).T
    fit = -0.5 * (np.log(2 * np.pi * s2) + square / s2).sum(1)
    exact_mean, exact_covariance = world.posterior(subset)
    precision, gap = np.linalg.inv(exact_covariance), exact_mean - mean
    to_exact = 0.5 * (
        variance @ np.diag(precision)
        - world.latent_dim
        + np.einsum("nd,de,ne->n", gap, precision, gap)
        + np.linalg.slogdet(exact_covariance)[1]
        - np.log(variance).sum(1)
    )
    elbo = fit - posterior.kl(posterior.rsample(1, noise_for(batch)))[0].detach().numpy()
    np.testing.assert_allclose(elbo + to_exact, world.log_prob(subset), **EXACT)


def test_diagonal_product_is_exact_with_the_prior_expert_and_only_with_it():
    world = LinearGaussian(orthogonal=True)
    for prior_expert in (True, False):
        model = world.model("diagonal_gaussian", prior_expert=prior_expert)
        posterior = model.posterior(world.batch(), world.membership())
        for s, subset in enumerate(world.subsets):
            mean, covariance = world.posterior(subset)
            variance = 1 / posterior.params["precision"][s].detach()
            agrees = np.allclose(posterior.params["mean"][s].detach(), mean, **EXACT)
            agrees &= np.allclose(variance, np.diag(covariance), **EXACT)
            assert agrees is prior_expert


@pytest.mark.parametrize("prior_expert", [True, False])
@pytest.mark.parametrize("family", ["diagonal_gaussian", "full_gaussian"])
def test_rows_that_show_nothing_have_the_prior(world, family, prior_expert):
    model = world.model(family, prior_expert=prior_expert)
    batch = world.batch(np.zeros((world.n, 3), dtype=bool))
    posterior = model.posterior(batch)
    z = torch.randn(5, 1, world.n, world.latent_dim, dtype=torch.float64)
    np.testing.assert_allclose(posterior.kl(z).detach(), 0, atol=1e-14)
    np.testing.assert_allclose(
        posterior.component_log_prob(z).detach(), model.prior.log_prob(z), **EXACT
    )


def exact_estimator(world, cls=PoEVAE):
    """An estimator whose model is the exact one."""
    est = small(cls, latent_dim=world.latent_dim, max_iter=1, covariance="full", random_state=0)
    est.fit(list(world.x))
    est.model_ = world.model()
    return est


@pytest.mark.parametrize("cls", [PoEVAE, MVAE])
def test_missing_modalities_are_filled_with_conditional_means(world, patterns, cls):
    est = exact_estimator(world, cls)
    X = [np.where(patterns[:, [m]], x, np.nan) for m, x in enumerate(world.x)]
    filled = est.predict_missing(X)
    means = est.reconstruct(X)
    scores = est.score_samples(X)
    latent = est.transform(X)
    for n, subset in enumerate(shown(patterns)):
        np.testing.assert_allclose(scores[n], world.log_prob(subset)[n], **EXACT)
        np.testing.assert_allclose(latent[n], world.posterior(subset)[0][n], **EXACT)
        for m in range(len(world.widths)):
            if m in subset:
                np.testing.assert_array_equal(filled[m][n], world.x[m][n])
                exact = world.W[m] @ latent[n] + world.b[m]
                np.testing.assert_allclose(means[m][n], exact, **EXACT)
            else:
                exact = world.conditional_mean(m, subset)[n] if subset else world.b[m]
                np.testing.assert_allclose(filled[m][n], exact, **EXACT)


@pytest.mark.parametrize("family", ["diagonal_gaussian", "full_gaussian"])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_hidden_inputs_change_neither_value_nor_gradient(world, patterns, family, name):
    """Whatever stands where nothing was observed, bit for bit."""

    def value_and_gradients(filler):
        batch = world.batch(patterns)
        keys = noise_for(batch)
        for value, mask in zip(batch.values, batch.masks, strict=True):
            value[~mask.expand_as(value)] = filler
        model = world.model(family, perturb=0.1, subsets=subsets_for(name))
        value = make(name, n_samples=2)(model, batch, keys)
        value.sum().backward()
        return value.detach(), [p.grad for p in model.parameters()]

    value, gradients = value_and_gradients(0.0)
    other, other_gradients = value_and_gradients(37.0)
    assert torch.equal(value, other)
    for a, b in zip(gradients, other_gradients, strict=True):
        assert torch.equal(a, b)
        assert a.isfinite().all()
    nothing = ~patterns.any(1)
    np.testing.assert_allclose(value[nothing], 0, atol=1e-14)


@pytest.mark.parametrize("family", ["diagonal_gaussian", "full_gaussian"])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_gradients_reach_every_parameter(world, family, name):
    model = world.model(family, perturb=0.1, subsets=subsets_for(name))
    batch = world.batch()
    make(name)(model, batch, noise_for(batch)).sum().backward()
    for parameter in model.parameters():
        assert parameter.grad.abs().sum() > 0


def average(objective, model, batch, repeats=40):
    """Mean over fresh noise and its standard error, (N,) each."""
    with torch.no_grad():
        values = [objective(model, batch, noise_for(batch, seed)) for seed in range(repeats)]
    values = torch.stack(values).numpy()
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(repeats)


def assert_close(estimate, error, exact, largest=5.0):
    assert (np.abs(estimate - exact) <= largest * error + 1e-10).all()


def test_elbo_is_log_p_at_the_exact_posterior(world, patterns):
    estimate, error = average(ELBO(n_samples=200), world.model(), world.batch(patterns))
    exact = [world.log_prob(subset)[n] for n, subset in enumerate(shown(patterns))]
    assert_close(estimate, error, np.array(exact))


def test_subset_elbo_is_the_mean_log_p_of_distinct_subsets(world, patterns):
    estimate, error = average(SubsetELBO(n_samples=200), world.model(), world.batch(patterns))
    exact = np.zeros(world.n)
    for n, subset in enumerate(shown(patterns)):
        terms = {subset, *((m,) for m in subset)} - {()}
        if terms:
            exact[n] = np.mean([world.log_prob(s)[n] for s in terms])
    assert_close(estimate, error, exact)


def test_aligned_elbo_is_log_p_minus_the_mean_distance_of_a_split(world, patterns):
    model, batch = world.model(), world.batch(patterns)
    estimate, error = average(AlignedELBO(n_samples=20), model, batch, repeats=400)
    exact = np.zeros(world.n)
    for n, subset in enumerate(shown(patterns)):
        exact[n] = world.log_prob(subset)[n]
        if len(subset) > 1:
            # a set of three splits into one and two in three ways, all equally likely
            splits = [(m,) for m in subset][: 3 if len(subset) == 3 else 1]
            distances = [
                world.kl_posteriors(subset, s)[n]
                + world.kl_posteriors(subset, tuple(sorted(set(subset) - set(s))))[n]
                for s in splits
            ]
            exact[n] -= 0.5 * np.mean(distances)
    assert_close(estimate, error, exact)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_bounds_do_not_exceed_log_p(world, patterns, name):
    objective = make(name, n_samples=200)
    model = world.model("diagonal_gaussian", perturb=0.2, subsets=subsets_for(name))
    estimate, error = average(objective, model, world.batch(patterns))
    exact = [world.log_prob(subset)[n] for n, subset in enumerate(shown(patterns))]
    if objective.is_bound:
        assert (estimate <= np.array(exact) + 5 * error + 1e-10).all()
    elif name == "subset_elbo":
        assert (estimate > np.array(exact)).any()


def test_more_importance_draws_tighten_the_bound(world):
    model, batch = world.model("diagonal_gaussian", perturb=0.1), world.batch()
    exact = world.log_prob((0, 1, 2)).mean()
    gaps = []
    with torch.no_grad():
        for n_draws in (1, 4, 16, 64):
            scores = [
                importance_log_likelihood(model, batch, noise_for(batch, seed), n_draws).mean()
                for seed in range(100)
            ]
            gaps.append(exact - np.mean(scores))
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3] > 0


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_beta_and_its_warmup_weigh_the_kl(world, patterns, name):
    """The objective is linear in their product, and its slope is minus the KLs that it counts."""
    model = world.model("diagonal_gaussian", perturb=0.2, subsets=subsets_for(name))
    batch = world.batch(patterns)
    noise = noise_for(batch)

    def value(beta, weight=1.0):
        with torch.no_grad():
            return make(name, beta=beta)(model, batch, noise, weight)

    torch.testing.assert_close(value(2.0, 0.25), value(0.5))
    if name == "jvi":  # a combination of logarithms
        return
    if name == "iwae":  # one draw weighs the log-ratio of the draw, not its mean
        z = model.posterior(batch).rsample(1, noise.fold("latent"))
        ratio = model.posterior(batch).mixture_log_prob(z) - model.prior.log_prob(z)
        torch.testing.assert_close(value(0.0) - value(1.0), ratio[0, 0].detach())
        return
    slope = value(1.0) - value(0.0)
    torch.testing.assert_close(value(3.0), value(0.0) + 3 * slope)
    counted = {
        "elbo": lambda seen, kl, apart: kl[seen],
        "aligned_elbo": lambda seen, kl, apart: kl[seen],
        "subset_elbo": lambda seen, kl, apart: np.mean(
            [kl[s] for s in {seen, *((m,) for m in seen)}]
        ),
        "mvtcae": lambda seen, kl, apart: (
            5 / 6 * np.mean([apart[seen, (m,)] for m in seen]) + (1 - 5 / 6) * kl[seen]
        ),
        "crmvae": lambda seen, kl, apart: (
            (kl[seen] + sum(apart[seen, (m,)] for m in seen)) / (len(seen) + 1)
        ),
    }
    if name not in counted:  # which subsets they count is drawn; see their own oracles
        assert slope.mean() < 0
        return
    posterior = model.posterior(batch, world.membership())
    family, prior = posterior.family, posterior.family.at(model.prior.natural())
    single = {s: posterior[i].params for i, s in enumerate(world.subsets)}
    kl = {s: family.kl(p, prior)[0].detach().numpy() for s, p in single.items()}
    apart = {
        (s, t): family.kl(single[s], single[t])[0].detach().numpy() for s in single for t in single
    }
    for n, subset in enumerate(shown(patterns)):
        here = {s: v[n] for s, v in kl.items()}
        between = {s: v[n] for s, v in apart.items()}
        expected = counted[name](subset, here, between) if subset else 0.0
        np.testing.assert_allclose(-slope[n], expected, atol=1e-9)


def test_sampled_subsets_score_their_own_modalities(world):
    """With four modalities k = 1 adds a pair or a triple: each term is an exact log p."""
    world = LinearGaussian(widths=(2, 3, 2, 2), latent_dim=2, n=12)
    model, batch = world.model(), world.batch()
    estimate, error = average(SubsetELBO(n_samples=20, n_subsets=1), model, batch, repeats=400)
    exact = {subset: world.log_prob(subset) for subset in world.subsets}
    fixed = sum(exact[s] for s in [(0, 1, 2, 3), (0,), (1,), (2,), (3,)])
    pairs = np.mean([exact[s] for s in exact if len(s) == 2], axis=0)
    triples = np.mean([exact[s] for s in exact if len(s) == 3], axis=0)
    assert_close(estimate, error, (fixed + 0.5 * pairs + 0.5 * triples) / 6)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_more_draws_lessen_the_noise_of_an_objective(world, name):
    model = world.model("diagonal_gaussian", perturb=0.2, subsets=subsets_for(name))
    batch = world.batch()

    def spread(n_samples):
        with torch.no_grad():
            values = [
                make(name, n_samples=n_samples)(model, batch, noise_for(batch, seed).fold(0))
                for seed in range(60)
            ]
        return torch.stack(values).std(0).mean()

    # the draw of subsets is common to all draws of z, so only the lower limit is general
    assert spread(2 if name == "jvi" else 1) > 1.5 * spread(16)
