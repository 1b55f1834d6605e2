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
from .hyperspherical_uniform import HypersphericalUniform, log_area
from .pathwise import first_accepted
from .power_spherical import PowerSpherical
from .von_mises_fisher import VonMisesFisher, vmf_kl, vmf_log_prob, vmf_sample

__all__ = [
    "HypersphericalUniform",
    "PowerSpherical",
    "VonMisesFisher",
    "first_accepted",
    "kl_to_uniform",
    "log_area",
    "log_normalizer",
    "log_peak",
    "mean_ratio",
    "mean_resultant_length",
    "mean_shortfall",
    "mean_slope",
    "vmf_kl",
    "vmf_log_prob",
    "vmf_sample",
]
