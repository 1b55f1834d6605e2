"""Laws of the posterior families, for every member of the registry."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from circles import Circles
from scipy.integrate import trapezoid
from scipy.stats import gamma, kstest, norm, t
from torch.distributions import Independent, MultivariateNormal, kl_divergence
from torch.distributions import Laplace as TorchLaplace

from skpoe import distributions
from skpoe.posteriors import FAMILIES, PowerSpherical, StudentT, SubsetPosterior, VonMisesFisher
from skpoe.priors import Laplace, ScaledGaussian, StandardGaussian, UniformSphere
from skpoe.random import RowNoise
from skpoe.subsets import equal_log_weights

N, M, D, S = 6, 3, 4, 5
SPHERES = {"von_mises_fisher"}
# it takes one expert, and has laws of its own below
GENERAL = FAMILIES.keys() - {"power_spherical"}
CLOSED = {name for name in GENERAL if FAMILIES[name].has_kl}
GAUSSIAN = {"diagonal_gaussian", "full_gaussian"}
family_names = pytest.mark.parametrize("name", sorted(GENERAL))
closed_names = pytest.mark.parametrize("name", sorted(CLOSED))
gaussian_names = pytest.mark.parametrize("name", sorted(GAUSSIAN))


def prior_of(name):
    """N(0, I), independent Laplace distributions, or uniform on two circles."""
    if name in SPHERES:
        return UniformSphere(D // 2, 1).double()
    if FAMILIES[name].prior_kind == "laplace":
        return Laplace(D, learn_scale=False).double()
    return StandardGaussian(D).double()


def standard(name):
    """The prior of a family in its natural parameters."""
    return {leaf: value.detach() for leaf, value in prior_of(name).natural().items()}


def posterior_of(name, log_weights=None, seed=0):
    family, _, _, params = setup(name, seed)
    log_weights = torch.zeros(S, N).double() if log_weights is None else log_weights
    return SubsetPosterior(family, params, log_weights, prior_of(name))


def rowwise(seed=0):
    return RowNoise(seed, torch.arange(N))


def setup(name, seed=0):
    """Posterior params of S random subsets (the prior in all), and their natural parameters."""
    generator = torch.Generator().manual_seed(seed)
    family = FAMILIES[name]()
    raw = torch.randn(N, M, family.n_outputs(D), generator=generator, dtype=torch.float64)
    experts = family.experts(raw, *(entries() if name == "full_gaussian" else ()))
    experts = family.append(experts, family.lift(standard(name)))
    membership = torch.rand(S, N, M + 1, generator=generator) < 0.5
    membership[..., -1] = True
    membership[0, :, :-1] = False
    if not family.has_products:  # one expert a subset
        which = torch.randint(0, M + 1, (S, N), generator=generator)
        membership = torch.nn.functional.one_hot(which, M + 1).bool()
        membership[0] = torch.arange(M + 1) == M
    return family, experts, membership, family.product(experts, membership)


def entries(seed=0):
    """What entries say of z, one (F_m, D) an expert, and masks: whole rows, holes, and mixed."""
    generator = torch.Generator().manual_seed(seed)
    shared, masks = [], []
    for m, width in enumerate([4, 1, 9][:M]):
        shared.append(torch.randn(width, D, generator=generator, dtype=torch.float64))
        whole = torch.rand(N, 1 if m == 0 else width, generator=generator) < 0.6
        masks.append(whole)
    return shared, masks


class Students:
    """Independent Student-t distributions, Gaussian where ``tail`` is zero, by scipy."""

    def __init__(self, params, df):
        self.mean, self.scale = params["mean"], params["precision"].rsqrt()
        self.normal, self.df = params["tail"].numpy() == 0, df

    def log_prob(self, z):
        how = self.mean.numpy(), self.scale.numpy()
        log = np.where(self.normal, norm(*how).logpdf(z), t(self.df, *how).logpdf(z))
        return torch.from_numpy(log.sum(-1))

    @property
    def covariance_matrix(self):
        spread = torch.from_numpy(np.where(self.normal, 1.0, self.df / (self.df - 2)))
        return (self.scale.square() * spread).diag_embed()


def exact(family, params):
    """The same posteriors by other code, batch shape (S, N)."""
    if "eta" in params:
        return Circles(params["eta"])
    if "tail" in params:
        return Students(params, family.df)
    if "scale" in params:
        return Independent(TorchLaplace(params["mean"], params["scale"]), 1)
    if "root" in params:
        precision = params["precision"][0, params["pattern"]]
    else:
        precision = params["precision"].diag_embed()
    return MultivariateNormal(family.mean(params), precision_matrix=precision)


@family_names
def test_members_that_are_the_same_in_all_rows_may_be_expanded(name):
    family, experts, membership, _ = setup(name)
    alike = membership[:, :1].expand_as(membership)
    ours, theirs = (family.product(experts, held) for held in (alike, alike.contiguous()))
    for leaf in ours:
        torch.testing.assert_close(ours[leaf], theirs[leaf])


@gaussian_names
def test_product_adds_natural_parameters(name):
    family, experts, membership, params = setup(name)
    precision = torch.eye(D).double().expand(N, M + 1, D, D).clone()
    if name == "full_gaussian":
        for m, (vectors, mask) in enumerate(zip(*entries(), strict=True)):
            for n in range(N):
                shown = vectors if mask.shape[1] == 1 else vectors[mask[n]]
                precision[n, m] = shown.T @ shown
    else:
        precision[:] = experts["precision"].diag_embed()
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


@family_names
def test_nothing_but_the_prior_is_the_prior(name):
    family, _, _, params = setup(name)
    z = family.place(torch.randn(7, S, N, D, dtype=torch.float64))
    ours = family.log_prob(params, z)[:, 0]
    np.testing.assert_allclose(ours, prior_of(name).log_prob(z[:, 0]).detach(), atol=1e-12)
    np.testing.assert_allclose(family.mean(params)[0], 0, atol=1e-14)


def test_a_subset_of_laplace_experts_holds_one():
    family, experts, membership, params = setup("laplace")
    for s in range(S):
        for n in range(N):
            (m,) = membership[s, n].nonzero()[0].tolist()
            for leaf, value in params.items():
                assert (value[s, n] == experts[leaf][n, m]).all()
    # scales are dealt out: their mean is one
    np.testing.assert_allclose(experts["scale"].mean(-1), 1, atol=2e-6)
    both = torch.ones(1, N, M + 1, dtype=torch.bool)
    with pytest.raises(ValueError, match="A product of Laplace experts is not Laplace"):
        family.product(experts, both)


@family_names
def test_a_prior_is_the_product_of_itself(name):
    family = FAMILIES[name]()
    prior = {leaf: value + torch.rand(D).view_as(value) for leaf, value in standard(name).items()}
    alone = family.product(family.lift(prior), torch.ones(1, 1, 1, dtype=torch.bool))
    assert set(alone) == set(family.at(prior))
    for leaf, value in family.at(prior).items():
        np.testing.assert_allclose(value, alone[leaf], atol=1e-12)


@family_names
def test_log_prob_agrees_with_other_code(name):
    family, _, _, params = setup(name)
    z = torch.randn(7, S, N, D, dtype=torch.float64)
    if name in SPHERES:
        z = family.place(z)
    np.testing.assert_allclose(
        family.log_prob(params, z), exact(family, params).log_prob(z), atol=1e-10
    )


@closed_names
def test_kl_agrees_with_other_code(name):
    family, _, _, params = setup(name)
    _, _, _, other = setup(name, seed=1)
    ours, theirs = exact(family, params), exact(family, other)
    truth = ours.kl(theirs) if name in SPHERES else kl_divergence(ours, theirs)
    np.testing.assert_allclose(family.kl(params, other), truth, atol=1e-9)


@closed_names
def test_kl_is_the_mean_log_ratio_of_samples(name):
    family, _, _, params = setup(name)
    _, _, _, other = setup(name, seed=1)
    z = family.rsample(params, family.noise(rowwise(), 4000, params))
    ratio = family.log_prob(params, z) - family.log_prob(other, z)
    error = ratio.std(0) / len(ratio) ** 0.5
    assert ((ratio.mean(0) - family.kl(params, other)).abs() < 5 * error + 1e-9).all()


@family_names
def test_samples_have_the_moments_and_mirror(name):
    posterior = posterior_of(name)
    family, params = posterior.family, posterior.params
    z = posterior.rsample(20000, rowwise(), antithetic=True)
    if name in SPHERES:  # what lies beside the mode cancels, how far a draw falls does not
        np.testing.assert_allclose(z.mean(0), family.mean(params), atol=0.03)
        np.testing.assert_allclose(z.square().view(-1, S, N, D // 2, 2).sum(-1), 1.0)
        np.testing.assert_allclose(family.mean(params), exact(family, params).mean, atol=1e-12)
    else:
        np.testing.assert_allclose(z.mean(0), family.mean(params), atol=1e-9)
    gap = z - family.mean(params)
    covariance = torch.einsum("ksnd,ksne->snde", gap, gap) / len(gap)
    truth = exact(family, params)
    truth = truth.variance.diag_embed() if name == "laplace" else truth.covariance_matrix
    size = truth.diagonal(dim1=-2, dim2=-1).sqrt()
    relative = (covariance - truth) / (size[..., :, None] * size[..., None, :])
    # the fourth moment of a Student-t of 5 degrees is 9, of a Laplace 6, of a Gaussian 3
    assert relative.abs().max() < {"student_t": 0.3, "laplace": 0.1}.get(name, 0.06)


@pytest.mark.parametrize("name", ["laplace", "student_t"])
def test_draws_have_the_distribution(name):
    posterior = posterior_of(name)
    family, params = posterior.family, posterior.params
    z = posterior.rsample(400, rowwise())
    if name == "laplace":
        quantiles = TorchLaplace(params["mean"], params["scale"]).cdf(z)
    else:
        error = ((z - params["mean"]) * params["precision"].sqrt()).numpy()
        heavy = params["tail"].numpy() > 0
        assert heavy.any()
        assert not heavy[0].any()  # the prior is Gaussian
        quantiles = torch.from_numpy(np.where(heavy, t(family.df).cdf(error), norm.cdf(error)))
        # of each kind alone
        assert kstest(quantiles[:, 0].flatten().numpy(), "uniform").pvalue > 1e-3
        assert kstest(quantiles[:, heavy].flatten().numpy(), "uniform").pvalue > 1e-3
    assert kstest(quantiles.flatten().numpy(), "uniform").pvalue > 1e-3


@family_names
def test_mixture_density_is_the_weighted_sum_of_component_densities(name):
    weights = random_weights()
    posterior = posterior_of(name, weights.log())
    family, params = posterior.family, posterior.params
    z = posterior.rsample(3, rowwise())
    components = exact(family, params)
    for k in range(3):
        for s in range(S):
            density = (weights * components.log_prob(z[k, s]).exp()).sum(0)
            ours = posterior.mixture_log_prob(z)[k, s].exp()
            np.testing.assert_allclose(ours, density, rtol=1e-10)
    own = components.log_prob(z)
    prior = prior_of(name).log_prob(z).detach()
    np.testing.assert_allclose(posterior.component_log_prob(z), own, atol=1e-10)
    mixture = posterior.mixture_log_prob(z)
    np.testing.assert_allclose(posterior.log_ratio(z).detach(), prior - mixture, atol=1e-10)
    ratio = posterior.log_ratio(z, of_component=True).detach()
    np.testing.assert_allclose(ratio, prior - own, atol=1e-10)
    mean = (weights[..., None] * components.mean).sum(0)
    np.testing.assert_allclose(posterior.mean(), family.place(mean), atol=1e-12)
    value = torch.randn(S, N, dtype=torch.float64)
    np.testing.assert_allclose(posterior.average(value), (weights * value).sum(0), atol=1e-12)


@family_names
def test_a_selection_is_what_it_was(name):
    posterior = posterior_of(name)
    family, params = posterior.family, posterior.params
    z = posterior.rsample(2, rowwise())
    for which in (2, -1, slice(1, 4)):
        part = posterior[which]
        rows = slice(which, which + 1 or None) if isinstance(which, int) else which
        np.testing.assert_allclose(
            part.kl(z[:, rows]).detach(), posterior.kl(z)[rows].detach(), rtol=1e-13
        )
        np.testing.assert_array_equal(family.mean(part.params), family.mean(params)[rows])


@family_names
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_product_with_the_prior_has_it_as_one_more_expert(name, everywhere):
    family, experts, membership, _ = setup(name)
    family, prior = FAMILIES[name](), standard(name)
    if everywhere and not family.has_products:
        membership = membership & (torch.arange(M + 1) == M)  # of several there is no product
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(N, M, family.n_outputs(D), generator=generator, dtype=torch.float64)
    alone = family.experts(raw, *(entries() if name == "full_gaussian" else ()))
    held = None if everywhere else membership[..., -1]
    ours = family.product_with_prior(alone, membership[..., :-1], prior, held)
    theirs = family.product(experts, membership | (everywhere & (torch.arange(M + 1) == M)))
    for leaf, value in theirs.items():
        torch.testing.assert_close(ours[leaf], value)


@pytest.mark.parametrize("name", sorted(n for n in FAMILIES if FAMILIES[n].has_prior_kl))
def test_divergences_from_the_prior_are_those_from_it_as_a_posterior(name):
    family, prior = FAMILIES[name](), standard(name if name in GENERAL else "von_mises_fisher")
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(N, 1, family.n_outputs(D), generator=generator, dtype=torch.float64)
    shared = [torch.randn(3, D, generator=generator).double()] if name == "full_gaussian" else None
    shown = torch.arange(N)[None, :, None] % 2 == 0
    held = None if family.has_products else ~shown[..., 0]
    params = family.product_with_prior(family.experts(raw, shared), shown, prior, held)
    expected = family.kl(params, family.at(prior))
    torch.testing.assert_close(family.prior_kl(params, prior), expected)
    assert (expected[0, 1::2].abs() < 1e-9).all()


@family_names
def test_divergences_of_subset_posteriors(name):
    """In closed form where there is one; else the mean of the log-ratio of the draws."""
    posterior, other = posterior_of(name), posterior_of(name, seed=1)
    z = posterior.rsample(6, rowwise())
    ours, theirs = exact(posterior.family, posterior.params), exact(other.family, other.params)
    if name in CLOSED:
        pair = [ours.kl(theirs) if name in SPHERES else kl_divergence(ours, theirs)]
        prior = posterior.family.kl(posterior.params, posterior.family.at(standard(name)))
    else:
        pair = [(ours.log_prob(z) - theirs.log_prob(z)).mean(0)]
        prior = (ours.log_prob(z) - prior_of(name).log_prob(z)).mean(0)
    np.testing.assert_allclose(posterior.kl_to(other, z), pair[0], atol=1e-9)
    np.testing.assert_allclose(posterior.kl(z).detach(), prior.detach(), atol=1e-9)
    # one against several, either way
    against = posterior[1].kl_to(other, z[:, 1:2])
    assert against.shape == (S, N)
    for s in range(S):
        one = posterior[1].kl_to(other[s], z[:, 1:2])
        np.testing.assert_allclose(against[s], one[0], atol=1e-12)
        one = posterior[s].kl_to(other[1], z[:, s : s + 1])
        np.testing.assert_allclose(posterior.kl_to(other[1], z)[s], one[0], atol=1e-12)


def test_a_prior_that_is_no_member_of_the_family_is_averaged_over_draws():
    posterior = posterior_of("student_t")
    z = posterior.rsample(20_000, rowwise())
    ratio = posterior.component_log_prob(z) - posterior.prior.log_prob(z)
    error = ratio.std(0) / len(z) ** 0.5
    # KL(t || N(0, 1)) of each dimension by quadrature
    mean, precision, tail = (posterior.params[k].numpy() for k in ("mean", "precision", "tail"))
    x = np.sinh(np.linspace(-9, 9, 10_001))[:, None]
    truth = np.zeros((S, N))
    for s in range(S):
        gap, scale = x - mean[s].ravel(), precision[s].ravel() ** -0.5
        log = np.where(tail[s].ravel() > 0, t(5).logpdf(gap / scale), norm.logpdf(gap / scale))
        log -= np.log(scale)
        terms = trapezoid(np.exp(log) * (log - norm.logpdf(x)), x, axis=0)
        truth[s] = terms.reshape(N, D).sum(-1)
    gap = posterior.kl(z).numpy() - truth
    assert (np.abs(gap) < 5 * error.numpy() + 1e-6).all()


def random_weights(n_subsets=S, n_rows=N):
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(n_subsets, n_rows, dtype=torch.float64, generator=generator)
    weights[1] = 0
    return weights / weights.sum(0)


@family_names
@pytest.mark.parametrize("equal", [False, True])
def test_thinning_keeps_components_by_their_weights(name, equal):
    weights = random_weights()
    log_weights = weights.log()
    if equal:
        log_weights = equal_log_weights(torch.ones(S, N, 1))
        weights = log_weights.exp()
    posterior = posterior_of(name, log_weights)
    assert posterior.thin(S, rowwise()) is posterior
    family, kept = posterior.family, 3
    means = family.mean(posterior.params)
    counts, repeats = torch.zeros(S, N), 600
    for seed in range(repeats):
        thin = posterior.thin(kept, rowwise(seed))
        np.testing.assert_allclose(thin.log_weights.exp(), 1 / kept)
        mean = family.mean(thin.params)
        same = (mean[:, None] == means).all(-1)  # (kept, S, N)
        assert (same.any(1)).all()
        counts += same.sum(0)
    # rows whose components are all different
    alone = torch.ones(S, N, dtype=torch.bool)
    for s in range(S):
        for other in range(S):
            if s != other:
                alone[s] &= (means[s] != means[other]).any(-1)
    assert alone[0].any()
    share = counts / repeats / kept
    error = (weights * (1 - weights) / repeats / kept).sqrt()  # strata only lessen it
    gap = (share - weights).abs()
    assert (gap <= 4 * error + 1e-12)[alone].all()
    assert equal or (counts[1][alone[1]] == 0).all()
    # every leaf goes along: the densities are those of the components that were kept
    z = family.place(torch.randn(1, kept, N, D, dtype=torch.float64))
    every = [family.log_prob(posterior[s].params, z)[0] for s in range(S)]
    every = torch.stack(every, dim=1)  # (kept, S, N)
    mine = thin.component_log_prob(z)[0]
    assert ((mine[:, None] - every).abs() < 1e-9).any(1).all()
    # each of three parts of the unit interval gives one; all of the middle part is the second's
    heavy = torch.tensor([0.1, 0.7, 0.1, 0.1, 0.0]).double()[:, None].expand(S, N)
    for seed in range(30):
        thin = posterior_of(name, heavy.log()).thin(kept, rowwise(seed))
        assert (family.mean(thin.params)[1] == means[1]).all()


def test_thinning_does_not_move_an_importance_weighted_estimate():
    """The mean of prior over mixture density is one, of the whole mixture and of a part."""
    weights = random_weights()
    posterior = posterior_of("diagonal_gaussian", weights.log())
    for whole in (True, False):
        totals = []
        for seed in range(300):
            noise = rowwise(seed)
            part = posterior if whole else posterior.thin(3, noise)
            z = part.rsample(4, noise.fold("latent"))
            q = part.mixture_log_prob(z)
            # of a narrow target, so that the weights have a small variance
            target = MultivariateNormal(torch.zeros(D).double(), 0.05 * torch.eye(D).double())
            totals.append(part.average((target.log_prob(z) - q).exp()).mean(0))
        totals = torch.stack(totals)
        error = totals.std(0) / len(totals) ** 0.5
        assert ((totals.mean(0) - 1).abs() < 4 * error).all()


def test_detached_posteriors_keep_the_gradient_to_draws_and_prior():
    family, experts, membership, _ = setup("diagonal_gaussian")
    leaves = {leaf: value.requires_grad_() for leaf, value in experts.items()}
    prior = ScaledGaussian(D).double()
    params = family.product(leaves, membership)
    posterior = SubsetPosterior(family, params, random_weights().log(), prior)
    z = posterior.rsample(2, rowwise())
    posterior.detach().log_ratio(z.detach()).sum().backward()
    assert all(value.grad is None for value in leaves.values())
    assert (prior.scores.grad != 0).any()
    posterior.detach().log_ratio(z).sum().backward()
    assert all((value.grad != 0).any() for value in leaves.values())


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
    membership = torch.ones(1, n, 1, dtype=torch.bool)
    membership[0, ::2] = False
    uniform = {"eta": torch.zeros(2, 3).double()}
    return family, raw, family.product_with_prior(family.experts(raw), membership, uniform)


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
    told = family.prior_kl(params, {"eta": torch.zeros(2, 3).double()})
    np.testing.assert_allclose(told.detach(), kl)
    np.testing.assert_allclose(family.mean(params).detach(), truth.mean.flatten(-2), atol=1e-12)
    assert (family.mean(params)[0, ::2] == 0).all()
    with pytest.raises(ValueError, match="has no closed form; only that from the uniform"):
        family.kl(params, params)
    with pytest.raises(ValueError, match="A product of Power Spherical experts is not"):
        family.product(family.experts(torch.zeros(2, 3, 8)), torch.ones(1, 2, 3) > 0)
    experts, prior = family.experts(torch.zeros(2, 2, 8)), {"eta": torch.zeros(2, 3)}
    with pytest.raises(ValueError, match="A product of Power Spherical experts is not"):
        family.product_with_prior(experts, torch.ones(1, 2, 2) > 0, prior)


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


def test_full_gaussian_asks_for_what_entries_say():
    with pytest.raises(ValueError, match=r"one tensor \(F_m, D\) for each"):
        FAMILIES["full_gaussian"]().experts(torch.zeros(2, 3, 4), None)


def student_product(means, precisions, prior=True, df=5.0):
    """Student-t experts of one dimension, with N(0, 1): their product, and its grid density."""
    family = StudentT(df)
    raw = torch.tensor([[[m, np.log(p)] for m, p in zip(means, precisions, strict=True)]])
    experts = family.experts(raw.double())
    standard = {"h": torch.zeros(1).double(), "precision": torch.ones(1).double()}
    experts = family.append(experts, family.lift(standard))
    held = torch.tensor([[[True] * len(means) + [prior]]])
    x = np.linspace(-60, 60, 240_001)
    log = norm.logpdf(x) if prior else np.zeros_like(x)
    for m, p in zip(means, precisions, strict=True):
        log = log + t(df, m, p**-0.5).logpdf(x)
    return family, family.product(experts, held), x, log


def test_one_student_alone_is_itself():
    family, params, x, log = student_product([1.3], [2.5], prior=False)
    ours = family.log_prob(params, torch.from_numpy(x)[:, None, None, None])[:, 0, 0]
    np.testing.assert_allclose(ours, log, atol=1e-12)


@pytest.mark.parametrize(
    ("means", "precisions"),
    [([0.8, 1.0], [4.0, 6.0]), ([0.5, 0.7, 0.6], [3.0, 9.0, 2.0]), ([-0.3], [5.0])],
)
def test_students_that_agree_have_nearly_the_mean_and_spread_of_their_product(means, precisions):
    family, params, x, log = student_product(means, precisions)
    density = np.exp(log)
    density /= trapezoid(density, x)
    mean = trapezoid(x * density, x)
    deviation = np.sqrt(trapezoid((x - mean) ** 2 * density, x))
    assert abs(float(params["mean"]) - mean) < 0.1 * deviation
    ours = float(params["precision"].rsqrt()) * np.sqrt(family.df / (family.df - 2))
    assert 0.8 < ours / deviation < 1.6  # never narrower by far: weights stay finite


@pytest.mark.parametrize("odd", [-3.0, -6.0, -12.0])
def test_students_side_with_the_majority(odd):
    means, precisions = [1.5, 1.4, odd], [4.0, 5.0, 4.0]
    _, params, x, log = student_product(means, precisions)
    ours = float(params["mean"])
    gaussian = np.dot(means, precisions) / (1 + sum(precisions))
    density = np.exp(log - log.max())
    truth = trapezoid(x * density, x) / trapezoid(density, x)
    assert abs(ours - 1.45) < 0.5 * abs(gaussian - 1.45)
    assert abs(ours - truth) < 0.2 * abs(gaussian - truth)
    # the mode, by the grid
    assert abs(ours - x[log.argmax()]) < 0.05


def test_the_product_of_students_is_a_proposal_of_its_own_density():
    """Importance weights with what it draws from: the normalising constant of the true product."""
    for means in ([1.5, 1.4, -4.0], [0.2, 0.4, 0.3]):
        family, params, x, log = student_product(means, [4.0, 5.0, 4.0])
        truth = trapezoid(np.exp(log), x)
        z = family.rsample(
            params, family.noise(RowNoise(0, torch.zeros(1).long()), 40_000, params)
        )
        flat = z.flatten().numpy()
        target = norm.logpdf(flat) + sum(
            t(5.0, m, p**-0.5).logpdf(flat) for m, p in zip(means, [4.0, 5.0, 4.0], strict=True)
        )
        weight = np.exp(target - family.log_prob(params, z).flatten().numpy()) / truth
        error = weight.std() / np.sqrt(len(weight))
        assert error < 0.02
        assert abs(weight.mean() - 1) < 4 * error


@family_names
def test_draws_are_mirrored_only_where_a_family_says_how(name):
    """Its own noise is; that of a class which draws in another way is left as it is."""
    posterior = posterior_of(name)
    assert posterior.family.mirrors

    class Other(FAMILIES[name]):
        def noise(self, source, n_draws, params):
            return super().noise(source, n_draws, params)

    assert not Other().mirrors
    other = replace(posterior, family=Other())
    plain = other.rsample(4, rowwise(), antithetic=True)
    torch.testing.assert_close(plain, other.rsample(4, rowwise()), rtol=0, atol=0)
    mirrored = posterior.rsample(4, rowwise(), antithetic=True)
    assert mirrored.shape == plain.shape
    assert not torch.equal(mirrored, plain)
