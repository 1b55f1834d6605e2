"""Likelihoods p(x_m | z), one file each; a new one is a file and a line in the registry."""

from .base import Likelihood
from .bernoulli import Bernoulli
from .gaussian import Gaussian
from .negative_binomial import NegativeBinomial
from .poisson import Poisson
from .student_t import StudentT
from .student_t_decoder import StudentTDecoder
from .zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial

LIKELIHOODS = {
    likelihood.name: likelihood
    for likelihood in (
        Gaussian,
        Bernoulli,
        StudentT,
        StudentTDecoder,
        Poisson,
        NegativeBinomial,
        ZeroInflatedNegativeBinomial,
    )
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "StudentTDecoder",
    "ZeroInflatedNegativeBinomial",
]
