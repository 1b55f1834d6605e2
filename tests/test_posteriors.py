"""Laws of the posterior families, for every member of the registry."""

import numpy as np
import pytest
import torch
from circles import Circles
from scipy.stats import gamma, kstest
from torch.distributions import MultivariateNormal, kl_divergence

from skpoe import distributions
from skpoe.posteriors import FAMILIES, PowerSpherical, SubsetPosterior, VonMisesFisher
from skpoe.random import RowNoise

N, M, D, S = 6, 3, 4, 5
SPHERES = {"von_mises_fisher"}
# it takes one expert, and has laws of its own below
CLOSED = FAMILIES.keys() - {"power_spherical"}
family_names = pytest.mark.parametrize("name", sorted(CLOSED))
gaussian_names = pytest.mark.parametrize("name", sorted(CLOSED - SPHERES))


def standard(name):
    """The prior of a family in its natural parameters: N(0, I), or uniform on two circles."""
    if name in SPHERES:
        return {"eta": torch.zeros(D // 2, 2).double()}
    return {"h": torch.zeros(D).double(), "precision": torch.ones(D).double()}


def rowwise(seed=0):
    return RowNoise(seed, torch.arange(N))


def setup(name, seed=0):
    """Posterior params of S random subsets (the prior in all), and their natural parameters."""
    generator = torch.Generator().manual_seed(seed)
    family = FAMILIES[name]()
    raw = torch.randn(N, M, family.n_outputs(D), generator=generator, dtype=torch.float64)
    n_shared = family.n_shared(D)
    shared = torch.randn(M, n_shared, generator=generator, dtype=torch.float64)
    experts = family.append(family.experts(raw, shared), family.lift(standard(name)))
    membership = torch.rand(S, N, M + 1, generator=generator) < 0.5
    membership[..., -1] = True
    membership[0, :, :-1] = False
    return family, experts, membership, family.product(experts, membership)


def exact(family, params):
    """The same posteriors by other code, batch shape (S, N)."""
    if "eta" in params:
        return Circles(params["eta"])
    if "root" in params:
        precision = params["precision"][0, params["pattern"]]
    else:
        precision = params["precision"].diag_embed()
    return MultivariateNormal(family.mean(params), precision_matrix=precision)


@gaussian_names
def test_product_adds_natural_parameters(name):
    family, experts, membership, params = setup(name)
    precision = experts["precision"].expand(N, *experts["precision"].shape[1:])
    if precision.ndim == 3:
        precision = precision.diag_embed()
    for s in range(S):
        for n in range(N):
            total_h, total_precision = torch.zeros(D).double(), torch.zeros(D, D).double()
            for m in range(M + 1):
                if membership[s, n, m]:
                    total_h += experts["h"][n, m]
                    total_precision += precision[n, m]
            ours = exact(family, params)
            mean = torch.linalg.solve(total_precision, total_h)
            np.testing.assert_allclose(ours.mean[s, n], mean, atol=1e-10)
            np.testing.assert_allclose(ours.precision_matrix[s, n], total_precision, atol=1e-10)


@gaussian_names
def test_nothing_but_the_prior_is_the_prior(name):
    family, _, _, params = setup(name)
    posterior = exact(family, params)
    np.testing.assert_allclose(posterior.mean[0], 0, atol=1e-14)
    np.testing.assert_allclose(posterior.covariance_matrix[0], np.eye(D)[None].repeat(N, 0))


@family_names
def test_a_prior_is_the_product_of_itself(name):
    family = FAMILIES[name]()
    prior = {leaf: value + torch.rand(D).view_as(value) for leaf, value in standard(name).items()}
    alone = family.product(family.lift(prior), torch.ones(1, 1, 1, dtype=torch.bool))
    assert set(alone) == set(family.at(prior))
    for leaf, value in family.at(prior).items():
        np.testing.assert_allclose(value, alone[leaf], atol=1e-12)


@family_names
def test_log_prob_and_kl_agree_with_other_code(name):
    family, _, _, params = setup(name)
    _, _, _, other = setup(name, seed=1)
    z = torch.randn(7, S, N, D, dtype=torch.float64)
    if name in SPHERES:
        z = family.place(z)
    np.testing.assert_allclose(
        family.log_prob(params, z), exact(family, params).log_prob(z), atol=1e-10
    )
    ours, theirs = exact(family, params), exact(family, other)
    truth = ours.kl(theirs) if name in SPHERES else kl_divergence(ours, theirs)
    np.testing.assert_allclose(family.kl(params, other), truth, atol=1e-9)


@family_names
def test_kl_is_the_mean_log_ratio_of_samples(name):
    family, _, _, params = setup(name)
    _, _, _, other = setup(name, seed=1)
    z = family.rsample(params, family.noise(rowwise(), 4000, params))
    ratio = family.log_prob(params, z) - family.log_prob(other, z)
    error = ratio.std(0) / len(ratio) ** 0.5
    assert ((ratio.mean(0) - family.kl(params, other)).abs() < 5 * error + 1e-9).all()


@family_names
def test_samples_have_the_moments_and_mirror(name):
    family, _, _, params = setup(name)
    one = torch.zeros(S, N)
    prior = family.at(standard(name))
    posterior = SubsetPosterior(family, params, one, prior)
    z = posterior.rsample(20000, rowwise(), antithetic=True)
    if name in SPHERES:  # what lies beside the mode cancels, how far a draw falls does not
        np.testing.assert_allclose(z.mean(0), family.mean(params), atol=0.03)
        np.testing.assert_allclose(z.square().view(-1, S, N, D // 2, 2).sum(-1), 1.0)
        np.testing.assert_allclose(family.mean(params), exact(family, params).mean, atol=1e-12)
    else:
        np.testing.assert_allclose(z.mean(0), family.mean(params), atol=1e-9)
    gap = z - family.mean(params)
    covariance = torch.einsum("ksnd,ksne->snde", gap, gap) / len(gap)
    truth = exact(family, params).covariance_matrix
    size = truth.diagonal(dim1=-2, dim2=-1).sqrt()
    relative = (covariance - truth) / (size[..., :, None] * size[..., None, :])
    assert relative.abs().max() < 0.06


@family_names
def test_mixture_density_is_the_weighted_sum_of_component_densities(name):
    family, _, _, params = setup(name)
    weights = torch.rand(S, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights[1] = 0
    weights /= weights.sum(0)
    prior = family.at(standard(name))
    posterior = SubsetPosterior(family, params, weights.log(), prior)
    z = posterior.rsample(3, rowwise())
    components = exact(family, params)
    for k in range(3):
        for s in range(S):
            density = (weights * components.log_prob(z[k, s]).exp()).sum(0)
            ours = posterior.mixture_log_prob(z)[k, s].exp()
            np.testing.assert_allclose(ours, density, rtol=1e-10)
    mean = (weights[..., None] * components.mean).sum(0)
    np.testing.assert_allclose(posterior.mean(), family.place(mean), atol=1e-12)
    value = torch.randn(S, N, dtype=torch.float64)
    np.testing.assert_allclose(posterior.average(value), (weights * value).sum(0), atol=1e-12)


@family_names
def test_a_selection_is_what_it_was(name):
    family, _, _, params = setup(name)
    prior = family.at(standard(name))
    posterior = SubsetPosterior(family, params, torch.zeros(S, N), prior)
    for which in (2, -1, slice(1, 4)):
        part = posterior[which]
        rows = slice(which, which + 1 or None) if isinstance(which, int) else which
        np.testing.assert_allclose(part.kl(), posterior.kl()[rows], rtol=1e-14)
        np.testing.assert_array_equal(family.mean(part.params), family.mean(params)[rows])


def test_experts_of_a_sphere_add_up_and_an_empty_subset_is_uniform():
    family, experts, membership, params = setup("von_mises_fisher")
    for s in range(S):
        for n in range(N):
            total = sum(experts["eta"][n, m] for m in range(M + 1) if membership[s, n, m])
            np.testing.assert_allclose(params["eta"][s, n], total, atol=1e-12)
    assert (params["eta"][0] == 0).all()
    assert (family.kl(params, family.at(standard(family.name)))[0] == 0).all()
    assert (family.place(family.mean(params))[0] == 0).all()
    np.testing.assert_allclose(family.place(family.mean(params)), exact(family, params).direction)


@pytest.mark.parametrize(("n_spheres", "sphere_dim"), [(1, 1), (3, 2), (2, 9)])
def test_concentrations_and_modes_are_read_off_an_encoder(n_spheres, sphere_dim):
    family, dim = VonMisesFisher(sphere_dim), sphere_dim + 1
    raw = torch.randn(N, M, family.n_outputs(n_spheres * dim), dtype=torch.float64)
    eta = family.experts(raw)["eta"]
    assert eta.shape == (N, M, n_spheres, dim)
    kappa = 1 + np.log1p(np.exp(raw[..., -n_spheres:].numpy()))
    modes = raw[..., :-n_spheres].reshape(N, M, n_spheres, dim).numpy()
    modes = modes / np.linalg.norm(modes, axis=-1, keepdims=True)
    np.testing.assert_allclose(eta, kappa[..., None] * modes)


def power_spherical(n=N):
    """Posteriors of one expert in every second row, on two spheres S^2; n copies of six rows."""
    family = PowerSpherical(2)
    raw = torch.randn(N, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = (raw.repeat(n // N, 1, 1) * 2).requires_grad_()
    experts = family.append(family.experts(raw), family.lift({"eta": torch.zeros(2, 3).double()}))
    membership = torch.ones(1, n, 2, dtype=torch.bool)
    membership[0, ::2, 0] = False
    return family, raw, family.product(experts, membership)


def test_power_spherical_is_the_distribution_of_that_name():
    family, _, params = power_spherical()
    eta = params["eta"].detach()
    kappa = eta.norm(dim=-1)
    mode = torch.where(kappa[..., None] > 0, eta / kappa[..., None], torch.eye(3).double()[0])
    truth = distributions.PowerSpherical(mode, kappa)
    z = family.place(torch.randn(7, 1, N, 6, dtype=torch.float64))
    np.testing.assert_allclose(
        family.log_prob(params, z).detach(), truth.log_prob(z.unflatten(-1, (2, 3))).sum(-1)
    )
    uniform = family.at({"eta": torch.zeros(2, 3).double()})
    kl = kl_divergence(truth, distributions.HypersphericalUniform(3)).sum(-1)
    np.testing.assert_allclose(family.kl(params, uniform).detach(), kl)
    np.testing.assert_allclose(family.mean(params).detach(), truth.mean.flatten(-2), atol=1e-12)
    assert (family.mean(params)[0, ::2] == 0).all()
    with pytest.raises(ValueError, match="has no closed form; only that from the uniform"):
        family.kl(params, params)
    with pytest.raises(ValueError, match="A product of Power Spherical experts is not"):
        family.product(family.experts(torch.zeros(2, 3, 8)), torch.ones(1, 2, 3) > 0)


def test_power_spherical_draws_have_its_moments_and_gradients():
    family, raw, params = power_spherical()
    z = family.rsample(params, family.mirror(family.noise(rowwise(), 20_000, params)))
    assert z.shape == (40_000, 1, N, 6)
    error = z.std(0) / len(z) ** 0.5
    assert ((z.mean(0) - family.mean(params)).abs() < 5 * error + 1e-9).all()
    # of how far along the mode the draws are: the derivative by what the encoder says of that
    mode = family.place(params["eta"].flatten(-2)).detach()
    (by_draws,) = torch.autograd.grad((z.mean(0) * mode).sum(), raw, retain_graph=True)
    (truth,) = torch.autograd.grad((family.mean(params) * mode).sum(), raw)
    np.testing.assert_allclose(by_draws[1::2, 0, 6:], truth[1::2, 0, 6:], rtol=0.1, atol=0.003)
    assert (by_draws[::2] == 0).all()


@pytest.mark.parametrize("alpha", [0.5, 0.9, 1.0, 2.5, 40.0, 1e4])
def test_gammas_from_outside_noise_are_gammas(alpha):
    noise = RowNoise(0, torch.arange(20_000))

    def source(number):
        stream = noise.fold(number)
        uniforms = stream.fold("u").uniform(2, event=1, dtype=torch.float64)
        return stream.normal(event=1, dtype=torch.float64)[:, 0], uniforms[..., 0]

    shape = torch.full((20_000,), alpha, dtype=torch.float64, requires_grad=True)
    draws = distributions.gamma_sample(shape, source)
    assert kstest(draws.detach().numpy(), gamma(alpha).cdf).pvalue > 1e-3
    draws.sum().backward()
    error = shape.grad.std() / 20_000**0.5
    assert (shape.grad.mean() - 1.0).abs() < 5 * error  # the mean of Gamma(alpha) is alpha


def test_full_gaussian_asks_for_its_shared_factors():
    with pytest.raises(ValueError, match=r"shared factors of its experts, shape \(M, D \* D\)"):
        FAMILIES["full_gaussian"]().experts(torch.zeros(2, 3, 4), None)
