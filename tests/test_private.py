"""Latent variables that belong to one modality each."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from scipy.stats import kstest
from torch import nn
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import Normal, kl_divergence

from skpoe import ModularVAE
from skpoe.data.batch import Batch
from skpoe.metrics import (
    conditional_log_likelihood,
    importance_log_likelihood,
    importance_log_weights,
    predictive_draws,
    predictive_log_weights,
)
from skpoe.model import MultimodalVAE
from skpoe.objectives import ELBO, IWAE, SubsetELBO
from skpoe.posteriors import DiagonalGaussian, Laplace, PrivatePosterior, SubsetPosterior
from skpoe.priors import Laplace as LaplacePrior
from skpoe.priors import ScaledGaussian, StandardGaussian
from skpoe.private import PrivateLatents
from skpoe.random import RowNoise
from skpoe.strategies import ProductOfExperts
from skpoe.subsets import Subsets

S, N, M, D, P, K = 4, 6, 3, 2, 2, 5
kinds = pytest.mark.parametrize("kind", ["gaussian", "laplace"])


def noise(n=N, seed=0):
    return RowNoise(seed, torch.arange(n))


def pieces(kind):
    """A family, a prior of fixed scales, one of learned scales, and torch's distribution."""
    if kind == "laplace":
        return Laplace(), LaplacePrior(P, learn_scale=False), LaplacePrior, TorchLaplace
    return DiagonalGaussian(), StandardGaussian(P), ScaledGaussian, Normal


def private_of(kind, n=N):
    """Private posteriors, and torch's version of each: [m], batch shape (N, P)."""
    family, prior, learned, torch_kind = pieces(kind)
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(M, 1, P, generator=generator, dtype=torch.float64).expand(M, n, P)
    scale = torch.rand(M, 1, P, generator=generator, dtype=torch.float64).expand(M, n, P) + 0.3
    second = {"scale": scale} if kind == "laplace" else {"precision": scale**-2}
    auxiliary = tuple(learned(P).double() for _ in range(M))
    for m, one in enumerate(auxiliary):
        one.scores.data = torch.tensor([0.0, m + 1.0]).double()
    reach = torch.rand(S, n, M, generator=generator) < 0.5
    reach[0], reach[1] = True, False
    posterior = PrivatePosterior(
        family, {"mean": mean, **second}, reach, prior.double(), auxiliary
    )
    return posterior, [torch_kind(mean[m], scale[m]) for m in range(M)], torch_kind


@kinds
def test_densities_and_divergences_of_what_is_reached(kind):
    private, truth, torch_kind = private_of(kind)
    z = torch.randn(K, S, N, D + M * P, dtype=torch.float64)
    w = z[..., D:].unflatten(-1, (M, P))
    standard = torch_kind(torch.zeros(P).double(), torch.ones(P).double())
    ratio, kl = private.log_ratio(z).detach(), private.kl().detach()
    assert private.size == M * P
    for s, n in itertools.product(range(S), range(N)):
        expected, divergence = torch.zeros(K).double(), torch.zeros(()).double()
        for m in range(M):
            if private.reach[s, n, m]:
                own = torch_kind(truth[m].loc[n], truth[m].scale[n])
                at = w[:, s, n, m]
                expected += (standard.log_prob(at) - own.log_prob(at)).sum(-1)
                divergence += kl_divergence(own, standard).sum()
        np.testing.assert_allclose(ratio[:, s, n], expected, atol=1e-10)
        np.testing.assert_allclose(kl[s, n], divergence, atol=1e-10)
    # what is not reached adds nothing, wherever it lies
    moved = torch.where(private.reach.repeat_interleave(P, -1), z[..., D:], 100.0)
    moved = torch.cat([z[..., :D], moved], -1)
    assert torch.equal(private.log_ratio(moved), private.log_ratio(z))
    assert (ratio[:, 1] == 0).all()
    assert (kl[1] == 0).all()


@kinds
@pytest.mark.parametrize("antithetic", [False, True])
def test_draws_are_those_of_the_posterior_or_of_the_auxiliary_prior(kind, antithetic):
    n = 300
    private, truth, torch_kind = private_of(kind, n)
    w = private.rsample(8, S, noise(n), antithetic).detach().unflatten(-1, (M, P))
    assert w.shape == (16 if antithetic else 8, S, n, M, P)
    if antithetic:  # the second half mirrors the first
        centre = torch.where(
            private.reach[..., None], private.params["mean"].permute(1, 0, 2), 0.0
        )
        np.testing.assert_allclose(
            (w[:8] + w[8:]) / 2, centre.expand(8, -1, -1, -1, -1), atol=1e-9
        )
        w = w[:8]
    for m in range(M):
        natural = {k: v.detach() for k, v in private.auxiliary[m].natural().items()}
        scale = natural["scale"] if kind == "laplace" else natural["precision"].rsqrt()
        elsewhere = torch_kind(torch.zeros(P).double(), scale)
        reached = private.reach[..., m]
        own = truth[m].cdf(w[..., m, :])[:, reached]
        other = elsewhere.cdf(w[..., m, :])[:, ~reached]
        for quantiles in (own, other):
            for p in range(P):
                assert kstest(quantiles[..., p].flatten().numpy(), "uniform").pvalue > 1e-3
    # subsets, draws and modalities have noise of their own
    flat = w[:, 0].permute(1, 0, 2, 3).flatten(1)  # all reached
    correlation = torch.corrcoef(flat.T) - torch.eye(8 * M * P)
    assert correlation.abs().max() < 5 / np.sqrt(n)
    same = (w[:, 0, :, 0] - w[:, 2, :, 0])[:, private.reach[2, :, 0]]
    assert (same != 0).all()


def subset_posterior(kind):
    family = pieces(kind)[0]
    private, _, _ = private_of(kind)
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(S, N, D, generator=generator, dtype=torch.float64)
    scale = torch.rand(S, N, D, generator=generator, dtype=torch.float64) + 0.5
    second = {"scale": scale} if kind == "laplace" else {"precision": scale**-2}
    prior = (LaplacePrior if kind == "laplace" else ScaledGaussian)(D).double()
    log_weights = torch.tensor([0.1, 0.2, 0.3, 0.4]).double().log()[:, None].expand(S, N)
    plain = SubsetPosterior(family, {"mean": mean, **second}, log_weights, prior)
    return plain, SubsetPosterior(family, plain.params, log_weights, prior, private)


@kinds
def test_private_parts_stand_behind_the_shared_ones(kind):
    plain, both = subset_posterior(kind)
    z = both.rsample(K, noise())
    assert z.shape == (K, S, N, D + M * P)
    assert torch.equal(z[..., :D], plain.rsample(K, noise()))
    assert torch.equal(both.shared(z), z[..., :D])
    own = both.private
    for one, other, more in (
        (both.kl(z), plain.kl(z[..., :D]), own.kl()),
        (both.log_ratio(z), plain.log_ratio(z[..., :D]), own.log_ratio(z)),
        (
            both.log_ratio(z, of_component=True),
            plain.log_ratio(z[..., :D], of_component=True),
            own.log_ratio(z),
        ),
    ):
        np.testing.assert_allclose(one.detach(), (other + more).detach(), atol=1e-12)
    part = both[1:3]
    np.testing.assert_allclose(part.kl(z[:, 1:3]).detach(), both.kl(z)[1:3].detach(), atol=1e-12)
    inferred = both.inferred(z)
    assert inferred[..., :D].all()
    assert (inferred[..., D:].unflatten(-1, (M, P)) == own.reach[..., None]).all()
    assert plain.inferred(z[..., :D]).all()
    # thinning keeps where each component reaches
    thin = both.thin(2, noise())
    for n in range(N):
        for k in range(2):
            (s,) = (plain.params["mean"][:, n] == thin.params["mean"][k, n]).all(-1).nonzero()[0]
            assert torch.equal(thin.private.reach[k, n], own.reach[s, n])


def network(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 5), nn.Tanh(), nn.Linear(5, n_out))


def mmvae_plus(kind, world, subsets=None):
    torch.manual_seed(0)
    family, prior, learned, _ = pieces(kind)
    n_modalities = len(world.widths)

    def encoders(dim):
        return [network(width, family.n_outputs(dim)) for width in world.widths]

    auxiliary = [learned(P) for _ in world.widths]
    for one in auxiliary:
        one.scores.data = torch.randn(P)
    shared = learned(D)
    shared.scores.data = torch.randn(D)
    return MultimodalVAE(
        ProductOfExperts(family, encoders(D), prior_expert=False),
        shared,
        [network(D + P, width) for width in world.widths],
        world.likelihoods(),
        Subsets.singletons(n_modalities) if subsets is None else subsets,
        PrivateLatents(family, encoders(P), prior, auxiliary),
    ).double()


@kinds
@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_the_importance_weight_of_mmvae_plus_by_hand(kind, mixture):
    """Two modalities; rows that show both, one or the other."""
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=5)
    observed = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]]).astype(bool)
    batch, beta = world.batch(observed), 0.7
    model = mmvae_plus(kind, world)
    torch_kind = pieces(kind)[3]
    value = IWAE(beta, K, mixture=mixture)(model, batch, noise(5)).detach()
    z = model.posterior(batch).rsample(K, noise(5).fold("latent")).detach()
    assert z.shape == (K, 2, 5, D + 2 * P)
    u, w = z[..., :D], [z[..., D : D + P], z[..., D + P :]]

    def expert(networks, m, n):
        mean, score = networks[m](batch.values[m][n]).detach().chunk(2)
        if kind == "laplace":
            return TorchLaplace(mean, torch.softmax(score, -1) * len(score) + 1e-6)
        return Normal(mean, torch.exp(-0.5 * score))

    scores = model.prior.scores.detach()
    prior = torch_kind(torch.zeros(D), torch.softmax(scores, -1) * D)
    standard = torch_kind(torch.zeros(P), torch.ones(P))
    for n, row in enumerate(observed):
        shown = np.flatnonzero(row)
        if not len(shown):
            assert value[n] == 0
            continue
        logs = []
        for m in shown:
            logs.append([])
            own = expert(model.private.encoders, m, n)
            for k in range(K):
                at = u[k, m, n]
                shared = [expert(model.strategy.encoders, j, n).log_prob(at).sum() for j in shown]
                q = torch.stack(shared).exp().mean().log()
                log = prior.log_prob(at).sum() - q
                mine = w[m][k, m, n]
                log = log + standard.log_prob(mine).sum() - own.log_prob(mine).sum()
                log = beta * log
                for j in shown:  # j is decoded from u and a draw of its own, or of r_j
                    raw = model.decoders[j](torch.cat([at, w[j][k, m, n]]))
                    scale = torch.from_numpy(np.sqrt(world.s2[j]))
                    log = log + Normal(raw, scale).log_prob(batch.values[j][n]).sum()
                logs[-1].append(log)
        weights = torch.stack([torch.stack(each) for each in logs]).detach().exp()
        expected = weights.mean(1).log().mean() if mixture == "loose" else weights.mean().log()
        np.testing.assert_allclose(value[n], expected, rtol=1e-5)
    # what crosses over is a draw of the auxiliary prior: it moves with its scales, in proportion
    model.private.auxiliary[1].scores.data += torch.tensor([1.0, -1.0])
    new = model.posterior(batch).rsample(K, noise(5).fold("latent")).detach()
    scale = [
        torch.softmax(s, -1)
        for s in (
            model.private.auxiliary[1].scores.detach(),
            model.private.auxiliary[1].scores.detach() - torch.tensor([1.0, -1.0]),
        )
    ]
    changed = z.clone()
    changed[:, :, :, D + P :] *= scale[0] / scale[1]
    reached = torch.zeros(2, 5, D + 2 * P, dtype=torch.bool)
    reached[1, observed[:, 1], D + P :] = True
    np.testing.assert_allclose(new, torch.where(reached, z, changed), atol=1e-6)


@kinds
@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_dreg_leaves_the_gradient_of_auxiliary_priors_as_it_is(kind, mixture):
    """They are no posterior, and stand in no weight: draws from them carry one share, not two."""
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=30)
    batch = world.batch()

    def gradients(gradient):
        model = mmvae_plus(kind, world)
        objective = IWAE(n_samples=K, gradient=gradient, mixture=mixture)
        objective(model, batch, noise(30)).sum().backward()
        auxiliary = [one.scores.grad for one in model.private.auxiliary]
        return [*auxiliary, model.decoders[0][0].weight.grad, model.prior.scores.grad], [
            network[0].weight.grad for network in model.private.encoders.networks
        ]

    (fixed, own), (same, others) = gradients("iwae"), gradients("dreg")
    for a, b in zip(fixed, same, strict=True):
        assert (a != 0).all()
        np.testing.assert_allclose(a, b, atol=1e-9)
    for a, b in zip(own, others, strict=True):
        assert not torch.allclose(a, b)


def test_dreg_is_unbiased_with_private_variables_and_one_component():
    """Of a posterior that reads one modality of two; the other's private part is auxiliary."""
    n, blocks = 100, 80
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=1)
    one = Batch.from_arrays([np.tile(x, (n, 1)) for x in world.x])
    subsets = Subsets(torch.tensor([[1, 0]]))

    def estimates(gradient):
        model, made = mmvae_plus("gaussian", world, subsets), []
        parameters = [
            model.private.encoders.networks[0][2].bias,
            model.strategy.encoders.networks[0][2].bias,
            model.private.auxiliary[1].scores,
        ]
        for block in range(blocks):
            value = IWAE(n_samples=4, gradient=gradient)(model, one, noise(n, block))
            made.append(torch.cat(torch.autograd.grad(value.mean(), parameters)))
        return torch.stack(made).numpy()

    standard, dreg = estimates("iwae"), estimates("dreg")
    gap = standard - dreg
    assert (np.abs(gap.mean(0)) < 4 * gap.std(0) / np.sqrt(blocks) + 1e-9).all()
    encoders = slice(0, 8)
    assert (dreg.var(0)[encoders] < standard.var(0)[encoders]).all()


def test_dmvae_by_its_formula():
    """Linear decoders, so every expectation has a closed form."""
    world = LinearGaussian(widths=(3, 2), latent_dim=D, n=4)
    observed = np.array([[1, 1], [1, 0], [0, 1], [0, 0]]).astype(bool)
    rng = np.random.default_rng(0)
    family, beta = DiagonalGaussian(), 0.8
    torch.manual_seed(0)
    V = [rng.normal(size=(width, P)) for width in world.widths]
    decoders = []
    for W, v, b in zip(world.W, V, world.b, strict=True):
        layer = nn.Linear(D + P, len(b))
        layer.weight.data, layer.bias.data = torch.tensor(np.hstack([W, v])), torch.tensor(b)
        decoders.append(layer)

    def encoders(dim):
        return [nn.Linear(width, 2 * dim) for width in world.widths]

    model = MultimodalVAE(
        ProductOfExperts(family, encoders(D)),
        StandardGaussian(D),
        decoders,
        world.likelihoods(),
        Subsets.full(2),
        PrivateLatents(family, encoders(P), StandardGaussian(P)),
    ).double()
    repeats = 3000
    rows = [np.where(observed[:, [m]], x, np.nan) for m, x in enumerate(world.x)]
    batch = Batch.from_arrays([np.tile(x, (repeats, 1)) for x in rows])
    objective = SubsetELBO(beta, n_samples=4, scores="observed")
    with torch.no_grad():
        values = objective(model, batch, noise(4 * repeats)).view(repeats, 4).numpy()
    error = values.std(0) / np.sqrt(repeats)

    def said(network, m, n):
        mean, log_precision = network(torch.from_numpy(world.x[m][n])).detach().chunk(2)
        return mean.numpy(), log_precision.exp().numpy()

    def kl(mean, variance):
        return 0.5 * (variance + mean**2 - 1 - np.log(variance)).sum()

    for n, row in enumerate(observed):
        shown = tuple(np.flatnonzero(row))
        terms = []
        for subset in sorted({shown, *((m,) for m in shown)} - {()}):
            experts = [said(model.strategy.encoders[m], m, n) for m in subset]
            precision = 1 + sum(p for _, p in experts)
            mean, variance = sum(m * p for m, p in experts) / precision, 1 / precision
            value = -beta * kl(mean, variance)
            for m in shown:  # all that the row shows, each with its own private variables
                w, w_precision = said(model.private.encoders[m], m, n)
                centre = world.W[m] @ mean + V[m] @ w + world.b[m]
                spread = world.W[m] ** 2 @ variance + V[m] ** 2 @ (1 / w_precision)
                s2 = world.s2[m]
                square = (world.x[m][n] - centre) ** 2 + spread
                value += -0.5 * (np.log(2 * np.pi * s2) + square / s2).sum()
                value -= beta * kl(w, 1 / w_precision)
            terms.append(value)
        expected = np.mean(terms) if terms else 0.0
        assert abs(values[:, n].mean() - expected) < 5 * error[n] + 1e-9


@kinds
def test_scores_of_mmvae_plus_are_of_the_model_that_is_sampled_from(kind):
    """Though what a subset does not reach is drawn from auxiliary priors in training."""
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=5)
    observed = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1]]).astype(bool)
    batch, model = world.batch(observed), mmvae_plus(kind, world)
    torch_kind = pieces(kind)[3]
    posterior, z = predictive_draws(model, batch, noise(5), 2 * 3000)
    for n, m in itertools.product(range(5), range(2)):
        other = 1 - m  # which m does not reach
        scale = torch.softmax(model.private.auxiliary[other].scores.detach(), -1) * P
        scale = torch.ones(P) if observed[n, other] else scale
        w = z[:, m, n, D + other * P : D + (other + 1) * P].detach()
        law = torch_kind(torch.zeros(P).double(), scale.double())
        for p in range(P):
            assert kstest(law.cdf(w)[:, p].numpy(), "uniform").pvalue > 1e-3
    weight = importance_log_weights(model, batch, posterior, z).detach()
    assert torch.equal(weight, predictive_log_weights(model, batch, posterior, z))
    score = importance_log_likelihood(model, batch, noise(5), 2 * 3000).detach()
    by_hand = (weight + posterior.log_weights).flatten(0, 1).logsumexp(0) - np.log(len(z))
    np.testing.assert_allclose(score, np.where(observed.any(1), by_hand, 0.0))
    # what nothing is given for has its marginal density
    given_nothing = conditional_log_likelihood(model, batch, noise(5), 100_000, [1], [0])[2]
    share = torch.softmax(weight[:, 1, 2], 0)
    error = (share.square().sum() - 1 / len(share)).sqrt()
    assert abs(given_nothing - score[2]) < 5 * error + 0.02


# how often an objective counts how well x_m is explained by a draw of w_m, with two modalities
COUNTS = {
    "elbo": 1,
    "autoregressive_elbo": 1,
    "aligned_elbo": 1,
    "jmvae": 1,
    "mmvm": 1,
    "mvtcae": 1 - 5 / 12,
    "vaevae": 2,
    "crmvae": 1 / 3,
    "mvae_elbo": 2 / 3,
    "dmvae_elbo": 1,
}
STRATEGY = {"mmvm": "mixture_of_experts", "vaevae": "subset_encoders", "jmvae": "subset_encoders"}


@pytest.mark.parametrize("name", COUNTS)
def test_private_variables_cost_what_they_tell(name):
    """Their KL has the weight of the fit that they serve, else they would be free to say all."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(20, 3)), rng.normal(size=(20, 3))]
    strategy = STRATEGY.get(name, "product_without_prior")
    est = ModularVAE(objective=name, variational_strategy=strategy, latent_dim=2, private_dim=P)
    est.set_params(hidden_layer_sizes=(4,), max_iter=1, dtype="float64", random_state=0).fit(X)
    model, objective, batch = est.model_, est._objective, est.model_.read(X)
    seen, infer = model._seen, model.private.forward
    # decoders are blind to private variables: all that these can do is cost
    blind = torch.tensor([1.0] * 2 + [0.0] * P).double()
    model._seen = lambda z, m: seen(z, m) * blind

    def value_and_kl(shift):
        def moved(batch, reach):
            said = infer(batch, reach)
            return replace(said, params={**said.params, "mean": said.params["mean"] + shift})

        model.private.forward = moved
        with torch.no_grad():
            kl = model.private(model.encoded(batch), batch.observed[None]).kl()
            return objective(model, batch, noise(20)), kl[0]

    (near, little), (far, much) = value_and_kl(0.0), value_and_kl(3.0)
    np.testing.assert_allclose((near - far) / (much - little), COUNTS[name], rtol=1e-6)


@pytest.mark.parametrize("name", COUNTS)
def test_they_cost_what_they_tell_however_many_modalities_there_are(name):
    """Where decoders say the same for any z, what is added per unit of fit and of KL is seen."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(20, 2)) for _ in range(4)]
    X[1][:5] = X[2][3:8] = np.nan
    strategy = STRATEGY.get(name, "product_without_prior")
    est = ModularVAE(objective=name, variational_strategy=strategy, latent_dim=2, private_dim=P)
    est.set_params(hidden_layer_sizes=(4,), max_iter=1, dtype="float64", random_state=0).fit(X)
    model, objective, batch = est.model_, est._objective, est.model_.read(X)
    seen, infer = model._seen, model.private.forward
    model._seen = lambda z, m: 0.0 * seen(z, m)

    @torch.no_grad()
    def value(weights, shifts):
        def moved(batch, reach):
            said = infer(batch, reach)
            mean = said.params["mean"] + shifts[:, None, None]
            return replace(said, params={**said.params, "mean": mean})

        model.private.forward = moved
        objective.likelihood_weights = weights
        return objective(model, batch, noise(20))

    @torch.no_grad()
    def kl(shift, m):
        said = infer(batch, batch.observed[None])
        said = replace(said, params={**said.params, "mean": said.params["mean"] + shift})
        return said.family.prior_kl(said.params, said.prior.natural())[m]

    ones, nothing = torch.ones(4).double(), torch.zeros(4).double()
    for m in range(4):
        only = torch.eye(4).double()[m]
        fit = model.term(torch.zeros(1, 1, 20, 2 + 4 * P).double(), batch, m)[0, 0].detach()
        told = value(ones + only, nothing) - value(ones, nothing)
        paid = value(ones, nothing) - value(ones, 3.0 * only)
        rise = kl(3.0, m) - kl(0.0, m)
        torch.testing.assert_close(told * rise, paid * fit)
        assert (paid != 0)[batch.observed[:, m]].any()


def test_decoders_see_the_shared_part_and_their_own():
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=5)
    model = mmvae_plus("gaussian", world)
    z = torch.randn(2, 1, 5, D + 2 * P, dtype=torch.float64)
    for m in range(2):
        own = z[..., D + m * P : D + (m + 1) * P]
        by_hand = model.decoders[m](torch.cat([z[..., :D], own], -1))
        torch.testing.assert_close(model.decode(z, m), by_hand)
        alone = model.decoders[m](torch.cat([z[..., :D], torch.zeros_like(own)], -1))
        torch.testing.assert_close(model.decode(z[..., :D], m), alone)
    drawn = model.sample(noise(4000)).detach()
    assert drawn.shape == (4000, D + 2 * P)
    scale = torch.cat([model.prior.scale().detach(), torch.ones(2 * P)])
    np.testing.assert_allclose(drawn.std(0), scale, rtol=0.06)
    assert (torch.corrcoef(drawn.T) - torch.eye(D + 2 * P)).abs().max() < 0.08


@kinds
def test_hidden_inputs_do_not_reach_private_variables(kind):
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=6)
    observed = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, 1], [1, 0]]).astype(bool)

    def results(filler, objective):
        batch = world.batch(observed)
        for value, mask in zip(batch.values, batch.masks, strict=True):
            value[~mask.expand_as(value)] = filler
        model = mmvae_plus(kind, world)
        value = objective(model, batch, noise())
        value.sum().backward()
        return [value.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]

    for objective in (IWAE(n_samples=3, gradient="dreg", mixture="loose"), ELBO(n_samples=2)):
        for a, b in zip(results(0.0, objective), results(37.0, objective), strict=True):
            assert torch.equal(a, b)
            assert a.isfinite().all()
