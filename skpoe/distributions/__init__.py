"""Distributions on the unit sphere, on torch alone."""

from .bessel import (
    kl_to_uniform,
    log_normalizer,
    log_peak,
    mean_ratio,
    mean_resultant_length,
    mean_shortfall,
    mean_slope,
)
from .gamma import gamma_sample
from .hyperspherical_uniform import HypersphericalUniform, log_area
from .pathwise import first_accepted
from .power_spherical import PowerSpherical, power_spherical_sample
from .von_mises_fisher import VonMisesFisher, vmf_kl, vmf_log_prob, vmf_sample

__all__ = [
    "HypersphericalUniform",
    "PowerSpherical",
    "VonMisesFisher",
    "first_accepted",
    "gamma_sample",
    "kl_to_uniform",
    "log_area",
    "log_normalizer",
    "log_peak",
    "mean_ratio",
    "mean_resultant_length",
    "mean_shortfall",
    "mean_slope",
    "power_spherical_sample",
    "vmf_kl",
    "vmf_log_prob",
    "vmf_sample",
]
