"""What objectives are, against closed forms, quadrature and brute force in numpy."""

import itertools

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from skpoe.data.batch import Batch
from skpoe.objectives import ELBO, IWAE, JVI, OBJECTIVES, AlignedELBO, SubsetELBO
from skpoe.objectives.jvi import _MOST_SUBSETS, _left_out, coefficients, jackknife
from skpoe.random import RowNoise
from skpoe.subsets import Subsets

M = 3
PATTERNS = np.array(list(itertools.product((False, True), repeat=M)))


@pytest.fixture(scope="module")
def world():
    return LinearGaussian(widths=(5, 6, 5), n=16)


@pytest.fixture(scope="module")
def line():
    """One latent variable: integrals over it are sums on a grid."""
    return LinearGaussian(widths=(4, 5, 4), latent_dim=1, n=16)


def seen(world):
    """What each row shows: every pattern, in turn."""
    return PATTERNS[np.arange(world.n) % len(PATTERNS)]


def shown(world):
    return [tuple(np.flatnonzero(row).tolist()) for row in seen(world)]


def repeated(world, repeats, observed):
    """Every row many times over, each with noise of its own."""
    arrays = [np.where(observed[:, [m]], x, np.nan) for m, x in enumerate(world.x)]
    batch = Batch.from_arrays([np.tile(x, (repeats, 1)) for x in arrays])
    return batch, RowNoise(0, torch.arange(len(batch)))


def check_mean(world, model, objective, expected, repeats=400, limit=5.0):
    """The mean of an objective over noise is ``expected(observed subset)``, (N,)."""
    batch, noise = repeated(world, repeats, seen(world))
    with torch.no_grad():
        values = objective(model, batch, noise).numpy().reshape(repeats, world.n)
    error = values.std(0, ddof=1) / np.sqrt(repeats)
    exact = np.array(
        [expected(shows)[n] if shows else 0.0 for n, shows in enumerate(shown(world))]
    )
    assert (np.abs(values.mean(0) - exact) <= limit * error + 1e-9).all()
    assert error.max() < 0.05 * np.abs(exact).max()  # else it would say nothing
    return values


class Formula:
    """Objectives in closed form, for products of exact experts.

    Without the prior as one more expert, each of them holds it.
    """

    def __init__(self, world, prior_expert=True, beta=1.0, free_bits=0.0, weights=(1, 1, 1)):
        self.world, self.prior_expert = world, prior_expert
        self.beta, self.free_bits, self.weights = beta, free_bits, weights

    def q(self, s):
        world, eye = self.world, np.eye(self.world.latent_dim)
        if not s:
            return np.zeros((world.n, world.latent_dim)), eye
        W, b, s2, x = world.stacked(s)
        n_priors = 1 if self.prior_expert else len(s)
        covariance = np.linalg.inv(n_priors * eye + W.T @ (W / s2[:, None]))
        return (x - b) / s2 @ W @ covariance, covariance

    def fit(self, m, s):
        mean, covariance = self.q(s)
        W, s2 = self.world.W[m], self.world.s2[m]
        square = (self.world.x[m] - mean @ W.T - self.world.b[m]) ** 2
        spread = np.einsum("fd,de,fe->f", W, covariance, W)
        return -0.5 * (np.log(2 * np.pi * s2) + (square + spread) / s2).sum(1)

    def fits(self, scored, s):
        return sum(self.weights[m] * self.fit(m, s) for m in scored)

    def kl(self, s, t=()):
        (m0, c0), (m1, c1) = self.q(s), self.q(t)
        p1 = np.linalg.inv(c1)
        square = np.einsum("nd,de,ne->n", m1 - m0, p1, m1 - m0)
        logs = np.linalg.slogdet(c1)[1] - np.linalg.slogdet(c0)[1]
        return 0.5 * (np.trace(p1 @ c0) - len(c0) + square + logs)

    def cost(self, kl):
        return self.beta * np.maximum(kl - self.free_bits, 0)

    def elbo(self, shows, s=None):
        s = shows if s is None else s
        return self.fits(shows, s) - self.cost(self.kl(s))

    def powerset(self, shows):
        subsets = [s for k in range(1, len(shows) + 1) for s in itertools.combinations(shows, k)]
        return np.mean([self.elbo(shows, s) for s in subsets], axis=0)

    def subset_elbo_observed(self, shows):
        terms = {shows, *((m,) for m in shows)}
        return np.mean([self.elbo(shows, s) for s in sorted(terms)], axis=0)

    def singles(self, shows, alpha=0.3):
        return self.elbo(shows) - alpha * sum(self.kl(shows, (m,)) for m in shows)

    def autoregressive(self, shows, step=1):
        values = []
        for order in itertools.permutations(shows):
            fit, kl, before = 0.0, 0.0, ()
            for start in range(0, len(order), step):
                new = order[start : start + step]
                now = tuple(sorted(before + new))
                fit, kl = fit + self.fits(new, now), kl + self.kl(now, before)
                before = now
            values.append(fit - self.cost(kl))
        return np.mean(values, axis=0)

    def vaevae(self, shows):
        parts = [[(m,)] for m in shows]
        if len(shows) == 3:  # and one of three pairs, by chance
            parts.append(list(itertools.combinations(shows, 2)))
        value = sum(np.mean([self.elbo(s) for s in part], axis=0) for part in parts)
        if len(shows) > 1:
            apart = sum(np.mean([self.kl(shows, s) for s in part], axis=0) for part in parts)
            value = value + self.fits(shows, shows) - self.beta * apart
        return value

    def mvtcae(self, shows, alpha=0.4):
        n = len(shows)
        apart = sum(self.kl(shows, (m,)) for m in shows)
        regular = self.beta * alpha / n * apart + (1 - alpha) * self.cost(self.kl(shows))
        return (n - alpha) / n * self.fits(shows, shows) - regular

    def crmvae(self, shows):
        fit = sum(self.fits((m,), shows) + self.fits((m,), (m,)) for m in shows) / 2
        apart = self.beta * sum(self.kl(shows, (m,)) for m in shows) + self.cost(self.kl(shows))
        return (fit - apart) / (len(shows) + 1)


# name: the formula, parameters of the objective beside the common ones, the model's subsets
CASES = {
    "elbo": (Formula.elbo, {}, Subsets.full),
    "elbo powerset": (Formula.powerset, {}, Subsets.powerset),
    "elbo sampled": (Formula.powerset, {}, lambda n: Subsets.sampled(n, 2)),
    "elbo powerset, one drawn": (Formula.powerset, {"n_drawn": 1}, Subsets.powerset),
    "elbo powerset, sampled in training": (
        Formula.powerset,
        {"subsets": Subsets.sampled(M, 4), "n_drawn": 2},
        Subsets.powerset,
    ),
    "subset_elbo": (Formula.subset_elbo_observed, {"scores": "observed"}, Subsets.full),
    "aligned_elbo": (Formula.singles, {"parts": "singles", "alpha": 0.3}, Subsets.full),
    "autoregressive_elbo": (Formula.autoregressive, {}, Subsets.full),
    "vaevae": (Formula.vaevae, {}, Subsets.full),
    "mvtcae": (Formula.mvtcae, {"alpha": 0.4}, Subsets.full),
    "crmvae": (Formula.crmvae, {}, Subsets.full),
}
SETTINGS = {
    "plain": {},
    "beta": {"beta": 0.7},
    "free bits and weights": {"beta": 1.3, "free_bits": 2.5, "weights": (0.5, 2.0, 0.0)},
}


@pytest.mark.parametrize("prior_expert", [True, False])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("case", CASES)
def test_expectations_are_the_formulas(world, case, setting, prior_expert):
    formula, more, subsets = CASES[case]
    common = SETTINGS[setting]
    oracle = Formula(world, prior_expert, **common)
    kwargs = {k: v for k, v in common.items() if k != "weights"}
    objective = OBJECTIVES[case.split()[0]](
        n_samples=8, likelihood_weights=common.get("weights"), **kwargs, **more
    )
    model = world.model(prior_expert=prior_expert, subsets=subsets)
    check_mean(world, model, objective, lambda shows: formula(oracle, shows))


def test_free_bits_are_felt(world):
    """Some of the KLs above lie below the free bits, and some above."""
    kl = np.array([Formula(world).kl(shows)[n] for n, shows in enumerate(shown(world)) if shows])
    assert (kl < 2.5).any()
    assert (kl > 2.5).any()


@pytest.mark.parametrize("step", [1, 2, 3])
def test_autoregressive_elbo_is_log_p_at_the_exact_posteriors(world, step):
    objective = OBJECTIVES["autoregressive_elbo"](n_samples=8, step=step)
    check_mean(world, world.model(), objective, world.log_prob)
    wrong = world.model(prior_expert=False)
    oracle = Formula(world, prior_expert=False)
    check_mean(world, wrong, objective, lambda shows: oracle.autoregressive(shows, step))
    if step == M:  # all at once: the ELBO
        np.testing.assert_allclose(oracle.autoregressive((0, 1, 2), M), oracle.elbo((0, 1, 2)))


def mixture_terms(line, members, m):
    """E over q_m of log q_m, log of the mixture, log p(z), by quadrature: (N,) each.

    ``members`` of the mixture may hold (): the prior.
    """
    formula = Formula(line, prior_expert=False)
    z = np.linspace(-25, 25, 5_001)[:, None]
    log = [norm(mean[:, 0], cov[0, 0] ** 0.5).logpdf(z) for mean, cov in map(formula.q, members)]
    mean, cov = formula.q((m,))
    own = norm(mean[:, 0], cov[0, 0] ** 0.5).logpdf(z)
    mixture = logsumexp(log, axis=0) - np.log(len(members))
    return [trapezoid(np.exp(own) * f, z, axis=0) for f in (own, mixture, norm.logpdf(z))]


@pytest.mark.parametrize("beta", [1.0, 0.6])
def test_mmvm_is_its_formula(line, beta):
    formula = Formula(line, prior_expert=False)

    def expected(shows):
        total = 0.0
        for m in shows:
            own, mixture, _ = mixture_terms(line, [*((j,) for j in shows), ()], m)
            total = total + formula.fit(m, (m,)) - beta * (own - mixture)
        return total

    def subsets(n):
        return Subsets.singletons(n) | Subsets.nothing(n)

    model = line.model(prior_expert=False, subsets=subsets)
    check_mean(line, model, OBJECTIVES["mmvm"](n_samples=20, beta=beta), expected, limit=4.5)


@pytest.mark.parametrize("kind", ["elbo", "elbo stl", "iwae"])
def test_the_elbo_of_a_mixture_by_its_density(line, kind):
    formula = Formula(line, prior_expert=False)

    def expected(shows):
        values = []
        for m in shows:
            _, mixture, prior = mixture_terms(line, [(j,) for j in shows], m)
            values.append(formula.fits(shows, (m,)) - mixture + prior)
        return np.mean(values, axis=0)

    model = line.model(prior_expert=False, subsets=Subsets.singletons)
    objective = {
        "elbo": ELBO(n_samples=20, mixture="density"),
        "elbo stl": ELBO(n_samples=20, mixture="density", gradient="stl"),
        "iwae": IWAE(n_samples=1, mixture="loose"),
    }[kind]
    values = check_mean(line, model, objective, expected, limit=4.5)
    if kind == "iwae":  # one draw is too noisy for what follows
        return
    # the mean of the components' KLs is larger than that of the mixture
    several = [n for n, shows in enumerate(shown(line)) if len(shows) > 1]
    components = check_mean(
        line,
        model,
        ELBO(n_samples=20),
        lambda shows: np.mean([formula.elbo(shows, (m,)) for m in shows], axis=0),
    )
    assert (values.mean(0)[several] > components.mean(0)[several]).all()


@pytest.mark.parametrize("make", [Subsets.singletons, Subsets.powerset])
def test_mixture_posteriors_by_enumeration(world, make):
    """MMVAE and MoPoE with missing modalities: means and densities of the mixture."""
    formula = Formula(world, prior_expert=False)
    model = world.model(prior_expert=False, subsets=make)
    batch, _ = repeated(world, 1, seen(world))
    with torch.no_grad():
        posterior = model.posterior(batch)
        z = torch.randn(5, 1, world.n, 3, dtype=torch.float64)
        z = z.expand(-1, len(posterior.log_weights), -1, -1)
        density, mean = posterior.mixture_log_prob(z)[:, 0].numpy(), posterior.mean().numpy()
    largest = 1 if make == Subsets.singletons else M
    for n, shows in enumerate(shown(world)):
        members = [s for k in range(1, largest + 1) for s in itertools.combinations(shows, k)] or [
            ()
        ]
        weights = np.exp(posterior.log_weights[:, n].numpy())
        assert (weights > 0).sum() >= len(members)
        gaussians = [(q[0][n], q[1]) for q in map(formula.q, members)]
        np.testing.assert_allclose(mean[n], np.mean([g[0] for g in gaussians], 0), atol=1e-6)
        log = [multivariate_normal(*g).logpdf(z[:, 0, n]) for g in gaussians]
        truth = logsumexp(log, axis=0) - np.log(len(members))
        np.testing.assert_allclose(density[:, n], truth, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        IWAE(n_samples=1),
        IWAE(n_samples=5),
        IWAE(n_samples=5, mixture="loose", gradient="dreg"),
        IWAE(n_samples=1, gradient="stl"),
        JVI(n_samples=2),
        JVI(n_samples=6, order=2),
        JVI(n_samples=3, order=0),
        ELBO(n_samples=3, gradient="stl"),
    ],
    ids=lambda o: f"{type(o).__name__} {o.n_samples}",
)
def test_log_weights_at_the_exact_posterior_leave_no_noise(world, objective):
    batch, noise = repeated(world, 3, seen(world))
    value = objective(world.model(), batch, noise).detach().numpy().reshape(3, -1)
    exact = [world.log_prob(shows)[n] for n, shows in enumerate(shown(world))]
    np.testing.assert_allclose(value, np.tile(exact, (3, 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("n_draws", "order", "by_hand"),
    [
        (2, 1, [2, -1]),
        (3, 1, [3, -2]),
        (3, 2, [4.5, -4, 0.5]),
        (4, 2, [8, -9, 2]),
        (5, 0, [1]),
        (4, 3, [64 / 6, -27 / 2, 4, -1 / 6]),
    ],
)
def test_jackknife_coefficients(n_draws, order, by_hand):
    np.testing.assert_allclose(coefficients(n_draws, order), by_hand, rtol=1e-14)
    np.testing.assert_allclose(sum(by_hand), 1)


@pytest.mark.parametrize(("n_draws", "order"), [(2, 1), (5, 0), (5, 1), (5, 2), (6, 3), (4, 3)])
def test_jackknife_by_brute_force(n_draws, order):
    rng = np.random.default_rng(0)
    log_weight = rng.normal(size=(n_draws, 7)) * [0, 1, 1, 5, 20, 20, 100]
    expected = 0.0
    for j, c in enumerate(coefficients(n_draws, order)):
        subsets = itertools.combinations(range(n_draws), n_draws - j)
        means = [logsumexp(log_weight[list(s)], axis=0) - np.log(n_draws - j) for s in subsets]
        expected = expected + c * np.mean(means, axis=0)
    given = torch.from_numpy(log_weight).requires_grad_()
    ours = jackknife(given, order)
    np.testing.assert_allclose(ours.detach(), expected, rtol=1e-10, atol=1e-10)
    ours.sum().backward()
    assert given.grad.isfinite().all()
    np.testing.assert_allclose(given.grad.sum(0), 1, atol=1e-9)  # a common factor moves log E w


@pytest.mark.parametrize(("n_draws", "size"), [(65, 1), (100, 1), (20, 2), (12, 3), (64, 1)])
def test_the_subsets_of_many_draws_are_spread_over_all(n_draws, size):
    every = [set(c) for c in itertools.combinations(range(n_draws), size)]
    left_out = _left_out(n_draws, size, torch.device("cpu"))
    places = [every.index(set(row.nonzero()[:, 0].tolist())) for row in left_out]
    assert len(set(places)) == len(places) <= _MOST_SUBSETS
    gaps = np.diff([*places, len(every)])
    assert gaps.max() <= -(-len(every) // _MOST_SUBSETS)


def test_jackknife_needs_a_draw_more_than_its_order():
    with pytest.raises(ValueError, match="of order 2 needs n_samples > 2; got n_samples=2"):
        JVI(n_samples=2, order=2)


def test_biases_of_importance_weighting_and_of_the_jackknife(world):
    model = world.model("diagonal_gaussian", perturb=0.12)
    everything = np.ones_like(seen(world))
    batch, noise = repeated(world, 1200, everything)
    exact = np.tile(world.log_prob((0, 1, 2)), 1200)

    def bias(objective):
        with torch.no_grad():
            gap = objective(model, batch, noise).numpy() - exact
        by_repeat = gap.reshape(1200, world.n).mean(1)
        return by_repeat.mean(), by_repeat.std() / np.sqrt(1200)

    iwae = {k: bias(IWAE(n_samples=k)) for k in (1, 2, 4, 8, 16)}
    for (low, a), (high, b) in itertools.pairwise(iwae.values()):
        assert low < high + 3 * np.hypot(a, b)
    assert iwae[1][0] < iwae[16][0] - 0.2
    assert iwae[4][0] < 0
    for k in (4, 8, 16):
        value, error = bias(JVI(n_samples=k))
        assert abs(value) + 3 * error < abs(iwae[k][0])


def test_a_weight_of_zero_removes_a_modality(world):
    batch, noise = repeated(world, 1, seen(world))
    for name, kind in OBJECTIVES.items():

        def subsets(n, mixture=name == "mmvm"):
            return Subsets.singletons(n) | Subsets.nothing(n) if mixture else Subsets.full(n)

        objective = kind(n_samples=2, likelihood_weights=(1.0, 0.5, 0.0))
        model = world.model("diagonal_gaussian", perturb=0.1, subsets=subsets)
        value = objective(model, batch, noise)
        value.sum().backward()
        used, unused = model.decoders[1].weight.grad, model.decoders[2].weight.grad
        assert (used != 0).any(), name
        assert unused is None or (unused == 0).all(), name
        # it is its fit alone that is removed: the encoders still read it
        assert (model.strategy.encoders[2].weight.grad != 0).any(), name
        with torch.no_grad():
            model.decoders[2].bias += 3.0
            assert torch.equal(objective(model, batch, noise), value), name
            model.decoders[1].bias += 3.0
            assert not torch.equal(objective(model, batch, noise), value), name


@pytest.mark.parametrize("kind", [ELBO, IWAE, JVI, AlignedELBO, SubsetELBO])
def test_weights_and_free_bits_end_a_bound(kind):
    more = {"n_samples": 2}
    plain = kind(**more)
    assert plain.is_bound is (kind in {ELBO, IWAE, AlignedELBO})
    assert not kind(**more, likelihood_weights=(1.0, 2.0)).is_bound
    assert not kind(**more, beta=0.5).is_bound
    if kind not in {IWAE, JVI}:
        assert not kind(**more, free_bits=1.0).is_bound


def test_predictions_ask_for_a_split():
    with pytest.raises(ValueError, match="got parts='singles'. Take parts='split'"):
        AlignedELBO(parts="singles", prediction_weight=1.0, n_modalities=3)
