"""Draws, densities and divergences on the sphere, against closed forms and ball arithmetic."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import kl_divergence

from skpoe.distributions import (
    HypersphericalUniform,
    PowerSpherical,
    VonMisesFisher,
    first_accepted,
    kl_to_uniform,
    log_area,
    log_normalizer,
    mean_ratio,
    mean_resultant_length,
    mean_shortfall,
    mean_slope,
    vmf_kl,
    vmf_log_prob,
    vmf_sample,
)
from skpoe.distributions.pathwise import NaturalPath, radial_field, tangential_field

REFERENCE = np.load(Path(__file__).parent / "references" / "bessel.npz")
SIZES = [0.01, 1.0, 5.0, 30.0, 1e3, 1e6]
CELLS = [(dim, kappa) for dim in (2, 3, 5, 21, 1024) for kappa in SIZES]
# where a published sampler draws from another distribution
KNOWN_TO_FAIL = [(51, 12.0), (51, 50.0), (201, 12.0), (201, 100.0)]
FEW = [2, 3, 5, 10, 21, 51]


def f64(x):
    return torch.tensor(x, dtype=torch.float64)


def unit(dim, seed=0, dtype=torch.float64):
    v = torch.randn(dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (v / v.norm()).to(dtype)


def uniforms(*shape, generator):
    """Numbers on a grid of 2^-23, as skpoe.random makes them."""
    return (torch.randint(2**23, shape, generator=generator) + 0.5) / 2.0**23


def falls(kappa, dim, n, generator):
    """Draw n times 1 - mu.x."""
    q, done = first_accepted(f64(kappa), dim, uniforms(8, 3, n, generator=generator))
    while not done.all():
        new, accepted = first_accepted(f64(kappa), dim, uniforms(8, 3, n, generator=generator))
        q, done = torch.where(done, q, new), done | accepted
    return q


def ks(q, kappa, dim):
    """P-value of 1 - mu.x, whose distribution function is integrated along the angle."""
    angle = np.geomspace(1e-8, np.pi, 100_000)
    log = (dim - 2) * np.log(np.sin(angle[:-1])) - 2 * kappa * np.sin(angle[:-1] / 2) ** 2
    density = np.append(np.exp(log - log.max()), float(dim == 2) * np.exp(-2 * kappa - log.max()))
    mass = np.append(0, np.cumsum((density[1:] + density[:-1]) * np.diff(angle)))
    sample = 2 * np.arcsin(np.sqrt(q.numpy() / 2))
    return stats.kstest(sample, lambda a: np.interp(a, angle, mass / mass[-1])).pvalue


def z_score(values, truth):
    values = values.double()
    return ((values.mean() - truth) / (values.std() / math.sqrt(len(values)))).abs().item()


# --- how a draw falls below its mode -----------------------------------------------------------


@pytest.mark.parametrize("n", [20_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_falls_have_the_right_distribution(n, generator):
    p = [ks(falls(kappa, dim, n, generator), kappa, dim) for dim, kappa in CELLS + KNOWN_TO_FAIL]
    assert min(p) >= 1e-5
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("dim", "kappa"), CELLS + KNOWN_TO_FAIL)
def test_mean_fall(dim, kappa, generator):
    q = falls(kappa, dim, 100_000, generator)
    assert z_score(q, mean_shortfall(f64(kappa), dim)) < 5


@pytest.mark.parametrize("dim", [*FEW, 201, 4096])
@pytest.mark.parametrize("kappa", [0.0, 1e-30, 1e-4, 1.0, 30.0, 1e6, 1e12])
def test_most_proposals_are_accepted(dim, kappa, generator):
    q, accepted = first_accepted(
        torch.tensor(kappa), dim, uniforms(1, 3, 20_000, generator=generator)
    )
    assert accepted.double().mean() > 0.63
    assert ((q > 0) & (q <= 2)).all()


def test_the_first_accepted_proposal_is_taken():
    kappa = torch.full((500,), 7.0)
    numbers = uniforms(5, 3, 500, generator=torch.Generator().manual_seed(0))
    singles = [first_accepted(kappa, 4, numbers[j : j + 1]) for j in range(5)]
    q, accepted = first_accepted(kappa, 4, numbers)
    for i in range(500):
        hits = [j for j in range(5) if singles[j][1][i]]
        assert q[i] == singles[hits[0] if hits else -1][0][i]
        assert accepted[i] == bool(hits)
    q, accepted = first_accepted(f64(1e3), 4, torch.full((3, 3, 1), 1 - 2.0**-24).double())
    assert not accepted
    assert q > 0


@pytest.mark.parametrize("dim", [2, 4, 5, 51])
@pytest.mark.parametrize("per_axis", [0.3, 1.0, 8.0, 200.0])
def test_proposals_and_their_acceptance_are_those_of_wood(dim, per_axis, generator):
    """From the same numbers as at kappa = 0, where the fall is twice the beta variable."""
    kappa = per_axis * dim
    numbers = uniforms(1, 3, 400, generator=generator).double()
    b = (math.hypot(2 * kappa, dim - 1) - 2 * kappa) / (dim - 1)
    beta = first_accepted(f64(0.0), dim, numbers)[0] / 2
    w = (1 - (1 + b) * beta) / (1 - (1 - b) * beta)
    q, _ = first_accepted(f64(kappa), dim, numbers)
    torch.testing.assert_close(1 - q, w)
    x = (1 - b) / (1 + b)
    log = kappa * (w - x) + (dim - 1) * (torch.log1p(-x * w) - math.log1p(-x * x))
    clear = (log < -1e-4) & (log > -500)  # neither always accepted nor below all numbers
    assert clear.double().mean() > 0.5
    for factor, wanted in [(1 - 1e-6, True), (1 + 1e-6, False)]:
        numbers[0, 2] = torch.where(clear, log.exp() * factor, 0.5)
        assert (first_accepted(f64(kappa), dim, numbers)[1][clear] == wanted).all()


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_zero_concentration_is_a_symmetric_beta(dim, generator):
    q = falls(0.0, dim, 20_000, generator)
    assert stats.kstest(q.numpy() / 2, stats.beta((dim - 1) / 2, (dim - 1) / 2).cdf).pvalue > 1e-3


def test_uniforms_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"uniforms must have shape \(J, 3, ...\); got \(2, 9\)"):
        first_accepted(torch.ones(9), 4, torch.rand(2, 9))
    with pytest.raises(ValueError, match="dim must be at least 2"):
        first_accepted(torch.ones(9), 1, torch.rand(2, 3, 9))


# --- the fields along which draws move ---------------------------------------------------------


def test_radial_field():
    for dim in np.unique(REFERENCE["radial"][:, 0]):
        rows = torch.tensor(REFERENCE["radial"][REFERENCE["radial"][:, 0] == dim])
        field = radial_field(rows[:, 2], rows[:, 1], int(dim))
        assert (field / rows[:, 3] - 1).abs().max() <= 2e-8


def test_tangential_field():
    for dim in np.unique(REFERENCE["tangential"][:, 0]):
        rows = torch.tensor(REFERENCE["tangential"][REFERENCE["tangential"][:, 0] == dim])
        q = torch.where(rows[:, 1] < 0, 1.5, 0.5).double()
        field = tangential_field(q, rows[:, 1] / (1 - q), int(dim))
        assert (field / rows[:, 2] - 1).abs().max() <= 1e-9


def test_radial_field_is_the_derivative_of_the_inverse_in_three_dimensions():
    kappa = torch.logspace(-1, 4, 40, dtype=torch.float64)[:, None].requires_grad_()
    u = torch.linspace(1e-3, 1 - 1e-3, 50, dtype=torch.float64).expand(40, 50)
    q = -torch.log1p(u * torch.expm1(-2 * kappa)) / kappa
    # one output at a time, so one derivative at a time
    slope = torch.stack([torch.autograd.grad(c.sum(), kappa, retain_graph=True)[0] for c in q.T])
    slope = slope[..., 0].T
    q, field = q.detach(), radial_field(q.detach(), kappa.detach(), 3)
    assert (slope / (-q * (2 - q) * field) - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("dim", [2, 3, 21, 1024])
def test_fields_are_finite_everywhere(dim):
    q = f64([1e-300, 1e-20, 1e-8, 0.5, 1.0, 1.9, 2.0])[:, None]
    kappa = f64([0.0, 1e-30, 1e-8, 1.0, 1e3, 1e15])
    assert radial_field(q, kappa, dim).isfinite().all()
    assert tangential_field(q, kappa, dim).isfinite().all()
    ends = radial_field(f64([1e-300, 2.0]), f64(3.0), dim)
    a = mean_resultant_length(f64(3.0), dim)
    torch.testing.assert_close(ends, torch.stack([1 - a, 1 + a]) / (dim - 1), rtol=1e-8, atol=0)


@pytest.mark.parametrize("dim", FEW)
@pytest.mark.parametrize("kappa", [0.01, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4])
def test_gradients_of_the_mean(dim, kappa, generator):
    """The mean has the derivative A' along the mode, and A / kappa across it."""
    n, mu, across = 20_000, torch.eye(dim)[0].double(), torch.eye(dim)[1].double()
    eta = (kappa * mu).expand(n, dim).clone().requires_grad_()
    q = falls(kappa, dim, n, generator)
    normals = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    x = NaturalPath.apply(eta, q, normals)
    (grad,) = torch.autograd.grad((x @ mu).sum(), eta, retain_graph=True)
    assert z_score(grad @ mu, mean_slope(f64(kappa), dim)) < 5
    (grad,) = torch.autograd.grad((x @ across).sum(), eta)
    assert z_score(grad @ across, mean_ratio(f64(kappa), dim)) < 5


@pytest.mark.slow
@pytest.mark.parametrize("dim", [*FEW, 201])
@pytest.mark.parametrize("kappa", [1e-4, 0.01, 0.1, 1.0, 3.0, 10.0, 12.0, 50.0, 100.0, 1e3, 1e4])
def test_gradients_of_the_mean_and_beyond(dim, kappa, generator):
    """Of mu.x, and of its square, whose mean is 1 - (dim - 1) A / kappa."""
    q = falls(kappa, dim, 100_000, generator)
    speed = q * (2 - q) * radial_field(q, f64(kappa), dim)
    assert z_score(speed, mean_slope(f64(kappa), dim)) < 5
    k = f64(kappa).requires_grad_()
    (truth,) = torch.autograd.grad(-(dim - 1) * mean_ratio(k, dim), k)
    assert z_score(2 * (1 - q) * speed, truth) < 5


@pytest.mark.parametrize("dim", [2, 5, 21])
def test_gradients_are_bounded_near_the_uniform_distribution(dim, generator):
    direction, spread = unit(dim), []
    for kappa in [1.0, 1e-2, 1e-4, 1e-8, 1e-30, 0.0]:
        eta = (kappa * direction).expand(5000, dim).clone().requires_grad_()
        q = falls(kappa, dim, 5000, generator)
        x = NaturalPath.apply(eta, q, torch.randn(5000, dim, generator=generator))
        (x[:, 0] * (1 + x[:, 1])).sum().backward()
        spread.append(eta.grad.std(0).max().item())
    assert max(spread) <= 2 / (dim - 1)
    assert max(spread) <= 1.2 * spread[0]


def test_zero_is_the_uniform_distribution_in_value_and_gradient():
    eta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    vmf, uniform = VonMisesFisher(eta=eta), HypersphericalUniform(4, dtype=torch.float64)
    points = uniform.sample((6,))
    torch.testing.assert_close(vmf.log_prob(points), uniform.log_prob(points))
    torch.testing.assert_close(vmf.entropy(), uniform.entropy())
    assert kl_divergence(vmf, uniform) == 0
    x, g = vmf.rsample((1,))[0], f64([1.0, -2.0, 0.5, 3.0])
    (grad,) = torch.autograd.grad(x @ g, eta)
    x = x.detach()
    torch.testing.assert_close(grad, (g - (g @ x) * x) / 3, rtol=1e-9, atol=1e-9)
    (grad,) = torch.autograd.grad(vmf.log_prob(points[0]), eta)
    torch.testing.assert_close(grad, points[0])
    for value in (vmf.entropy(), kl_divergence(vmf, uniform)):
        assert torch.equal(torch.autograd.grad(value, eta)[0], torch.zeros(4).double())


# --- draws from outside noise ------------------------------------------------------------------


def noise(shape, dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(*shape, dim, generator=generator)
    rounds = [uniforms(4, 3, *shape, generator=generator) for _ in range(10)]
    return rounds.__getitem__, normals


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_draws_are_a_pure_function_of_noise_and_of_their_own_row(dim):
    source, normals = noise((6, 40), dim)
    eta = 5 * torch.randn(40, dim, generator=torch.Generator().manual_seed(1))
    x = vmf_sample(eta, source, normals)
    assert x.shape == (6, 40, dim)
    assert torch.equal(x, vmf_sample(eta, source, normals))
    some = vmf_sample(eta[3:9], lambda r: source(r)[..., 3:9], normals[:, 3:9])
    assert torch.equal(some, x[:, 3:9])


def test_rounds_go_on_until_all_are_accepted():
    source, normals = noise((3000,), 5)
    calls = []

    def single(r):
        calls.append(r)
        return source(r)[:1]

    eta = torch.full((5,), 1e3)
    one = vmf_sample(eta, single, normals, max_rounds=1)
    assert calls == [0]
    many = vmf_sample(eta, single, normals)
    assert calls[1:] == list(range(len(calls) - 1))
    assert len(calls) > 4
    assert (one != many).any(-1).double().mean() < 0.4


def test_rounds_of_four_are_few():
    for dim, kappa in CELLS:
        source, normals = noise((500,), dim)
        calls = []
        eta = torch.zeros(dim)
        eta[0] = kappa
        vmf_sample(
            eta, lambda r, calls=calls, source=source: calls.append(r) or source(r), normals
        )
        assert len(calls) <= 10


def test_gradients_of_broadcast_parameters():
    source, normals = noise((7, 4), 5)
    weight = torch.randn(7, 4, 5)
    one = (torch.arange(5.0) - 1).requires_grad_()
    many = one.detach().expand(7, 4, 5).clone().requires_grad_()
    (vmf_sample(one, source, normals) * weight).sum().backward()
    (vmf_sample(many, source, normals) * weight).sum().backward()
    torch.testing.assert_close(one.grad, many.grad.sum((0, 1)))


@pytest.mark.parametrize("dim", [3, 5, 9])
def test_directions_around_the_mode_are_uniform(dim):
    mu = unit(dim)
    x = vmf_sample(4 * mu, *noise((20_000,), dim))
    side = x - (x @ mu)[:, None] * mu
    other = unit(dim, 1)
    other = other - (other @ mu) * mu
    cosine = (side / side.norm(dim=-1, keepdim=True)) @ (other / other.norm())
    law = stats.beta((dim - 2) / 2, (dim - 2) / 2)
    assert stats.kstest((1 + cosine.numpy()) / 2, law.cdf).pvalue > 1e-3
    assert (x.norm(dim=-1) - 1).abs().max() < 1e-14


@pytest.mark.parametrize("dim", [2, 3, 5, 51])
def test_single_precision_at_a_high_concentration(dim):
    vmf = VonMisesFisher(unit(dim, dtype=torch.float32), torch.tensor(1e6))
    x = vmf.sample((4000,))
    assert x.dtype == torch.float32
    assert (x.norm(dim=-1) - 1).abs().max() < 1e-6
    q = 0.5 * (x.double() - vmf.loc.double()).square().sum(-1)
    assert ((q > 0) & (q <= 2)).all()
    assert q.mean().item() == pytest.approx(mean_shortfall(f64(1e6), dim).item(), rel=0.1)


# --- densities and divergences -----------------------------------------------------------------


@pytest.mark.parametrize("dim", [2, 3, 5, 21])
@pytest.mark.parametrize("kappa", [0.1, 3.0, 40.0])
def test_density_and_entropy(dim, kappa):
    mu = unit(dim)
    theirs = stats.vonmises_fisher(mu.numpy(), kappa)
    points = theirs.rvs(20, random_state=0)
    vmf = VonMisesFisher(mu, f64(kappa))
    np.testing.assert_allclose(vmf.log_prob(f64(points)), theirs.logpdf(points), rtol=1e-8)
    assert vmf.entropy().item() == pytest.approx(theirs.entropy(), rel=1e-8)
    natural = VonMisesFisher(eta=kappa * mu)
    torch.testing.assert_close(natural.log_prob(f64(points)), vmf.log_prob(f64(points)))
    torch.testing.assert_close(natural.concentration, vmf.concentration)
    torch.testing.assert_close(natural.loc, mu)
    assert kl_divergence(natural, VonMisesFisher(eta=kappa * mu)) == 0
    torch.testing.assert_close(natural.mean, mean_resultant_length(f64(kappa), dim) * mu)


@pytest.mark.parametrize(("kappa", "bound"), [(1e2, 1e-5), (1e4, 2e-5), (1e6, 2e-4)])
def test_single_precision_densities_keep_their_digits(kappa, bound):
    mu = unit(5, dtype=torch.float32)
    vmf = VonMisesFisher(mu, torch.tensor(kappa))
    x = vmf.sample((2000,))
    exact_mu = mu.double() / mu.double().norm()
    exact = VonMisesFisher(exact_mu, f64(kappa)).log_prob(
        x.double() / x.double().norm(dim=-1)[:, None]
    )
    assert (vmf.log_prob(x) - exact).abs().max() < bound


def test_entropy_of_single_precision():
    for dim in (2, 3, 21, 1024):
        for kappa in (1e-8, 0.5, 30.0, 1e5):
            ours = VonMisesFisher(unit(dim, dtype=torch.float32), torch.tensor(kappa)).entropy()
            kappa = torch.tensor(kappa).double()
            wanted = (log_area(dim) - kl_to_uniform(kappa, dim)).item()
            assert abs(ours.item() - wanted) <= 2e-7 * max(1, abs(wanted))


@pytest.mark.parametrize("kappa", [0.4, 20.0])
def test_gradients_of_the_density(kappa):
    eta = (kappa * unit(4)).requires_grad_()
    x = HypersphericalUniform(4, dtype=torch.float64).sample((3,)).requires_grad_()
    assert torch.autograd.gradcheck(vmf_log_prob, (eta, x))
    assert torch.autograd.gradgradcheck(vmf_log_prob, (eta, x.detach()))


def modes(half):
    """Unit vectors whose angle has twice the given sine of its half."""
    return f64([1.0, 0.0]), f64([1 - 2 * half**2, 2 * half * math.sqrt(1 - half**2)])


def test_divergence_of_two():
    table = REFERENCE["vmf_kl"]
    for dim in np.unique(table[:, 0]):
        rows = table[table[:, 0] == dim]
        modes_q, modes_p = zip(*(modes(half) for half in rows[:, 3]), strict=True)
        q = f64(rows[:, 1:2]) * torch.nn.functional.pad(torch.stack(modes_q), (0, int(dim) - 2))
        p = f64(rows[:, 2:3]) * torch.nn.functional.pad(torch.stack(modes_p), (0, int(dim) - 2))
        assert (vmf_kl(q, p) / f64(rows[:, 4]) - 1).abs().max() <= 1e-11


@pytest.mark.parametrize("kappa", [1e-6, 1.0, 50.0, 1e5])
def test_divergence_of_almost_the_same(kappa):
    eta, slope = kappa * unit(5), mean_slope(f64(kappa), 5)
    for step in (1e-15, 1e-9, 1e-6, 1e-4):
        wanted = 0.5 * slope * (step * kappa) ** 2
        value = vmf_kl(eta, eta * (1 + step))
        assert value >= 0
        assert abs(value - wanted) <= 2 * step * wanted + 4e-15 * min(1, kappa)


@pytest.mark.parametrize("sizes", [(0.3, 2.0), (5.0, 0.1), (30.0, 40.0)])
def test_gradients_of_the_divergence_of_two(sizes):
    q = (sizes[0] * torch.stack([unit(4), unit(4, 1)])).requires_grad_()
    p = (sizes[1] * unit(4, 2)).requires_grad_()
    assert torch.autograd.gradcheck(vmf_kl, (q, p))
    assert torch.autograd.gradgradcheck(vmf_kl, (q, p))


@pytest.mark.parametrize("dim", [2, 5])
def test_divergence_is_regular_at_zero(dim):
    zero, other = torch.zeros(dim, dtype=torch.float64, requires_grad=True), 3 * unit(dim)
    mean = mean_ratio(f64(3.0), dim) * other
    value = vmf_kl(zero, other)
    torch.testing.assert_close(value, log_normalizer(f64(3.0), dim))
    torch.testing.assert_close(torch.autograd.grad(value, zero)[0], -other / dim)
    value = vmf_kl(other, zero)
    torch.testing.assert_close(value, kl_to_uniform(f64(3.0), dim))
    torch.testing.assert_close(torch.autograd.grad(value, zero)[0], -mean)
    assert vmf_kl(zero, zero) == 0
    grads = torch.autograd.grad(vmf_kl(zero, zero.clone()), zero)
    assert torch.equal(grads[0], torch.zeros(dim).double())
    (grad,) = torch.autograd.grad(vmf_kl(zero, other), zero, create_graph=True)
    assert torch.autograd.grad(grad.sum(), zero)[0].isfinite().all()


def test_divergences_by_name_and_by_monte_carlo():
    torch.manual_seed(0)
    q = VonMisesFisher(unit(5), f64(8.0))
    p = VonMisesFisher(eta=4 * unit(5, 1))
    uniform = HypersphericalUniform(5, dtype=torch.float64)
    spherical = PowerSpherical(unit(5), f64(3.0))
    for a, b in [(q, p), (q, uniform), (spherical, uniform)]:
        x = a.sample((20_000,))
        assert z_score(a.log_prob(x) - b.log_prob(x), kl_divergence(a, b)) < 5
        x = a.sample((20_000,))
        assert z_score(-a.log_prob(x), a.entropy()) < 5
    torch.testing.assert_close(kl_divergence(q, VonMisesFisher(eta=q.eta)).abs(), f64(0.0))
    with pytest.raises(ValueError, match="The spheres differ: 5 and 4 axes"):
        kl_divergence(q, HypersphericalUniform(4))


# --- Power Spherical and uniform ---------------------------------------------------------------


def test_power_spherical_divergence():
    worst = {1: 0.0, 2: 0.0}
    for dim, kappa, wanted in REFERENCE["power_spherical_kl"]:
        ps = PowerSpherical(unit(int(dim)), kappa)
        value = kl_divergence(ps, HypersphericalUniform(int(dim))).item()
        worst[1] = max(worst[1], abs(value / wanted - 1))
        entropy = log_area(int(dim)) - wanted
        worst[2] = max(worst[2], abs(ps.entropy().item() - entropy) / max(1, abs(entropy)))
    assert worst[1] <= 1e-9
    assert worst[2] <= 1e-9


@pytest.mark.parametrize("dim", [2, 5, 21])
@pytest.mark.parametrize("kappa", [0.01, 0.4, 2.5, 60.0])
def test_power_spherical_derivatives(dim, kappa):
    kappa = f64(kappa).requires_grad_()
    uniform = HypersphericalUniform(dim)

    def divergence(k):
        return kl_divergence(PowerSpherical(unit(dim), k, validate_args=False), uniform)

    assert torch.autograd.gradcheck(divergence, kappa)
    assert torch.autograd.gradgradcheck(divergence, kappa)


def test_power_spherical_is_flat_at_zero():
    ps = PowerSpherical(unit(4), f64(0.0).requires_grad_())
    value = kl_divergence(ps, HypersphericalUniform(4))
    assert value == 0
    assert torch.autograd.grad(value, ps.concentration)[0] == 0
    torch.testing.assert_close(ps.log_prob(unit(4, 1)).item(), -log_area(4))


@pytest.mark.parametrize("dim", [2, 5, 21])
@pytest.mark.parametrize("kappa", [0.1, 5.0, 1e4])
def test_power_spherical_draws(dim, kappa):
    torch.manual_seed(dim)
    kappa = f64(kappa).requires_grad_()
    mu = unit(dim).expand(20_000, dim).clone().requires_grad_()
    x = PowerSpherical(mu, kappa).rsample()
    q = 0.5 * (x - mu).square().sum(-1).detach().numpy()
    law = stats.beta((dim - 1) / 2, (dim - 1) / 2 + kappa.item())
    assert stats.kstest(q / 2, law.cdf).pvalue > 1e-3
    other = unit(dim, 3)
    across = other - (other @ unit(dim)) * unit(dim)
    (grad,) = torch.autograd.grad((x @ other).sum(), mu)
    length = (kappa / (kappa + dim - 1)).detach()
    assert z_score(grad @ across, length * (across @ across)) < 5
    torch.testing.assert_close(PowerSpherical(unit(dim), kappa).mean, length * unit(dim))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dim", "kappa"), [(2, 1.0), (5, 0.1), (5, 30.0), (5, 1e6), (51, 1e4)])
def test_power_spherical_gradient_of_the_mean(dim, kappa, dtype):
    """Its derivative is (dim - 1) / (kappa + dim - 1)^2, in single precision too."""
    torch.manual_seed(0)
    kappas = torch.full((20_000,), kappa, dtype=dtype, requires_grad=True)
    mu = torch.eye(dim, dtype=dtype)[0]
    x = PowerSpherical(mu, kappas).rsample()
    (grad,) = torch.autograd.grad((x @ mu).sum(), kappas)
    assert z_score(grad, (dim - 1) / (kappa + dim - 1) ** 2) < 5


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_uniform(dim):
    torch.manual_seed(0)
    uniform = HypersphericalUniform(dim, (2,), dtype=torch.float64)
    x = uniform.rsample((10_000,))
    assert x.shape == (10_000, 2, dim)
    law = stats.beta((dim - 1) / 2, (dim - 1) / 2)
    assert stats.kstest((1 + x[:, 1] @ unit(dim)).numpy() / 2, law.cdf).pvalue > 1e-3
    assert torch.equal(uniform.mean, torch.zeros(2, dim).double())
    torch.testing.assert_close(uniform.entropy(), torch.full((2,), log_area(dim)).double())
    assert uniform.log_prob(x).shape == (10_000, 2)


# --- the interface of torch --------------------------------------------------------------------


def made(dtype):
    loc = torch.stack([unit(4, s, dtype) for s in range(6)]).view(2, 3, 4)
    return [
        VonMisesFisher(loc, torch.arange(3, dtype=dtype)),
        VonMisesFisher(eta=2 * loc),
        VonMisesFisher(loc, 2.5),
        PowerSpherical(loc, torch.arange(3, dtype=dtype)),
        HypersphericalUniform(4, (2, 3), dtype=dtype),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", range(5))
def test_interface(which, dtype):
    d = made(dtype)[which]
    assert d.has_rsample
    assert d.batch_shape == (2, 3)
    assert d.event_shape == (4,)
    x = d.sample((7,))
    assert not x.requires_grad
    assert x.shape == (7, 2, 3, 4)
    assert d.mean.shape == (2, 3, 4)
    assert d.log_prob(x).shape == (7, 2, 3)
    assert d.entropy().shape == (2, 3)
    for value in (x, d.mean, d.log_prob(x), d.entropy()):
        assert value.dtype == dtype
    wide = d.expand((5, 2, 3))
    assert wide.batch_shape == (5, 2, 3)
    assert wide.sample((7,)).shape == (7, 5, 2, 3, 4)
    torch.testing.assert_close(
        wide.log_prob(x[:, None]), d.log_prob(x)[:, None].expand(7, 5, 2, 3)
    )
    assert kl_divergence(wide, HypersphericalUniform(4)).shape == (5, 2, 3) if which < 4 else True
    assert type(d).__name__ in repr(d)
    with pytest.raises(ValueError, match="support"):
        d.log_prob(2 * x)


def test_a_distribution_can_be_differentiated_again_and_again():
    loc, kappa = unit(4).requires_grad_(), f64(2.0).requires_grad_()
    vmf = VonMisesFisher(loc, kappa)
    for _ in range(2):
        (vmf.rsample().sum() + vmf.entropy() + vmf.mean.sum()).backward()
    assert loc.grad.isfinite().all()
    assert kappa.grad.isfinite()


def test_sample_moves_with_the_concentration():
    """The gradient by (loc, concentration) is that by eta, along and across the mode."""
    torch.manual_seed(0)
    kappa = torch.full((20_000,), 6.0, dtype=torch.float64, requires_grad=True)
    x = VonMisesFisher(unit(5), kappa).rsample()
    (grad,) = torch.autograd.grad((x @ unit(5)).sum(), kappa)
    assert z_score(grad, mean_slope(f64(6.0), 5)) < 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VonMisesFisher(), "Give both loc and concentration, or eta"),
        (lambda: VonMisesFisher(torch.ones(3)), "Give both loc and concentration, or eta"),
        (lambda: VonMisesFisher(torch.ones(3), 1.0, eta=torch.ones(3)), "not both"),
        (lambda: VonMisesFisher(eta=torch.ones(1)), r"eta must have shape \(..., d\), d >= 2"),
        (lambda: VonMisesFisher(torch.tensor(1.0), 1.0), "loc must have shape"),
        (lambda: VonMisesFisher(torch.ones(3), 1.0), "Expected parameter loc"),
        (lambda: VonMisesFisher(unit(3), -1.0), "Expected parameter concentration"),
        (lambda: VonMisesFisher(eta=torch.full((3,), math.nan)), "Expected parameter eta"),
        (
            lambda: VonMisesFisher(unit(3).expand(2, 3), torch.ones(4)),
            r"concentration has shape \(4,\), which does not broadcast with the batch \(2,\)",
        ),
        (lambda: PowerSpherical(torch.ones(3), 1.0), "Expected parameter loc"),
        (lambda: PowerSpherical(unit(3), -1.0), "Expected parameter concentration"),
        (lambda: HypersphericalUniform(1), "dim must be at least 2, the circle; got 1"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()
