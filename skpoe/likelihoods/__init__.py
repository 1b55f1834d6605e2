"""Likelihoods p(x_m | z), one file each; a new one is a file and a line in the registry."""

from .base import Likelihood
from .bernoulli import Bernoulli
from .beta import Beta
from .continuous_bernoulli import ContinuousBernoulli
from .gaussian import Gaussian
from .laplace import Laplace
from .log_normal import LogNormal
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
        Laplace,
        LogNormal,
        ContinuousBernoulli,
        Beta,
    )
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Beta",
    "ContinuousBernoulli",
    "Gaussian",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "Poisson",
    "StudentT",
    "StudentTDecoder",
    "ZeroInflatedNegativeBinomial",
]
