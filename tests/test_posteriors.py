"""Laws of the posterior families, for every member of the registry."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from skpoe.posteriors import FAMILIES, SubsetPosterior
from skpoe.random import RowNoise

N, M, D, S = 6, 3, 4, 5
NATURAL = {"h": torch.zeros(D).double(), "precision": torch.ones(D).double()}
family_names = pytest.mark.parametrize("name", sorted(FAMILIES))


def rowwise(seed=0):
    return RowNoise(seed, torch.arange(N))


def setup(name, seed=0):
    """Posterior params of S random subsets (the prior in all), and their natural parameters."""
    generator = torch.Generator().manual_seed(seed)
    family = FAMILIES[name]()
    raw = torch.randn(N, M, family.n_outputs(D), generator=generator, dtype=torch.float64)
    n_shared = family.n_shared(D)
    shared = torch.randn(M, n_shared, generator=generator, dtype=torch.float64)
    experts = family.append(family.experts(raw, shared), family.lift(NATURAL))
    membership = torch.rand(S, N, M + 1, generator=generator) < 0.5
    membership[..., -1] = True
    membership[0, :, :-1] = False
    return family, experts, membership, family.product(experts, membership)


def as_torch(family, params):
    """The same posteriors as torch distributions, batch shape (S, N)."""
    if "root" in params:
        precision = params["precision"][0, params["pattern"]]
    else:
        precision = params["precision"].diag_embed()
    return MultivariateNormal(family.mean(params), precision_matrix=precision)


@family_names
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
            ours = as_torch(family, params)
            mean = torch.linalg.solve(total_precision, total_h)
            np.testing.assert_allclose(ours.mean[s, n], mean, atol=1e-10)
            np.testing.assert_allclose(ours.precision_matrix[s, n], total_precision, atol=1e-10)


@family_names
def test_nothing_but_the_prior_is_the_prior(name):
    family, _, _, params = setup(name)
    posterior = as_torch(family, params)
    np.testing.assert_allclose(posterior.mean[0], 0, atol=1e-14)
    np.testing.assert_allclose(posterior.covariance_matrix[0], np.eye(D)[None].repeat(N, 0))


@family_names
def test_a_prior_is_the_product_of_itself(name):
    family = FAMILIES[name]()
    natural = {"h": torch.randn(D).double(), "precision": 1 + torch.rand(D).double()}
    alone = family.product(family.lift(natural), torch.ones(1, 1, 1, dtype=torch.bool))
    assert set(alone) == set(family.at(natural))
    for leaf, value in family.at(natural).items():
        np.testing.assert_allclose(value, alone[leaf], atol=1e-12)


@family_names
def test_log_prob_and_kl_agree_with_torch(name):
    family, _, _, params = setup(name)
    _, _, _, other = setup(name, seed=1)
    z = torch.randn(7, S, N, D, dtype=torch.float64)
    np.testing.assert_allclose(
        family.log_prob(params, z), as_torch(family, params).log_prob(z), atol=1e-10
    )
    np.testing.assert_allclose(
        family.kl(params, other),
        kl_divergence(as_torch(family, params), as_torch(family, other)),
        atol=1e-9,
    )


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
    prior = family.at(NATURAL)
    posterior = SubsetPosterior(family, params, one, prior)
    z = posterior.rsample(20000, rowwise(), antithetic=True)
    np.testing.assert_allclose(z.mean(0), family.mean(params), atol=1e-9)
    gap = z - family.mean(params)
    covariance = torch.einsum("ksnd,ksne->snde", gap, gap) / len(gap)
    exact = as_torch(family, params).covariance_matrix
    size = exact.diagonal(dim1=-2, dim2=-1).sqrt()
    relative = (covariance - exact) / (size[..., :, None] * size[..., None, :])
    assert relative.abs().max() < 0.06


@family_names
def test_mixture_density_is_the_weighted_sum_of_component_densities(name):
    family, _, _, params = setup(name)
    weights = torch.rand(S, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights[1] = 0
    weights /= weights.sum(0)
    prior = family.at(NATURAL)
    posterior = SubsetPosterior(family, params, weights.log(), prior)
    z = posterior.rsample(3, rowwise())
    components = as_torch(family, params)
    for k in range(3):
        for s in range(S):
            density = (weights * components.log_prob(z[k, s]).exp()).sum(0)
            ours = posterior.mixture_log_prob(z)[k, s].exp()
            np.testing.assert_allclose(ours, density, rtol=1e-10)
    mean = (weights[..., None] * components.mean).sum(0)
    np.testing.assert_allclose(posterior.mean(), mean, atol=1e-12)
    value = torch.randn(S, N, dtype=torch.float64)
    np.testing.assert_allclose(posterior.average(value), (weights * value).sum(0), atol=1e-12)


@family_names
def test_a_selection_is_what_it_was(name):
    family, _, _, params = setup(name)
    prior = family.at(NATURAL)
    posterior = SubsetPosterior(family, params, torch.zeros(S, N), prior)
    for which in (2, -1, slice(1, 4)):
        part = posterior[which]
        rows = slice(which, which + 1 or None) if isinstance(which, int) else which
        np.testing.assert_array_equal(part.kl(), posterior.kl()[rows])
        np.testing.assert_array_equal(family.mean(part.params), family.mean(params)[rows])


def test_full_gaussian_asks_for_its_shared_factors():
    with pytest.raises(ValueError, match=r"shared factors of its experts, shape \(M, D \* D\)"):
        FAMILIES["full_gaussian"]().experts(torch.zeros(2, 3, 4), None)
