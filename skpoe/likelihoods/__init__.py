"""Likelihoods p(x_m | z), one file each; a new one is a file and a line in the registry."""

from .base import Likelihood
from .bernoulli import Bernoulli
from .gaussian import Gaussian
from .poisson import Poisson
from .student_t import StudentT
from .student_t_decoder import StudentTDecoder

LIKELIHOODS = {
    likelihood.name: likelihood
    for likelihood in (
        Gaussian,
        Bernoulli,
        StudentT,
        StudentTDecoder,
        Poisson,
    )
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Gaussian",
    "Likelihood",
    "Poisson",
    "StudentT",
    "StudentTDecoder",
]
