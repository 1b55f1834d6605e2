"""Laws of the priors: densities, moments, samples, and the pseudo-inputs of VampPrior."""

import copy
import pickle

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from scipy.integrate import trapezoid
from scipy.stats import kstest, norm
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.distributions import Laplace as TorchLaplace

from skpoe.data.batch import Batch
from skpoe.model import MultimodalVAE
from skpoe.objectives import OBJECTIVES
from skpoe.posteriors import DiagonalGaussian, SubsetPosterior
from skpoe.posteriors import Laplace as LaplacePosterior
from skpoe.priors import GaussianMixture, Laplace, ScaledGaussian, StandardGaussian, VampPrior
from skpoe.random import RowNoise
from skpoe.strategies import JointEncoder, ProductOfExperts
from skpoe.subsets import Subsets

D, C, WIDTHS = 3, 5, (4, 2)


def product(prior_expert=True):
    torch.manual_seed(0)
    encoders = [nn.Linear(width, 2 * D) for width in WIDTHS]
    return ProductOfExperts(DiagonalGaussian(), encoders, prior_expert=prior_expert).double()


def joint():
    torch.manual_seed(0)
    return JointEncoder(DiagonalGaussian(), nn.Linear(2 * sum(WIDTHS), 2 * D)).double()


def vamp(strategy):
    prior = VampPrior(D, WIDTHS, C, seed=1).double()
    prior.bind(strategy)
    return prior


def said_of(strategy, inputs):
    """Means and deviations of the posteriors of the pseudo-inputs, by hand."""
    if isinstance(strategy, JointEncoder):
        both = torch.cat([*inputs, torch.zeros(C, sum(WIDTHS)).double()], 1)
        mean, log_precision = strategy.encoder(both).chunk(2, -1)
        return mean, torch.exp(-0.5 * log_precision)
    h, precision = 0.0, float(strategy.prior_expert)
    for encoder, x in zip(strategy.encoders.networks, inputs, strict=True):
        mean, log_precision = encoder(x).chunk(2, -1)
        h, precision = h + mean * log_precision.exp(), precision + log_precision.exp()
    return h / precision, precision**-0.5


def priors():
    """Each prior with its double in torch."""
    torch.manual_seed(0)
    scaled, laplace, mixture = ScaledGaussian(D), Laplace(D), GaussianMixture(D, C)
    for prior in (scaled, laplace):
        prior.scores.data = torch.randn(D)
    mixture.log_precisions.data = torch.randn(C, D)
    scale = [torch.softmax(p.scores.double(), -1) * D for p in (scaled, laplace)]
    zero, one = torch.zeros(D).double(), torch.ones(D).double()

    def mixed(mean, deviation):
        equal = Categorical(torch.ones(C).double())
        return MixtureSameFamily(equal, Independent(Normal(mean, deviation), 1))

    deviation = torch.exp(-0.5 * mixture.log_precisions.double())
    strategies = {
        "vamp": product(),
        "vamp without prior expert": product(prior_expert=False),
        "vamp joint": joint(),
    }
    made = {name: vamp(strategy) for name, strategy in strategies.items()}
    return {
        "standard": (StandardGaussian(D).double(), Independent(Normal(zero, one), 1)),
        "scaled": (scaled.double(), Independent(Normal(zero, scale[0]), 1)),
        "laplace": (laplace.double(), Independent(TorchLaplace(zero, scale[1]), 1)),
        "fixed laplace": (
            Laplace(D, learn_scale=False).double(),
            Independent(TorchLaplace(zero, one), 1),
        ),
        "mixture": (mixture.double(), mixed(mixture.means.double(), deviation)),
        **{k: (p, mixed(*said_of(strategies[k], p.inputs))) for k, p in made.items()},
    }


names = pytest.mark.parametrize("name", sorted(priors()))


@names
def test_densities_are_those_of_torch(name):
    prior, truth = priors()[name]
    z = 2 * torch.randn(7, 4, D, dtype=torch.float64)
    np.testing.assert_allclose(prior.log_prob(z).detach(), truth.log_prob(z).detach(), atol=1e-10)
    assert prior.latent_dim == D


@names
def test_natural_parameters_are_those_of_the_moments(name):
    """Of the prior itself, or of the Gaussian with its mean and variance."""
    prior, truth = priors()[name]
    natural = {leaf: value.detach() for leaf, value in prior.natural().items()}
    if prior.kind == "laplace":
        mean, variance = natural["mean"], 2 * natural["scale"] ** 2
    else:
        mean, variance = natural["h"] / natural["precision"], 1 / natural["precision"]
    np.testing.assert_allclose(mean, truth.mean.detach(), atol=1e-10)
    np.testing.assert_allclose(variance, truth.variance.detach(), rtol=1e-10)
    assert prior.is_natural is (name not in {"mixture"} and "vamp" not in name)


@pytest.mark.parametrize("name", ["standard", "scaled", "laplace"])
def test_a_prior_with_another_density_is_charged_by_it(name):
    """A closed form is that of the class above: the KL is then the mean over draws."""
    prior, truth = priors()[name]

    class Shifted(type(prior)):
        def log_prob(self, z):
            return super().log_prob(z - 3)

    shifted = Shifted(D).double()
    shifted.load_state_dict(prior.state_dict())
    assert prior.is_natural
    assert not shifted.is_natural
    family, spread, q = {"laplace": (LaplacePosterior(), "scale", TorchLaplace)}.get(
        name, (DiagonalGaussian(), "precision", Normal)
    )
    leaves = {"mean": torch.zeros(1, 1, D).double(), spread: torch.ones(1, 1, D).double()}
    posterior = SubsetPosterior(family, leaves, torch.zeros(1, 1).double(), shifted)
    assert not posterior.has_kl
    z = posterior.rsample(40_000, RowNoise(0, torch.zeros(1, dtype=torch.long)))
    kl = posterior.kl(z).item()
    own = q(torch.zeros(D).double(), torch.ones(D).double()).log_prob(z).sum(-1)
    expected = own - truth.log_prob(z - 3).detach()
    assert abs(kl - expected.mean().item()) < 1e-9
    assert kl > 4  # three away in each of three directions


@names
def test_samples_have_the_distribution(name):
    n = 8000
    prior, truth = priors()[name]
    z = prior.sample(RowNoise(0, torch.arange(n))).detach()
    assert z.shape == (n, D)
    mean, variance = truth.mean.detach(), truth.variance.detach()
    assert ((z.mean(0) - mean).abs() < 4.5 * (variance / n).sqrt()).all()
    square = (z - mean) ** 2
    assert ((square.mean(0) - variance).abs() < 4.5 * square.std(0) / n**0.5).all()
    for d in range(D):  # the marginals of a product, and of a mixture
        if isinstance(truth, MixtureSameFamily):
            parts = truth.component_distribution.base_dist
            cdf = Normal(parts.loc[:, d], parts.scale[:, d]).cdf(z[:, d, None]).mean(-1)
        else:
            cdf = truth.base_dist.cdf(z)[:, d]
        assert kstest(cdf.detach().numpy(), "uniform").pvalue > 1e-3
    # rows have noise of their own
    some = prior.sample(RowNoise(0, torch.arange(n))[torch.tensor([5, 3])]).detach()
    np.testing.assert_allclose(some, z[[5, 3]], atol=1e-12)


@pytest.mark.parametrize("kind", [ScaledGaussian, Laplace])
def test_learned_scales_have_mean_one(kind):
    prior = kind(D)
    prior.scores.data = 3 * torch.randn(D)
    natural = prior.natural()
    scale = natural["scale"] if kind is Laplace else natural["precision"].rsqrt()
    np.testing.assert_allclose(scale.mean().detach(), 1, rtol=1e-5)
    prior.log_prob(torch.randn(4, D)).sum().backward()
    assert (prior.scores.grad != 0).all()
    assert not Laplace(D, learn_scale=False).scores.requires_grad


@pytest.mark.parametrize("make", [product, joint])
def test_gradients_reach_pseudo_inputs_and_encoders(make):
    strategy = make()
    prior = vamp(strategy)
    # the encoders are not the prior's own
    assert {name for name, _ in prior.named_parameters()} == {"inputs.0", "inputs.1"}
    prior.log_prob(torch.randn(6, D, dtype=torch.float64)).sum().backward()
    for parameter in [*prior.parameters(), *strategy.parameters()]:
        assert (parameter.grad != 0).any()


def vae(prior, strategy):
    world = LinearGaussian(WIDTHS, D)
    decoders = [nn.Linear(D, width) for width in WIDTHS]
    return MultimodalVAE(strategy, prior, decoders, world.likelihoods(), Subsets.full(2)).double()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_of_a_model_is_bound_to_its_own_strategy(again):
    model = vae(VampPrior(D, WIDTHS, C), product())
    other = again(model)
    (strategy,) = other.prior._strategy
    assert strategy is other.strategy
    with torch.no_grad():
        other.strategy.encoders[0].bias += 1.0
        z = torch.randn(3, D, dtype=torch.float64)
        assert not torch.equal(other.prior.log_prob(z), model.prior.log_prob(z))


def test_the_kl_from_a_mixture_is_averaged_over_draws():
    """Against quadrature in one dimension; that from its moments is another number."""
    prior = GaussianMixture(1, 2).double()
    prior.means.data = torch.tensor([[-2.0], [2.0]]).double()
    prior.log_precisions.data = torch.full((2, 1), 1.5).double()
    torch.manual_seed(0)
    strategy = ProductOfExperts(DiagonalGaussian(), [nn.Linear(2, 2)]).double()
    world = LinearGaussian((2,), 1, n=8)
    model = MultimodalVAE(
        strategy, prior, [nn.Linear(1, 2)], world.likelihoods(), Subsets.full(1)
    ).double()
    with torch.no_grad():
        posterior = model.posterior(world.batch())
        z = posterior.rsample(40_000, RowNoise(0, torch.arange(8)))
        ours = posterior.kl(z)[0].numpy()
        error = posterior.log_ratio(z).std(0)[0].numpy() / 200
        mean, deviation = (
            posterior.params[leaf][0, :, 0].numpy() for leaf in ("mean", "precision")
        )
        deviation = deviation**-0.5
        x = np.linspace(-20, 20, 20_001)[:, None]
        q = norm(mean, deviation).logpdf(x)
        p = np.logaddexp(*(norm(c, np.exp(-0.75)).logpdf(x) for c in (-2, 2))) - np.log(2)
        truth = trapezoid(np.exp(q) * (q - p), x, axis=0)
        assert (np.abs(ours - truth) < 4.5 * error).all()
        family = posterior.family
        moments = family.kl(posterior.params, family.at(prior.natural()))[0].numpy()
    assert (np.abs(moments - truth) > 0.1).any()


@pytest.mark.parametrize("prior", [GaussianMixture(D, C), VampPrior(D, WIDTHS, C)])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_rows_that_show_nothing_are_worth_nothing(name, prior):
    """Their posterior has the moments of a mixture prior, and is not that prior."""
    model = vae(prior, product())
    if name == "mmvm":
        model.subsets = Subsets.singletons(2) | Subsets.nothing(2)
    observed = np.array([[0, 0], [1, 1], [0, 1], [0, 0]]).astype(bool)
    rng = np.random.default_rng(0)
    arrays = [
        np.where(observed[:, [m]], rng.normal(size=(4, w)), np.nan) for m, w in enumerate(WIDTHS)
    ]
    objective = OBJECTIVES[name](n_samples=3)
    value = objective(model, Batch.from_arrays(arrays), RowNoise(0, torch.arange(4)))
    assert (value[[0, 3]] == 0).all()
    assert (value[[1, 2]] != 0).all()
