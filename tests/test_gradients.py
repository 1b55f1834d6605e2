"""Estimators of gradients: what they share in mean, and how noisy they are."""

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from sklearn.base import clone
from small import FAST, named, small, usual
from torch import nn

from skpoe import MIWAE, MMVAE, MMVAEPlus
from skpoe.data.batch import Batch
from skpoe.nn import LinearPlus
from skpoe.objectives import ELBO, IWAE, iwae
from skpoe.random import RowNoise
from skpoe.subsets import Subsets

REPEATS = 40_000


@pytest.fixture(scope="module")
def line():
    return LinearGaussian(widths=(2, 2), latent_dim=1, n=1, seed=3)


class Leaves:
    """Gradients of single rows by what encoders and decoders say, as expanded weights.

    All rows hold the same data and have noise of their own: independent repeats of one gradient.
    Encoders and decoders say what they said, plus a number a row; the gradients by these numbers
    are those by the biases of the networks, one a repeat.
    """

    def __init__(self, model, n_rows):
        self.leaves = {}
        for kind, networks in (("encoder", model.strategy.encoders), ("decoder", model.decoders)):
            for m in range(len(networks)):
                shift = torch.zeros(n_rows, networks[m].out_features).double().requires_grad_()
                self.leaves[kind, m] = shift
                networks[m].register_forward_hook(
                    lambda _, __, out, s=shift: out + s.repeat(len(out) // len(s), 1)
                )

    def gradients(self, value):
        """(repeats, numbers) of encoders, and of decoders."""
        flat = torch.autograd.grad(value.sum(), list(self.leaves.values()))
        by_kind = {"encoder": [], "decoder": []}
        for (kind, _), gradient in zip(self.leaves, flat, strict=True):
            by_kind[kind].append(gradient)
        return {kind: torch.cat(parts, dim=1).numpy() for kind, parts in by_kind.items()}


def repeats_of(line, objective, *, subsets=Subsets.full, exact=False, n_rows=REPEATS, seed=0):
    """Value (repeats,) and gradients of an objective."""
    wrong = 0.0 if exact else 0.25
    prior_expert = subsets == Subsets.full
    # of one latent variable, so a diagonal posterior is exact
    model = line.model("diagonal_gaussian", prior_expert, perturb=wrong, subsets=subsets)
    batch = Batch.from_arrays([np.tile(x, (n_rows, 1)) for x in line.x])
    leaves = Leaves(model, n_rows)
    value = objective(model, batch, RowNoise(seed, torch.arange(n_rows)))
    return value.detach().numpy(), leaves.gradients(value)


def z_scores(a, b):
    """Of paired repeats."""
    gap = a - b
    return gap.mean(0) / (gap.std(0) / np.sqrt(len(gap)) + 1e-12)


@pytest.mark.parametrize("mixture", ["tight", "loose"])
@pytest.mark.parametrize("n_samples", [1, 2, 8])
def test_dreg_is_unbiased_for_one_component_and_less_noisy(line, n_samples, mixture):
    made = {
        gradient: repeats_of(line, IWAE(n_samples=n_samples, gradient=gradient, mixture=mixture))
        for gradient in ("iwae", "dreg")
    }
    (value, standard), (same, dreg) = made["iwae"], made["dreg"]
    np.testing.assert_allclose(value, same, rtol=1e-12)
    assert (np.abs(standard["encoder"].mean(0)) > 0.01).any()  # there is something to agree on
    assert (np.abs(z_scores(standard["encoder"], dreg["encoder"])) < 4).all()
    # what the decoders get is the same, draw for draw
    np.testing.assert_allclose(standard["decoder"], dreg["decoder"], atol=1e-9)
    assert (dreg["encoder"].var(0) < standard["encoder"].var(0)).all()


@pytest.mark.parametrize("beta", [0.0, 0.3, 2.0])
def test_dreg_is_unbiased_with_any_weight_of_the_density_ratio(line, beta):
    """As a warm-up of the KL has it."""
    _, standard = repeats_of(line, IWAE(n_samples=5, beta=beta))
    _, dreg = repeats_of(line, IWAE(n_samples=5, beta=beta, gradient="dreg"))
    # without weight nothing is left out, and the two are one
    assert (np.abs(z_scores(standard["encoder"], dreg["encoder"])) < 4).all()


def test_stl_of_a_mixture_inside_the_logarithm_is_refused(line):
    with pytest.raises(
        ValueError, match="gradient='stl' is biased for a mixture with mixture='ti"
    ):
        repeats_of(line, IWAE(gradient="stl"), subsets=Subsets.singletons, n_rows=10)


def test_dreg_keeps_its_precision_where_iwae_loses_it(line):
    """The more draws, the larger its lead."""

    def ratio(n_samples):
        _, standard = repeats_of(line, IWAE(n_samples=n_samples), n_rows=4000)
        _, dreg = repeats_of(line, IWAE(n_samples=n_samples, gradient="dreg"), n_rows=4000)
        return standard["encoder"].var(0).sum() / dreg["encoder"].var(0).sum()

    assert ratio(32) > 2 * ratio(2)


@pytest.mark.parametrize("make", [IWAE, ELBO])
def test_stl_is_unbiased_with_one_draw(line, make):
    value, standard = repeats_of(line, make())
    other, stl = repeats_of(line, make(gradient="stl"))
    if make is IWAE:
        np.testing.assert_allclose(value, other, rtol=1e-12)
    assert (np.abs(standard["encoder"].mean(0)) > 0.01).any()
    assert (np.abs(z_scores(standard["encoder"], stl["encoder"])) < 4).all()
    np.testing.assert_allclose(standard["decoder"], stl["decoder"], atol=1e-9)


@pytest.mark.parametrize(
    "objective",
    [
        IWAE(gradient="stl"),
        ELBO(gradient="stl"),
        ELBO(gradient="stl", n_samples=4),
        IWAE(gradient="dreg", n_samples=4),
    ],
)
def test_nothing_is_left_of_the_noise_at_the_exact_posterior(line, objective):
    _, gradients = repeats_of(line, objective, exact=True, n_rows=500)
    np.testing.assert_allclose(gradients["encoder"], 0, atol=1e-9)
    assert (gradients["decoder"] != 0).all()
    standard = type(objective)(n_samples=objective.n_samples)
    _, gradients = repeats_of(line, standard, exact=True, n_rows=500)
    assert gradients["encoder"].std(0).max() > 0.01


def test_stl_refuses_more_draws_of_an_importance_weighted_bound():
    with pytest.raises(ValueError, match="gradient='stl' is biased for importance-weighted") as e:
        IWAE(n_samples=2, gradient="stl")
    assert "n_samples=2" in str(e.value)


def test_stl_of_more_draws_would_be_biased(line):
    """Why it is refused: the test above would see it."""
    objective = IWAE(gradient="stl")
    objective.n_samples = 5
    _, stl = repeats_of(line, objective)
    _, standard = repeats_of(line, IWAE(n_samples=5))
    assert np.abs(z_scores(standard["encoder"], stl["encoder"])).max() > 5


@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_dreg_is_biased_for_a_mixture(line, mixture, monkeypatch):
    """As documented; of one component it is not, and with one draw of a loose bound neither."""
    monkeypatch.setattr(iwae, "_LARGE", np.inf)  # leaves are for networks that see all rows

    def largest(n_samples):
        made = [
            repeats_of(
                line,
                IWAE(n_samples=n_samples, gradient=gradient, mixture=mixture),
                subsets=Subsets.singletons,
                n_rows=150_000,
            )
            for gradient in ("iwae", "dreg")
        ]
        (value, standard), (same, dreg) = made
        np.testing.assert_allclose(value, same, rtol=1e-12)
        np.testing.assert_allclose(standard["decoder"], dreg["decoder"], atol=1e-9)
        return np.abs(z_scores(standard["encoder"], dreg["encoder"])).max()

    assert largest(5) > 5
    if mixture == "loose":
        assert largest(1) < 4


@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_bounds_of_a_mixture_by_a_loop_over_components(mixture):
    """Value and gradient of two modalities, and of rows that show one, written by hand."""
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=6)
    observed = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0], [1, 1]]).astype(bool)
    batch = world.batch(observed)
    noise = RowNoise(0, torch.arange(world.n))
    K = 4

    def parameters(model):
        return [*model.strategy.parameters(), *model.decoders.parameters()]

    def make():
        return world.model("diagonal_gaussian", False, 0.2, subsets=Subsets.singletons)

    model = make()
    value = IWAE(n_samples=K, mixture=mixture)(model, batch, noise)
    gradients = torch.autograd.grad(value.sum(), parameters(model))

    model = make()
    z = model.posterior(batch).rsample(K, noise.fold("latent")).detach()
    encoded = model.encoded(batch).values
    total = []
    for n, row in enumerate(observed):
        experts = []
        for m in np.flatnonzero(row):
            mean, log_precision = model.strategy.encoders[m](encoded[m][n]).chunk(2)
            experts.append((m, torch.distributions.Normal(mean, torch.exp(-0.5 * log_precision))))
        logs = []  # of each component: of each draw
        for m, expert in experts:
            with torch.no_grad():  # the noise that was drawn
                error = (z[:, m, n] - expert.loc) / expert.scale
            of_component = []
            for k in range(K):
                draw = expert.loc + expert.scale * error[k]
                density = sum(e.log_prob(draw).sum().exp() for _, e in experts) / len(experts)
                weight = torch.distributions.Normal(0, 1).log_prob(draw).sum() - density.log()
                for j, _ in experts:
                    mean = model.decoders[j](draw)
                    scale = torch.from_numpy(np.sqrt(world.s2[j]))
                    fit = torch.distributions.Normal(mean, scale).log_prob(batch.values[j][n])
                    weight = weight + fit.sum()
                of_component.append(weight)
            logs.append(torch.stack(of_component))
        if not logs:
            total.append(torch.zeros(()).double())
        elif mixture == "loose":
            total.append(torch.stack([log.exp().mean().log() for log in logs]).mean())
        else:
            total.append(torch.stack(logs).exp().mean().log())
    total = torch.stack(total)
    np.testing.assert_allclose(value.detach(), total.detach(), atol=1e-6)
    by_hand = torch.autograd.grad(total.sum(), parameters(model))
    for ours, theirs in zip(gradients, by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.fixture
def few_draws(monkeypatch):
    """Look again at the draws that have weight, however small the model and many the draws."""

    def look(small):
        for name, value in {"_LARGE": 0, "_MANY": 2.0, "_SMALL": small, "_AT_A_TIME": 1}.items():
            monkeypatch.setattr(iwae, name, value)

    return look


def gradients_of(world, objective, seed):
    """Value, and the gradient by all parameters, of rows that lack modalities."""
    observed = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0], [1, 1]]).astype(bool)
    model = world.model("diagonal_gaussian", False, 0.4, subsets=Subsets.singletons)
    value = objective(model, world.batch(observed), RowNoise(seed, torch.arange(world.n)))
    parameters = [p for p in model.parameters() if p.requires_grad]
    parts = torch.autograd.grad(value.sum(), parameters, materialize_grads=True)
    return value.detach(), torch.cat([part.flatten() for part in parts])


def test_networks_that_change_or_are_unknown_are_not_asked_twice():
    class Own(nn.Linear):
        """Somebody's network."""

    assert iwae._gives_the_same_again(nn.Linear(1, 1))
    assert iwae._gives_the_same_again(LinearPlus(1, 1))
    for module in (Own(1, 1), nn.Dropout(), nn.BatchNorm1d(1), LinearPlus(1, 1, dropout=0.1)):
        assert not iwae._gives_the_same_again(module)


@pytest.mark.parametrize("gradient", ["iwae", "dreg"])
@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_a_second_look_at_all_draws_changes_nothing(few_draws, gradient, mixture):
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=6)
    objective = IWAE(n_samples=5, gradient=gradient, mixture=mixture)
    whole = gradients_of(world, objective, 0)
    few_draws(small=0.0)
    for ours, theirs in zip(gradients_of(world, objective, 0), whole, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("mixture", ["tight", "loose"])
def test_draws_that_stand_in_for_others_leave_the_mean_of_the_gradient(few_draws, mixture):
    world = LinearGaussian(widths=(3, 2), latent_dim=2, n=6)
    objective = IWAE(n_samples=5, gradient="dreg", mixture=mixture)
    whole = [gradients_of(world, objective, seed) for seed in range(120)]
    few_draws(small=1.0)
    differences = []
    for seed, (value, gradient) in enumerate(whole):
        same, other = gradients_of(world, objective, seed)
        torch.testing.assert_close(same, value)
        differences.append(other - gradient)
    differences = torch.stack(differences)
    spread = differences.std(0) / len(differences) ** 0.5
    assert (spread > 0).any()
    assert (differences.mean(0).abs() <= 4.5 * spread + 1e-12).all()


@pytest.mark.parametrize("cls", [MIWAE, MMVAE, MMVAEPlus])
def test_fits_with_a_second_look_are_the_same(few_draws, cls):
    X = named(usual(40, (3, 2)))
    X["b"][::3] = np.nan
    est = small(cls, **FAST, dtype="float64")
    whole = clone(est).fit(X)
    few_draws(small=0.0)
    np.testing.assert_allclose(est.fit(X).score_samples(X), whole.score_samples(X), rtol=1e-9)
