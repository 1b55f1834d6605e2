"""Make bessel.npz: what the tests of the hyperspherical distributions compare with.

    python3 -m venv /tmp/flint && /tmp/flint/bin/pip install -q python-flint==0.9.0 numpy==2.4.6
    /tmp/flint/bin/python tests/references/make_bessel.py

Ball arithmetic of 2000 bits, so every digit is certified: a result whose ball leaves fewer than 30
digits stops the script. The formulas are the defining ones, none of those that are tested.
Arguments are exact: the binary value of kappa in float64 (`f64`) or in float32 (`f32`).
"""

import itertools
from pathlib import Path

import numpy as np
from flint import acb, arb, ctx

ctx.prec = 2000
DIMS = [2, 3, 4, 5, 6, 8, 10, 16, 21, 32, 51, 64, 101, 128, 201, 256, 512, 1024, 4096]
KAPPAS = [1e-8, 1e-6, 1e-4, 1e-2, 0.1, 1, 3, 10, 30, 100, 300, 1e3, 1e4, 1e5, 1e6]


def number(ball):
    assert ball == 0 or ball.rel_accuracy_bits() > 100, ball
    return float(ball)


def log_phi(x, d):
    """Log of 0F1(; d/2; x^2 / 4), the mean of exp(x mu.u) over the sphere."""
    return (x * x / 4).hypgeom_0f1(arb(d) / 2).log()


def ratio(x, d):
    """I_{d/2}(x) / (x I_{d/2-1}(x))."""
    z = x * x / 4
    return z.hypgeom_0f1(arb(d) / 2 + 1) / z.hypgeom_0f1(arb(d) / 2) / d


def quantities(kappa, d):
    x, r = arb(kappa), ratio(arb(kappa), d)
    a = x * r
    slope = 1 - a * a - (d - 1) * r
    curve = -2 * a * slope - (d - 1) * (slope - r) / x
    phi = log_phi(x, d)
    kl = x * a - phi
    return [phi, x - phi, kl, a, 1 - a, slope, r, (slope - r) / x, curve, slope + x * curve]


def log_area(d):
    return arb(2).log() + arb(d) / 2 * arb.pi().log() - (arb(d) / 2).lgamma()


def bessel():
    """The grid: log_phi, peak, kl, a, 1 - a, a', r, r', a'', kl'', and log_area."""
    tables = {}
    for dtype in (np.float64, np.float32):
        tables[dtype.__name__] = np.array(
            [[[number(q) for q in quantities(float(dtype(k)), d)] for k in KAPPAS] for d in DIMS]
        )
    return {
        "dims": np.array(DIMS),
        "kappas": np.array(KAPPAS),
        "f64": tables["float64"],
        "f32": tables["float32"],
        "log_area": np.array([number(log_area(d)) for d in DIMS]),
    }


def vmf_kl():
    """Rows: dim, kappa_q, kappa_p, cosine of the angle between the modes, divergence."""
    rows = []
    dims, sizes = [2, 3, 5, 10, 21, 51, 128, 512], [1e-6, 1e-2, 0.5, 3, 30, 1e3, 1e5]
    for d, q, p, half in itertools.product(dims, sizes, sizes, [0.0, 1e-3, 0.7]):
        # modes (1, 0) and (1 - 2 h^2, 2 h sqrt(1 - h^2)) for h the sine of half the angle
        x, y, cosine = arb(q), arb(p), 1 - 2 * arb(half) ** 2
        a = x * ratio(x, d)
        kl = log_phi(y, d) - log_phi(x, d) + (x - y * cosine) * a
        if half or q != p:
            rows.append([d, q, p, half, number(kl)])
    return np.array(rows)


def power_spherical_kl():
    """Rows: dim, kappa, divergence from the uniform distribution."""
    rows = []
    for d, kappa in itertools.product(
        [2, 3, 5, 10, 21, 51, 101, 256, 1024],
        [1e-6, 1e-4, 1e-2, 0.1, 1, 3, 10, 100, 1e3, 1e4, 1e6],
    ):
        k, b = arb(kappa), arb(d - 1) / 2
        a, two = b + k, arb(2).log()
        log_n = -((a + b) * two + a.lgamma() - (a + b).lgamma() + b * arb.pi().log())
        entropy = -log_n - k * (two + a.digamma() - (a + b).digamma())
        rows.append([d, kappa, number(log_area(d) - entropy)])
    return np.array(rows)


def radial():
    """Rows: dim, kappa, q = 1 - mu.x, dy/dkappa of y = atanh(mu.x) at fixed probability."""
    ctx.prec = 250
    rows = []
    for d, kappa in itertools.product(
        [2, 3, 4, 5, 10, 21, 51, 201, 1024], [1e-4, 0.1, 1, 3, 10, 30, 300, 1e4, 1e6]
    ):
        x = arb(kappa)
        a = x * ratio(x, d)
        sd = float((1 - a * a - (d - 1) * ratio(x, d)).sqrt())
        mean = float(1 - a)
        lowest = mean / (20 if d < 10 else 3)
        for q in sorted({max(mean + z * sd, lowest) for z in (-3, -1, -0.1, 0, 0.1, 1, 3, 8)}):
            if q < 1.999:
                rows.append([d, kappa, q, field(d, x, a, arb(q))])
    return np.array(rows)


def field(d, x, a, q):
    """Integral of (t - a) p(t) above or below t = 1 - q, over p(t) (1 - t^2); t = cos(angle)."""
    angle = (1 - q).acos()
    t = 1 - q

    def integrand(v, _):
        c = v.cos()
        return (c - a) * (v.sin() / angle.sin()) ** (d - 2) * (x * (c - t)).exp()

    lower = float(q) <= float(1 - a)
    far = arb(0) if lower else arb.pi()
    # the mass is near the angle: halve the interval again and again towards it
    cuts = [far, *[angle + (far - angle) / 2**k for k in range(1, 13)], angle]
    cuts = cuts if lower else cuts[::-1]
    pairs = itertools.pairwise(cuts)
    total = sum((acb.integral(integrand, acb(u), acb(v)).real for u, v in pairs), arb(0))
    result = (total if lower else -total) / angle.sin()
    assert result.rel_accuracy_bits() > 40, (d, x, q, result)
    return float(result)


def tangential():
    """Rows: dim, kappa t, f = 1F1(1; dim; -kappa t) / (dim - 1)."""
    rows = []
    for d, z in itertools.product(
        [2, 3, 5, 21, 201, 1024],
        [-20, -5, -1, -1e-3, 0, 1e-6, 0.1, 1, 5, 30, 200, 1e3, 1e4, 1e6],
    ):
        rows.append([d, z, number((-arb(z)).hypgeom_1f1(1, d) / (d - 1))])
    return np.array(rows)


if __name__ == "__main__":
    out = {**bessel(), "vmf_kl": vmf_kl(), "power_spherical_kl": power_spherical_kl()}
    out |= {"tangential": tangential(), "radial": radial()}
    np.savez_compressed(Path(__file__).with_name("bessel.npz"), **out)
    print({name: value.shape for name, value in out.items()})
