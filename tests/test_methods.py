"""What is peculiar to named methods; the common laws are in test_estimators.py."""

import copy

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from small import FAST, VAES, small

from skpoe import (
    JMVAE,
    MIWAE,
    MMVAE,
    MMVM,
    MVAE,
    VAEVAE,
    MMVAEPlus,
    ModularVAE,
    MoPoE,
    PartialVAE,
    PoEVAE,
    SphericalVAE,
)
from skpoe.model import MultimodalVAE
from skpoe.nn import Shared
from skpoe.objectives import AlignedELBO, VAEVAEObjective
from skpoe.posteriors import DiagonalGaussian
from skpoe.random import RowNoise, row_keys
from skpoe.strategies import ProductWithStandIns, SubsetEncoders
from skpoe.subsets import MOST_ENUMERATED, Subsets


def columns(n_modalities, n=60, width=1, seed=0):
    """Modalities that share one cause, a third of the rows hidden in each."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 1))
    X = [z + 0.3 * rng.normal(size=(n, width)) for _ in range(n_modalities)]
    for x in X:
        x[rng.random(n) < 1 / 3] = np.nan
    return X


@pytest.fixture(scope="module")
def world():
    return LinearGaussian(n=12)


def test_importance_weights_make_up_for_a_wrong_posterior(world):
    """Imputation of MIWAE, equation 7: with a wrong q it still finds the Gaussian conditional."""
    est = small(MIWAE, **FAST, likelihood="gaussian").fit(list(world.x))
    est.model_ = world.model(perturb=0.3)
    exact = world.conditional_mean(1, (0, 2))

    def error(n_draws, imputation):
        est.set_params(n_importance_samples=n_draws, imputation=imputation)
        filled = est.predict_missing([world.x[0], None, world.x[2]])[1]
        return np.sqrt(np.mean((filled - exact) ** 2))

    many, few = error(50_000, "importance"), error(500, "importance")
    assert many < few / 3  # a hundred times as many draws: a tenth, in the mean
    assert many < error(50_000, "posterior") / 5


def test_importance_weights_change_nothing_where_the_posterior_is_exact(world):
    est = small(PoEVAE, **FAST).fit(list(world.x))
    est.model_ = world.model()
    est.set_params(imputation="importance", n_importance_samples=10)
    filled = est.predict_missing([None, world.x[1], None])
    for m in (0, 2):
        np.testing.assert_allclose(filled[m], world.conditional_mean(m, (1,)), atol=1e-9)


@pytest.mark.parametrize("cls", VAES)
def test_every_estimator_offers_importance_weighted_imputation(cls):
    X = columns(2, width=2)
    est = small(cls, **FAST, imputation="importance").fit(X)
    assert all(np.isfinite(x).all() for x in est.predict_missing(X))


def exact_encoders(world):
    """SubsetEncoders whose posteriors of all and of each modality are exact and diagonal."""

    def layer(subset, n_in, start):
        W, b, s2, _ = world.stacked(subset)
        precision = 1 + (W**2 / s2[:, None]).sum(0)
        natural = (W.T / s2) / precision[:, None]
        linear = torch.nn.Linear(n_in, 2 * world.latent_dim).double()
        weight, bias = np.zeros((2 * world.latent_dim, n_in)), np.log(precision)
        weight[: world.latent_dim, start : start + len(b)] = natural
        linear.weight.data = torch.from_numpy(weight)
        linear.bias.data = torch.from_numpy(np.concatenate([-natural @ b, bias]))
        return linear

    widths = world.widths
    joint = layer(tuple(range(len(widths))), 2 * sum(widths), 0)
    singles = [layer((m,), width, 0) for m, width in enumerate(widths)]
    return SubsetEncoders(DiagonalGaussian(), joint, singles)


@pytest.mark.parametrize(
    "objective", [VAEVAEObjective(), AlignedELBO(parts="singles")], ids=["vaevae", "jmvae"]
)
def test_single_posteriors_are_at_rest_where_they_are_the_conditionals(objective):
    """Drawn to the joint posterior of all rows, they settle at p(z | x_m), where that is exact."""
    world = LinearGaussian(widths=(3, 4), latent_dim=2, n=20_000, orthogonal=True)
    exact = world.model("diagonal_gaussian")
    model = MultimodalVAE(
        exact_encoders(world),
        exact.prior,
        exact.decoders,
        exact.likelihoods,
        Subsets.full(2),
    )
    batch = world.batch()
    noise = RowNoise(0, row_keys(batch.values, batch.masks))

    def scores(model):
        """Z-scores of the gradient by the means that single encoders say, over the rows."""
        offsets = []
        for network in model.strategy.encoders.networks:
            offset = torch.zeros(world.n, 4, dtype=torch.float64, requires_grad=True)
            network.register_forward_hook(lambda _, __, out, o=offset: out + o)
            offsets.append(offset)
        objective(model, batch, noise).sum().backward()
        each = torch.stack([offset.grad for offset in offsets])
        return each.mean(1) / (each.std(1) / world.n**0.5)

    assert scores(copy.deepcopy(model)).abs().max() < 4.5
    for network in model.strategy.encoders.networks:
        network.bias.data += 0.1
    assert scores(model).abs().max() > 8


def test_thirty_modalities_train_as_a_mixture_of_products():
    X = columns(30)
    est = small(MoPoE, **FAST, batch_size=20).fit(X)
    assert len(est.model_.subsets) == 64
    assert np.isfinite(est.score_samples(X)).all()
    first, again = (est.transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(est.transform([x[:7] for x in X]), first[:7], atol=1e-12)
    assert all(np.isfinite(x).all() for x in est.predict_missing(X))


def test_up_to_twelve_modalities_every_subset_is_a_component():
    assert MOST_ENUMERATED == 12
    est = small(MoPoE, **FAST).fit(columns(4))
    assert len(est.model_.subsets) == 15


def test_training_samples_the_subsets_of_many_modalities():
    trained = [
        small(MoPoE, **FAST, n_subsets=n_subsets).fit(columns(n))._objective.subsets
        for n, n_subsets in ((6, None), (7, None), (4, 5))
    ]
    assert trained[0] is None
    assert [len(subsets) for subsets in trained[1:]] == [64, 5]


def test_mixtures_of_hundreds_of_products_score_and_fill():
    """255 components are judged by 64 that are drawn by their weights."""
    X = columns(8, n=20)
    est = small(MoPoE, **FAST).fit(X)
    assert len(est.model_.subsets) == 255
    scores = est.score_samples(X)
    est.set_params(n_importance_samples=256)
    assert np.isfinite(scores).all()
    assert np.abs(est.score_samples(X).mean() - scores.mean()) < 1.0


@pytest.mark.parametrize("cls", [PoEVAE, MVAE, MMVAE, JMVAE, ModularVAE])
def test_many_equal_modalities_share_one_network(cls):
    X = columns(40)
    pixel = Shared(embedding_dim=4, tied=True)
    est = small(cls, **FAST, encoder=pixel, decoder=pixel).fit(X)
    encoders, decoders = est.model_.strategy.encoders, est.model_.decoders
    assert encoders.embedding is decoders.embedding
    apart = small(cls, **FAST, encoder=Shared(), decoder=Shared()).fit(X)
    assert apart.model_.strategy.encoders.embedding is not apart.model_.decoders.embedding
    assert np.isfinite(est.score_samples(X)).all()
    assert all(np.isfinite(x).all() for x in est.predict_missing(X))


def test_a_shared_network_learns_what_is_common():
    X = columns(12, n=200)
    est = small(
        PoEVAE,
        **{**FAST, "max_iter": 40, "hidden_layer_sizes": (32,)},
        encoder=Shared(),
        decoder=Shared(),
    ).fit(X)
    hidden = [np.isnan(x) for x in X]
    filled = est.predict_missing(X)
    others = np.nanmean(np.hstack(X), axis=1, keepdims=True)
    error = np.mean([np.mean((f - others)[h] ** 2) for f, h in zip(filled, hidden, strict=True)])
    assert error < 0.3


def test_a_shared_network_asks_for_equal_widths():
    X = {"rna": np.ones((9, 3)), "adt": np.ones((9, 2))}
    with pytest.raises(ValueError, match=r"encoder=Shared\(...\) is one network for all moda.*'a"):
        MVAE(encoder=Shared()).fit(X)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_shared_networks_tell_modalities_apart_by_at_least_one_number(size):
    X = [np.zeros((4, 1)), np.ones((4, 1))]
    with pytest.raises(
        ValueError, match="embedding_dim of Shared, the decoder, must be a positive"
    ):
        MVAE(decoder=Shared(embedding_dim=size), max_iter=1).fit(X)


@pytest.mark.parametrize("cls", [MVAE, MIWAE, JMVAE])
def test_architectures_are_named(cls):
    X = columns(2, width=3)
    est = small(cls, **FAST, encoder="miwae", decoder="svae").fit(X)
    assert [layer.out_features for layer in est.model_.decoders[0][::2]][:2] == [128, 256]
    with pytest.raises(ValueError, match=r"'encoder' parameter of .* must be .*Got 'alexnet'"):
        small(cls, **FAST, encoder="alexnet").fit(X)


def test_the_strategies_of_vaevae():
    X = columns(3, width=2)
    own = small(VAEVAE, **FAST).fit(X)
    product = small(VAEVAE, **FAST, joint="product").fit(X)
    assert isinstance(own.model_.strategy, SubsetEncoders)
    assert isinstance(product.model_.strategy, ProductWithStandIns)


def test_a_joint_encoder_of_ones_own():
    made = []

    def joint(n_in, n_out):
        made.append((n_in, n_out))
        return torch.nn.Linear(n_in, n_out)

    small(JMVAE, **FAST, joint_encoder=joint).fit(columns(3, width=2))
    assert made == [(12, 4)]  # six features and where they are hidden; two means, two scales


@pytest.mark.parametrize(("cls", "max_iter"), [(MIWAE, 40), (PartialVAE, 100)])
def test_one_table_with_holes_is_filled(cls, max_iter):
    X = np.hstack(columns(6, n=300))
    est = small(cls, max_iter=max_iter, learning_rate_init=5e-3, random_state=0).fit(X)
    filled = est.predict_missing(X)
    hidden = np.isnan(X)
    others = np.nanmean(X, axis=1, keepdims=True)
    assert np.mean((filled - others)[hidden] ** 2) < 0.2 * np.nanvar(X)


@pytest.mark.parametrize("kind", ["pointnet", "pointnet_plus"])
def test_set_encoders_of_either_kind(kind):
    X = columns(3, width=2)
    est = small(PartialVAE, **FAST, set_encoder=kind, embedding_dim=7).fit(X)
    assert est.model_.strategy.embedding.shape == (6, 7)


def test_private_variables_are_not_in_the_latent_space():
    X = columns(2, width=3)
    est = small(MMVAEPlus, **FAST, private_dim=4).fit(X)
    assert est.transform(X).shape == (60, 2)
    assert est.latent_dim_ == 2
    assert [x.shape for x in est.inverse_transform(est.transform(X))] == [(60, 3), (60, 3)]


def test_the_prior_is_a_component_of_mmvm():
    X = [x[:1] for x in columns(2, width=3)]
    X = [np.nan_to_num(x).repeat(10, axis=0) for x in X]
    est = small(MMVM, **FAST).fit(X)
    posterior = est.model_.posterior(est.model_.read([x.astype(float) for x in X]))
    np.testing.assert_allclose(posterior.log_weights.exp(), 1 / 3)
    assert (posterior.family.mean(posterior.params)[2] == 0).all()


@pytest.mark.parametrize("cls", [MMVAE, MMVAEPlus])
@pytest.mark.parametrize("posterior", ["laplace", "gaussian"])
@pytest.mark.parametrize("bound", ["loose", "tight"])
@pytest.mark.parametrize("gradient", ["iwae", "dreg"])
def test_mixtures_of_either_kind(cls, posterior, bound, gradient):
    X = columns(2, width=2)
    how = {"posterior": posterior, "bound": bound, "gradient": gradient}
    est = small(cls, **{**FAST, "max_iter": 30}, **how).fit(X)
    assert np.mean(est.loss_curve_[-5:]) < np.mean(est.loss_curve_[:5])


def test_likelihood_weights_are_read_by_name_and_checked():
    X = {"rna": np.random.default_rng(0).normal(size=(20, 3)), "adt": np.ones((20, 1))}
    heavy = small(MVAE, **FAST, likelihood_weights={"rna": 1.0, "adt": 5}).fit(X)
    listed = small(MVAE, **FAST, likelihood_weights=[1.0, 5.0]).fit(X)
    assert heavy.loss_curve_ == listed.loss_curve_ != small(MVAE, **FAST).fit(X).loss_curve_
    with pytest.raises(
        ValueError,
        match="likelihood_weights must be finite numbers of at least 0, and not all 0; got",
    ):
        small(MVAE, **FAST, likelihood_weights=[1.0, -1.0]).fit(X)
    with pytest.raises(ValueError, match="likelihood_weights must have one item for each of the"):
        small(MVAE, **FAST, likelihood_weights=[1.0]).fit(X)


def test_free_bits_need_a_kl():
    with pytest.raises(ValueError, match=r"free_bits=1.0 is about a KL, and importance-weighted"):
        SphericalVAE(objective="iwae", free_bits=1.0, max_iter=1).fit(columns(2, width=3))


@pytest.mark.parametrize("prior", ["gaussian_mixture", "vamp"])
@pytest.mark.parametrize(
    "objective", ["elbo", "aligned_elbo", "mvtcae", "crmvae", "autoregressive_elbo", "iwae"]
)
def test_rows_that_show_nothing_add_nothing_under_any_prior(prior, objective):
    X = columns(2, width=3)
    for x in X:
        x[:5] = np.nan
    est = small(ModularVAE, **FAST, prior=prior, objective=objective).fit(X)
    batch = est.model_.read(X)
    noise = RowNoise(0, row_keys(batch.values, batch.masks))
    assert (est._objective(est.model_, batch, noise)[:5] == 0).all()
    assert (est.score_samples(X)[:5] == 0).all()


def test_gradients_of_auxiliary_priors_are_those_of_iwae():
    """DReG is about draws of what encoders say; others keep their gradient."""
    X = columns(2, n=4000, width=2)
    X = [np.nan_to_num(x) for x in X]
    gradients = {}
    for gradient in ("iwae", "dreg"):
        est = small(MMVAEPlus, **{**FAST, "max_iter": 1, "n_samples": 5}, gradient="iwae").fit(X)
        est._objective.gradient = gradient
        batch = est.model_.read([x.astype(np.float64) for x in X])
        noise = RowNoise(0, row_keys(batch.values, batch.masks))
        est._objective(est.model_, batch, noise).mean().backward()
        scores = [prior.scores.grad for prior in est.model_.private.auxiliary]
        gradients[gradient] = torch.stack(scores)
    torch.testing.assert_close(gradients["iwae"], gradients["dreg"])
