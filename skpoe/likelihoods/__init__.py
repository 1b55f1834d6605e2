"""Likelihoods p(x_m | z), one file each; a new one is a file and a line in the registry."""

from .base import Likelihood
from .bernoulli import Bernoulli
from .beta import Beta
from .categorical import Categorical
from .censored_gaussian import CensoredGaussian
from .continuous_bernoulli import ContinuousBernoulli
from .gaussian import Gaussian
from .gaussian_decoder import GaussianDecoder
from .laplace import Laplace
from .log_normal import LogNormal
from .mixed import Mixed
from .negative_binomial import NegativeBinomial
from .ordinal import Ordinal
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
        GaussianDecoder,
        CensoredGaussian,
        Categorical,
        Ordinal,
    )
}

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Beta",
    "Categorical",
    "CensoredGaussian",
    "ContinuousBernoulli",
    "Gaussian",
    "GaussianDecoder",
    "Laplace",
    "Likelihood",
    "LogNormal",
    "Mixed",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "StudentTDecoder",
    "ZeroInflatedNegativeBinomial",
]
