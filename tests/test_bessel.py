"""Against ball arithmetic; tests/references/make_bessel.py says how the numbers were made."""

from pathlib import Path

import numpy as np
import pytest
import torch

from skpoe import distributions
from skpoe.distributions import (
    kl_to_uniform,
    log_area,
    log_normalizer,
    log_peak,
    mean_ratio,
    mean_resultant_length,
    mean_shortfall,
    mean_slope,
)

REFERENCE = np.load(Path(__file__).parent / "references" / "bessel.npz")
DIMS, KAPPAS = REFERENCE["dims"].tolist(), REFERENCE["kappas"]
NAMES = ["phi", "peak", "kl", "a", "shortfall", "slope", "ratio", "ratio'", "a''", "kl''"]
F64, F32 = (
    dict(zip(NAMES, np.moveaxis(REFERENCE[k], -1, 0), strict=True)) for k in ("f64", "f32")
)
FUNCTIONS = {
    log_normalizer: "phi",
    log_peak: "peak",
    kl_to_uniform: "kl",
    mean_resultant_length: "a",
    mean_shortfall: "shortfall",
    mean_slope: "slope",
    mean_ratio: "ratio",
}
by_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def on_grid(function, dtype, order=0):
    """Values, or derivatives of some order, on all of the grid."""
    rows = []
    for dim in DIMS:
        kappa = torch.tensor(KAPPAS, dtype=dtype, requires_grad=True)
        value = function(kappa, dim)
        for left in range(order, 0, -1):
            (value,) = torch.autograd.grad(value.sum(), kappa, create_graph=left > 1)
        rows.append(value.detach().double().numpy())
    return np.array(rows)


def worst(value, reference, scale=None):
    return (np.abs(value - reference) / np.abs(reference if scale is None else scale)).max()


def derivative(name, reference):
    """First derivative of a quantity, from the reference of others."""
    kappa = KAPPAS.astype(np.float32).astype(float) if reference is F32 else KAPPAS
    return {
        "phi": reference["a"],
        "peak": reference["shortfall"],
        "kl": kappa * reference["slope"],
        "a": reference["slope"],
        "shortfall": -reference["slope"],
        "slope": reference["a''"],
        "ratio": reference["ratio'"],
    }[name]


@by_function
def test_values(function):
    value, reference = on_grid(function, torch.float64), F64[FUNCTIONS[function]]
    assert worst(value, reference) <= 1e-12


@by_function
def test_values_of_single_precision(function):
    value, reference = on_grid(function, torch.float32), F32[FUNCTIONS[function]]
    # the divergence of a tiny concentration is below the smallest normal number
    scale = np.maximum(np.abs(reference), np.finfo(np.float32).tiny)
    assert worst(value, reference, scale) <= 2e-7


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-7)])
def test_entropy_and_normalizer_where_they_cross_zero(dtype, bound):
    reference = F64 if dtype == torch.float64 else F32
    area = REFERENCE["log_area"][:, None]
    assert [log_area(dim) for dim in DIMS] == pytest.approx(area[:, 0], rel=1e-13)
    entropy = area - reference["kl"]
    wanted = np.maximum(1, np.abs(entropy))
    value = area - on_grid(lambda k, d: kl_to_uniform(k.double(), d), dtype)
    assert worst(value.astype(np.float64), entropy, wanted) <= bound
    constant = -area - reference["phi"]
    value = -area - on_grid(lambda k, d: log_normalizer(k.double(), d), dtype)
    assert worst(value, constant, np.maximum(1, np.abs(constant))) <= bound


@by_function
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-7)])
def test_first_derivatives(function, dtype, bound):
    name = FUNCTIONS[function]
    reference = F64 if dtype == torch.float64 else F32
    wanted = derivative(name, reference)
    scale = np.maximum(np.abs(wanted), np.finfo(np.float32).tiny)
    if name == "slope":
        scale, bound = np.maximum(np.abs(wanted), reference["slope"]), max(bound, 1e-11)
    assert worst(on_grid(function, dtype, 1), wanted, scale) <= bound


@pytest.mark.parametrize(
    ("function", "name", "sign"),
    [
        (log_normalizer, "slope", 1),
        (log_peak, "slope", -1),
        (kl_to_uniform, "kl''", 1),
        (mean_resultant_length, "a''", 1),
        (mean_shortfall, "a''", -1),
    ],
)
def test_second_derivatives(function, name, sign):
    wanted = F64[name]
    value = sign * on_grid(function, torch.float64, 2)
    assert worst(value, wanted, np.maximum(np.abs(wanted), F64["slope"])) <= 1e-11


@by_function
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_the_ends(function, dtype):
    for dim in (*DIMS, 10_000):
        kappa = torch.tensor([0.0, 1e-30, 1e15], dtype=dtype, requires_grad=True)
        value = function(kappa, dim)
        (first,) = torch.autograd.grad(value.sum(), kappa, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), kappa)
        assert value.isfinite().all()
        assert first.isfinite().all()
        assert second.isfinite().all()


@pytest.mark.parametrize("dim", [2, 3, 51])
def test_limits(dim):
    zero, large = torch.tensor(0.0).double(), torch.tensor(1e14).double()
    assert log_normalizer(zero, dim) == log_peak(zero, dim) == kl_to_uniform(zero, dim) == 0
    assert mean_resultant_length(zero, dim) == 0
    assert mean_shortfall(zero, dim) == 1
    assert mean_slope(zero, dim).item() == pytest.approx(1 / dim, rel=1e-14)
    assert mean_ratio(zero, dim).item() == pytest.approx(1 / dim, rel=1e-14)
    assert (large * mean_shortfall(large, dim)).item() == pytest.approx((dim - 1) / 2, rel=1e-11)


def test_closed_forms_in_three_dimensions():
    kappa = torch.linspace(0.5, 30, 60, dtype=torch.float64)
    torch.testing.assert_close(log_normalizer(kappa, 3), (kappa.sinh() / kappa).log())
    torch.testing.assert_close(mean_resultant_length(kappa, 3), 1 / kappa.tanh() - 1 / kappa)


@by_function
@pytest.mark.parametrize("dim", [2, 5, 50])
def test_autograd(function, dim):
    kappa = torch.tensor([[0.3, 2.0], [7.0, 30.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: function(k, dim), kappa)
    assert torch.autograd.gradgradcheck(lambda k: function(k, dim), kappa)


@by_function
def test_shapes_and_dtypes(function):
    for shape in [(), (0,), (2, 1, 3)]:
        for dtype in (torch.float32, torch.float64):
            value = function(torch.ones(shape, dtype=dtype), 4)
            assert value.shape == shape
            assert value.dtype == dtype
    with pytest.raises(ValueError, match="dim must be at least 2, the circle; got 1"):
        function(torch.ones(3), 1)


def test_log_area_says_what_is_wrong():
    with pytest.raises(ValueError, match="dim must be at least 2"):
        log_area(1)


def test_everything_that_is_promised_exists():
    assert all(hasattr(distributions, name) for name in distributions.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_values_off_the_grid(seed):
    """Random dimensions and concentrations, against mpmath; a new set each seed."""
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(seed)
    for _ in range(150):
        dim = int(2 * 500 ** rng.random())
        kappa = float(10 ** rng.uniform(-8, 4))
        with mpmath.workdps(60):
            x, z, half = mpmath.mpf(kappa), mpmath.mpf(kappa) ** 2 / 4, mpmath.mpf(dim) / 2
            bottom = mpmath.hyp0f1(half, z)
            phi, a = mpmath.log(bottom), x * mpmath.hyp0f1(half + 1, z) / bottom / dim
            slope = 1 - a * a - (dim - 1) * a / x
            wanted = [phi, x - phi, x * a - phi, a, 1 - a, slope, a / x]
            wanted = np.array([float(w) for w in wanted])
        kappa = torch.tensor(kappa, dtype=torch.float64)
        value = np.array([function(kappa, dim).item() for function in FUNCTIONS])
        assert worst(value, wanted) <= 1e-12, (dim, kappa)
