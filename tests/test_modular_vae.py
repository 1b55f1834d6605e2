"""ModularVAE: every combination of choices trains, or is refused with a reason."""

import copy
import functools
import itertools

import numpy as np
import pytest
import torch
from small import FAST

from skpoe import ModularVAE, SphericalVAE
from skpoe.data.batch import Batch
from skpoe.estimators.choices import (
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
    STRATEGIES,
    SUBSETS,
    choose,
)
from skpoe.estimators.pieces import Pieces
from skpoe.likelihoods import Gaussian
from skpoe.objectives import ELBO
from skpoe.posteriors import Laplace
from skpoe.priors import GaussianMixture, StandardGaussian
from skpoe.random import RowNoise, row_keys
from skpoe.strategies import JointEncoder
from skpoe.subsets import Subsets

WIDTHS = (3, 2, 2)
# objectives that read the model's own subsets; the others name the subsets that they read
OF_THE_MODEL = {"elbo", "stl_elbo", "mmvae_elbo", "iwae", "loose_iwae", "dreg_iwae", "jvi"}
# strategies that a posterior has no step with, by hand
WITHOUT = {
    "full_gaussian": {
        "set_encoder",
        "subset_encoders",
        "product_with_stand_ins",
    },
    "laplace": {"product_of_experts", "product_without_prior", "product_with_stand_ins"},
    "student_t": {"product_with_stand_ins"},
    "power_spherical_product": {
        "product_of_experts",
        "product_without_prior",
        "product_with_stand_ins",
    },
}
TABLE = list(itertools.product(STRATEGIES, POSTERIORS, PRIORS))
SMALL = {
    "hidden_layer_sizes": (4,),
    "latent_dim": 2,
    "n_spheres": 1,
    "sphere_dim": 1,
    "n_samples": 2,
    "n_subsets": 1,
    "random_state": 0,
}


# what an objective that is an object does not hear of is left out
OWN = {name: value for name, value in {**FAST, **SMALL}.items() if name != "n_samples"}


def data(n=12):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, width)) for width in WIDTHS]
    X[1][::3] = np.nan
    X[2][1::4] = np.nan
    X[0][2, 1] = np.nan
    for x in X:
        x[5] = np.nan
    return X


@functools.cache
def started():
    """Likelihoods that have seen the data."""
    batch = Batch.from_arrays(data())
    likelihoods = [Gaussian() for _ in WIDTHS]
    for likelihood, x, mask in zip(likelihoods, batch.values, batch.masks, strict=True):
        likelihood.start([(x, mask, torch.ones(len(x)))])
    return likelihoods


def compose(strategy, posterior, prior, objective, subsets="auto", **more):
    est = ModularVAE(
        variational_strategy=strategy,
        variational_posterior=posterior,
        prior=prior,
        objective=objective,
        subsets=subsets,
        **{**SMALL, **more},
    )
    names = [f"m{m}" for m in range(len(WIDTHS))]
    model, objective = est._compose(Pieces(est, names, copy.deepcopy(started()), 0, 40))
    for name, part in model.named_children():
        if name != "likelihoods":
            part.float()
    return model, objective


def choices_of(objective):
    return tuple(SUBSETS) if objective in OF_THE_MODEL else ("auto",)


def step(model, objective, batch):
    """A step's gradients are finite."""
    noise = RowNoise(0, row_keys(batch.values, batch.masks))
    loss = -objective(model, batch, noise).sum()
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert loss.isfinite()
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


def steps(strategy, posterior, cases):
    """How many of the cases take a step; the others are refused with a reason."""
    n_steps, reasons, batch = 0, set(), None
    for prior, objective, subsets in cases:
        try:
            model, value = compose(strategy, posterior, prior, objective, subsets)
        except ValueError as error:
            reasons.add(str(error))
            continue
        batch = batch or model.read(data())  # as the likelihoods read it, which are the same
        step(model, value, batch)
        n_steps += 1
    assert all("Take " in reason for reason in reasons), "name the nearest valid choice"
    return n_steps


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_combination_takes_a_step_or_is_refused(strategy, posterior):
    """Priors with objectives; the choices of subsets are dealt out to the priors in turn."""
    first = [*STRATEGIES].index(strategy) + [*POSTERIORS].index(posterior)
    cases = [
        (prior, objective, choices_of(objective)[(first + k) % len(choices_of(objective))])
        for k, prior in enumerate(PRIORS)
        for objective in OBJECTIVES
    ]
    n_steps = steps(strategy, posterior, cases)
    assert bool(n_steps) == (strategy not in WITHOUT.get(posterior, ()))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_so_does_every_choice_of_subsets(strategy, posterior):
    cases = [
        (prior, objective, subsets)
        for prior, objective in itertools.product(PRIORS, OBJECTIVES)
        for subsets in choices_of(objective)
    ]
    n_steps = steps(strategy, posterior, cases)
    assert bool(n_steps) == (strategy not in WITHOUT.get(posterior, ()))


@functools.cache
def valid(choice):
    try:
        compose(*choice)
    except ValueError:
        return False
    return True


def pairs():
    """A sample in which each pair of strategy, posterior and prior that are valid together stands.

    Objectives only train, and laws are about what has been trained: each is there once.
    """
    table = [(*three, objective) for three, objective in itertools.product(TABLE, OBJECTIVES)]
    np.random.default_rng(0).shuffle(table)
    seen, sample = set(), []
    for least in (4, 3, 2, 1):  # first those that bring much
        for choice in map(tuple, table):
            new = {*itertools.combinations(choice[:3], 2), choice[3]} - seen
            if len(new) >= least and valid(choice):
                sample.append(choice)
                seen |= new
    return sample


def laws(choice, **more):
    """Hidden inputs and the company of a row change nothing; nothing shown is the prior."""
    est = ModularVAE(
        **dict(
            zip(
                ("variational_strategy", "variational_posterior", "prior", "objective"),
                choice,
                strict=True,
            )
        ),
        **{**SMALL, "max_iter": 2, "n_importance_samples": 8, **more},
    )
    X = data(20)
    est.fit(X)
    scores, latent = est.score_samples(X), est.transform(X)
    assert np.isfinite(scores).all(), choice
    np.testing.assert_allclose(scores[5], 0, atol=1e-6, err_msg=str(choice))
    order = np.random.default_rng(1).permutation(20)
    shuffled = [x[order] for x in X]
    np.testing.assert_allclose(est.transform(shuffled), latent[order], atol=1e-9)
    np.testing.assert_allclose(est.score_samples(shuffled), scores[order], atol=1e-9)
    filled = est.predict_missing(X)
    for new, old in zip(filled, X, strict=True):
        assert np.isfinite(new).all(), choice
        np.testing.assert_array_equal(new[~np.isnan(old)], old[~np.isnan(old)])
    gone = [X[0], np.full_like(X[1], np.nan), X[2]]
    np.testing.assert_array_equal(est.transform([X[0], None, X[2]]), est.transform(gone))


def test_laws_hold_on_a_pairwise_sample():
    sample = pairs()
    names = {name for choice in sample for name in choice}
    assert names == {*STRATEGIES, *POSTERIORS, *PRIORS, *OBJECTIVES}
    for choice in sample:
        laws(choice)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "posterior", "prior"), TABLE)
def test_laws_hold_on_the_whole_table(strategy, posterior, prior):
    for objective in OBJECTIVES:
        choice = (strategy, posterior, prior, objective)
        try:
            compose(*choice)
        except ValueError:
            continue
        laws(choice)
        laws(choice, private_dim=1)


# names of the original repository: (strategy, posterior, prior), and the objectives it allowed
ORIGINAL = {
    ("gaussian_poe", "diag_gaussian", "standard_gaussian"): (
        "elbo",
        "iwae",
        "dreg_iwae",
        "mvae_elbo",
        "ar_elbo",
    ),
    ("gaussian_moe", "diag_gaussian_mixture", "standard_gaussian"): (
        "iwae",
        "dreg_iwae",
        "mmvae_elbo",
    ),
    ("vmf_poe", "vmf_product", "uniform_hyperspherical"): (
        "elbo",
        "iwae",
        "dreg_iwae",
        "mvae_elbo",
        "ar_elbo",
    ),
    ("permutation_invariant", "diag_gaussian", "standard_gaussian"): ("elbo", "iwae"),
}


def test_an_objective_has_one_name_in_all_estimators():
    for name in SphericalVAE._parameter_constraints["objective"][0].options:
        choose("objective", name, OBJECTIVES)


@pytest.mark.parametrize("unstructured", [False, True])
@pytest.mark.parametrize(
    ("choice", "objective"), [(c, o) for c, names in ORIGINAL.items() for o in names]
)
def test_the_names_of_the_original_are_known(choice, objective, unstructured):
    strategy, posterior, prior = choice
    est = ModularVAE(
        variational_strategy=strategy,
        variational_posterior=posterior,
        prior=prior,
        objective=objective,
        unstructured_encoder=unstructured,
        **{**FAST, **SMALL},
    ).fit(data())
    assert np.isfinite(est.score(data()))
    assert isinstance(est.model_.strategy, JointEncoder) == unstructured


def test_the_energy_based_posterior_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="energy-based posterior of the original repository, is"):
        ModularVAE(variational_posterior="loc_scale_ebm").fit(data())
    with pytest.raises(ValueError, match="variational_strategy='loc_scale_ebm', the energy"):
        ModularVAE(variational_strategy="loc_scale_ebm").fit(data())


MISTAKES = {
    "prior_of_another_space": (
        {"variational_posterior": "vmf_product"},
        "variational_posterior='vmf_product' cannot say prior='standard_gaussian', which a row "
        "that shows nothing must have. Take prior='uniform_hyperspherical'.",
    ),
    "vamp": (
        {"variational_posterior": "student_t", "prior": "vamp"},
        "prior='vamp' is a mixture of diagonal Gaussian posteriors; got variational_posterior="
        "'student_t'. Take variational_posterior='diag_gaussian', or prior='gaussian_mixture'.",
    ),
    "objective_of_products": (
        {"variational_strategy": "gaussian_moe", "objective": "mvae_elbo"},
        "objective='mvae_elbo' asks for the posterior of several modalities together, and a "
        "mixture of experts has none. Take objective='mmvae_elbo' or 'iwae', or "
        "variational_strategy='product_of_experts'.",
    ),
    "mmvm": (
        {"objective": "mmvm"},
        "objective='mmvm' is about a mixture of experts; got variational_strategy="
        "'product_of_experts'. Take variational_strategy='mixture_of_experts'.",
    ),
    "no_products": (
        {"variational_posterior": "laplace", "prior": "laplace"},
        "variational_posterior='laplace' has no products. Take variational_strategy="
        "'mixture_of_experts' or 'joint_encoder', or variational_posterior='diag_gaussian'.",
    ),
    "shared_precision": (
        {"variational_posterior": "full_gaussian", "variational_strategy": "set_encoder"},
        "variational_posterior='full_gaussian' learns what each entry says of z, and the networks "
        "of variational_strategy='set_encoder' would say it of each row. Take "
        "variational_posterior='diag_gaussian', or variational_strategy='product_of_experts'.",
    ),
    "mixture_and_subsets": (
        {"variational_strategy": "mixture_of_experts", "subsets": "powerset"},
        "A mixture of experts has one modality in each subset; got subsets='powerset'. Take "
        "subsets='auto', or variational_strategy='product_without_prior' for a mixture of "
        "products.",
    ),
    "stl_of_many_draws": (
        {"objective": "jvi", "n_samples": 1},
        "Jackknife variational inference of order 1 needs n_samples > 1; got n_samples=1.",
    ),
    "another_size_of_prior": (
        {"prior": StandardGaussian(5), "latent_dim": 2},
        "The prior, StandardGaussian, has 5 latent variables, but latent_dim=2. Leave "
        "latent_dim='auto', or give a prior of 2.",
    ),
    "unknown_subsets": (
        {"subsets": "pairs"},
        "subsets must be one of ['auto', 'full', 'singletons', 'powerset'], a number, a 0/1 "
        "matrix (subsets, modalities) or Subsets; got 'pairs'.",
    ),
    "subsets_of_other_modalities": (
        {"subsets": [[1, 0]]},
        "subsets must be a matrix of shape (subsets, 3), one column a modality; got shape (1, 2).",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name):
    params, message = MISTAKES[name]
    with pytest.raises(ValueError, match="^") as caught:
        ModularVAE(**params).fit(data())
    assert str(caught.value) == message


def test_unknown_names_list_what_is_known():
    with pytest.raises(ValueError, match="objective must be one of .*'elbo'.*'ar_elbo'.* or an"):
        ModularVAE(objective="elbow").fit(data())


def test_slots_take_objects():
    prior = GaussianMixture(2, n_components=3)
    before = prior.means.detach().clone()
    est = ModularVAE(
        variational_strategy=lambda pieces, family, size: JointEncoder(
            family, pieces.joint_encoder(family, 2 * pieces.n_features, size=size)
        ),
        prior=prior,
        objective=ELBO(beta=0.5, n_samples=3),
        subsets=Subsets.full(3),
        **OWN,
    ).fit(data())
    free = ModularVAE(prior=StandardGaussian(5), **{**FAST, **SMALL, "latent_dim": "auto"})
    assert free.fit(data()).latent_dim_ == 5
    assert torch.equal(prior.means, before), "the caller's prior was trained"
    assert est._objective.beta == 0.5
    laplace = ModularVAE(
        variational_strategy="gaussian_moe",
        variational_posterior=Laplace(),
        prior="laplace",
        **{**FAST, **SMALL},
    ).fit(data())
    assert len(laplace.model_.subsets) == 3
    matrix = ModularVAE(subsets=[[1, 1, 0], [0, 1, 1]], **{**FAST, **SMALL}).fit(data())
    assert len(matrix.model_.subsets) == 2
    array = ModularVAE(subsets=np.eye(3), **{**FAST, **SMALL}).fit(data())
    assert len(array.model_.subsets) == 3
    with pytest.raises(TypeError, match="must make a Strategy of"):
        ModularVAE(variational_strategy=lambda *pieces: None, **FAST).fit(data())
    with pytest.raises(TypeError, match="got the class JointEncoder. Take one like lambda"):
        ModularVAE(variational_strategy=JointEncoder, **FAST).fit(data())
    two = ModularVAE(subsets=np.int64(2), **{**FAST, **SMALL}).fit(data())  # as grids hold it
    assert len(two.model_.subsets) == 2


ALONE = {
    "space": ({"prior": "uniform_hyperspherical"}, "cannot say prior='uniform_hyperspherical'"),
    "family": ({"variational_posterior": "vmf_product"}, "cannot say prior='standard_gaussian'"),
    "vamp": ({"variational_posterior": "full_gaussian", "prior": "vamp"}, "prior='vamp' is a"),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_modality_is_told_of_what_does_not_go_together(name):
    params, message = ALONE[name]
    with pytest.raises(ValueError, match=message):
        ModularVAE(**params, **FAST).fit(data()[0])


def test_settings_that_an_objective_of_its_own_does_not_hear_are_named():
    est = ModularVAE(objective=ELBO(), beta=2.0, n_samples=3, **OWN)
    with pytest.warns(UserWarning, match=r"^beta, n_samples of the estimator: without effect"):
        est.fit(data())


@pytest.mark.parametrize("keep", [lambda value: value[:, None], lambda value: value.mean()])
def test_an_objective_must_give_a_value_a_row(keep):
    class Other(ELBO):
        def forward(self, *args, **words):
            return keep(super().forward(*args, **words))

    with pytest.raises(ValueError, match=r"^The objective, Other, must give one value for each"):
        ModularVAE(objective=Other(), **OWN).fit(data())


class NarrowDensity(Gaussian):
    def log_density(self, x, raw):
        return super().log_density(x, raw).mean(-1, keepdim=True)


class NarrowMean(Gaussian):
    def mean(self, raw):
        return super().mean(raw)[..., :1]


class NoStart(Gaussian):
    def start(self, chunks):
        pass


OTHERS = {
    NarrowDensity: r"^log_density of the likelihood of modality 'modality_0', Narrow",
    NarrowMean: r"^mean of the likelihood of modality 'modality_0', NarrowMean, must",
    NoStart: r"NoStart, does not know which columns were seen: its start\(\) must call super",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_likelihood_of_other_shapes_is_refused(kind):
    with pytest.raises(ValueError, match=OTHERS[kind]):
        ModularVAE(likelihood=kind(), **{**FAST, **SMALL}).fit(data())
