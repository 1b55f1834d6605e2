"""Shorter ways that families take must lead to where the long ones do, gradients included."""

import pytest
import torch

from skpoe.likelihoods import LIKELIHOODS
from skpoe.posteriors import FAMILIES, DiagonalGaussian
from skpoe.posteriors.base import Family
from skpoe.priors import Laplace, ScaledGaussian, UniformSphere
from skpoe.random import RowNoise

S, N, F, D = 2, 40, 7, 4
SHORT = ["diagonal_gaussian", "full_gaussian"]


def said(name, few):
    """What an encoder says of two subsets, and what these show; the last rows show nothing."""
    generator = torch.Generator().manual_seed(0)
    family = FAMILIES[name]()
    raw = torch.randn(S, N, family.n_outputs(D), generator=generator, dtype=torch.float64)
    masks = torch.rand(S, 2 if few else N, F, generator=generator) < 0.5
    masks = masks.repeat_interleave(N // masks.shape[1], dim=1)
    masks[:, -3:] = False
    if family.prior_kind == "laplace":
        prior = Laplace(D, learn_scale=False)
    elif family.prior_kind == "gaussian":
        prior = ScaledGaussian(D)
    else:
        prior = UniformSphere(D // 2, 1)
    natural = {leaf: value.detach() for leaf, value in prior.double().natural().items()}
    if "precision" in natural:
        natural["precision"] = natural["precision"] * torch.tensor([0.5, 1.0, 2.0, 4.0])
        natural["h"] = torch.arange(D).double()
    shared = family.shared(F, D, generator)
    if shared is None:
        return family, raw.requires_grad_(), (masks.any(-1), natural)
    shared = shared.double().requires_grad_()
    return family, raw.requires_grad_(), (masks.any(-1), natural, shared, masks)


def gradients(value, *leaves):
    weights = torch.linspace(-1, 1, value.numel()).view_as(value)
    return torch.autograd.grad((value * weights).sum(), leaves, materialize_grads=True)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_posterior_read_off_is_the_product_of_one_expert(name, few):
    family, raw, (shown, prior, *rest) = said(name, few)
    noise = RowNoise(0, torch.arange(N))
    both = []
    for params in (
        family.read(raw, shown, prior, *rest),
        Family.read(family, raw, shown, prior, *rest),
    ):
        z = family.rsample(params, family.noise(noise, 3, params))
        density = family.log_prob(params, family.place(torch.ones_like(z)))
        both.append([z, density, *gradients(z, raw, *rest[:1])])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("name", SHORT)
def test_the_density_of_draws_is_that_of_their_noise(name, few):
    family, raw, given = said(name, few)
    both = []
    for direct in (True, False):
        params = family.read(raw, *given)
        noise = family.noise(RowNoise(0, torch.arange(N)), 3, params)
        if direct:
            density = family.log_prob_of(params, noise)
        else:
            density = family.log_prob(params, family.rsample(params, noise))
        both.append([density, *gradients(density, raw, *given[2:3])])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - set(SHORT)))
def test_families_without_a_shorter_way_say_so(name):
    family, raw, given = said(name, False)
    params = family.read(raw, *given)
    noise = family.noise(RowNoise(0, torch.arange(N)), 3, params)
    assert family.log_prob_of(params, noise) is None


@pytest.mark.parametrize("name", SHORT)
def test_a_family_made_of_another_takes_no_shorter_way(name):
    """It may override any part of the long one."""
    family, raw, given = said(name, False)

    class Own(type(family)):
        def experts(self, raw, *args):
            return super().experts(2 * raw, *args)

        def kl(self, params, other):
            return super().kl(params, other) + 1.0

        def log_prob(self, params, z):
            return super().log_prob(params, z) + 1.0

    ours, theirs = Own().read(raw, *given), family.read(2 * raw, *given)
    torch.testing.assert_close(ours["mean"], theirs["mean"])
    noise = family.noise(RowNoise(0, torch.arange(N)), 3, ours)
    assert Own().log_prob_of(ours, noise) is None
    divergence = family.prior_kl(theirs, given[1])
    torch.testing.assert_close(Own().prior_kl(theirs, given[1]), divergence + 1.0)


@pytest.mark.parametrize("n_rows", [1, N])
@pytest.mark.parametrize("name", sorted(n for n in FAMILIES if FAMILIES[n].has_products))
def test_subsets_that_are_those_of_all_rows_may_be_expanded(name, n_rows):
    """Whatever is asked of the posteriors then, for a prior that is not the usual one."""
    generator = torch.Generator().manual_seed(1)
    family, _, (_, prior, *_) = said(name, False)
    raw = torch.randn(n_rows, 3, family.n_outputs(D), generator=generator, dtype=torch.float64)
    shared = family.shared(F, D, generator)
    shared = None if shared is None else [shared.double()] * 3
    powers = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]]).bool()[:, None]
    powers = powers.expand(-1, n_rows, -1)
    both = []
    for each in (powers, powers.contiguous()):
        params = family.product_with_prior(family.experts(raw, shared), each, prior)
        z = family.rsample(params, family.noise(RowNoise(0, torch.arange(n_rows)), 3, params))
        one = {leaf: v if len(v) == 1 else v[:1] for leaf, v in params.items()}
        asked = [family.mean(params), z, family.log_prob(params, z)]
        if family.has_kl:
            asked += [family.kl(one, params), family.kl(params, one)]
        if family.has_prior_kl:
            asked += [family.prior_kl(params, prior), family.kl(params, family.at(prior))]
            torch.testing.assert_close(*asked[-2:])
        of_rows = [a.expand(*a.shape[:-1], n_rows) for a in asked[2:]]
        both.append([*asked[:2], *of_rows])
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs)


KINDS = [
    kind
    for kind in (*FAMILIES.values(), *LIKELIHOODS.values())
    if any("shortcuts" in vars(above) for above in kind.__mro__)
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_changes_the_long_way_loses_the_short_one(kind):
    ways = {}
    for above in reversed(kind.__mro__):
        ways |= vars(above).get("shortcuts", {})
    for name, way in ways.items():
        for step in way:
            own = {step: getattr(kind, step), name: getattr(kind, name)}
            changed = type("Changed", (kind,), {step: own[step]})
            assert getattr(changed, name) is not own[name]
            assert getattr(type("Further", (changed,), {}), name) is getattr(changed, name)
            assert getattr(type("Both", (kind,), own), name) is own[name]
        assert getattr(type("Same", (kind,), {}), name) is getattr(kind, name)


def test_a_family_that_multiplies_in_its_own_way_does_so_with_a_prior_too():
    class Cautious(DiagonalGaussian):
        def product(self, experts, membership):
            made = super().product(experts, membership)
            return {**made, "precision": made["precision"] / 2}

    raw, (shown, natural) = said("diagonal_gaussian", False)[1:]
    experts = Cautious().experts(raw.detach()[0, :, None])
    powers = shown[:1, :, None].double()
    usual, own = (
        family.product_with_prior(experts, powers, natural)
        for family in (DiagonalGaussian(), Cautious())
    )
    torch.testing.assert_close(own["precision"], usual["precision"] / 2)
