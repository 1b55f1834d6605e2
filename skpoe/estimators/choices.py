"""What the slots of ``ModularVAE`` may hold, by name, and which choices go together."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from numbers import Integral
from typing import Any

import torch

from ..objectives import (
    ELBO,
    IWAE,
    JVI,
    AlignedELBO,
    AutoregressiveELBO,
    CRMVAEObjective,
    MMVMObjective,
    MVTCAEObjective,
    Objective,
    SubsetELBO,
    VAEVAEObjective,
)
from ..posteriors import (
    DiagonalGaussian,
    Family,
    FullGaussian,
    Laplace,
    PowerSpherical,
    StudentT,
    VonMisesFisher,
)
from ..priors import (
    GaussianMixture,
    Prior,
    ScaledGaussian,
    StandardGaussian,
    UniformSphere,
    VampPrior,
)
from ..priors import Laplace as LaplacePrior
from ..strategies import SetEncoder, Strategy
from ..subsets import Subsets
from .pieces import Pieces

POSTERIORS: dict[str, Callable[[Any], Family]] = {
    "diag_gaussian": lambda est: DiagonalGaussian(),
    "full_gaussian": lambda est: FullGaussian(),
    "laplace": lambda est: Laplace(),
    "student_t": lambda est: StudentT(),
    "vmf_product": lambda est: VonMisesFisher(int(est.sphere_dim)),
    "power_spherical_product": lambda est: PowerSpherical(int(est.sphere_dim)),
}
PRIORS: dict[str, Callable[[Any, Pieces], Prior]] = {
    "standard_gaussian": lambda est, p: StandardGaussian(p.latent_dim),
    "scaled_gaussian": lambda est, p: ScaledGaussian(p.latent_dim),
    "laplace": lambda est, p: LaplacePrior(p.latent_dim),
    "uniform_hyperspherical": lambda est, p: UniformSphere(
        int(est.n_spheres), int(est.sphere_dim)
    ),
    "gaussian_mixture": lambda est, p: GaussianMixture(p.latent_dim, seed=p.seed),
    "vamp": lambda est, p: VampPrior(p.latent_dim, p.widths, seed=p.seed),
}


def _set(pieces: Pieces, family: Family, size: int) -> Strategy:
    encoder = pieces.joint_encoder(family, 20, size=size)
    return SetEncoder(family, encoder, pieces.n_features, generator=pieces.generator)


STRATEGIES: dict[str, Callable[[Pieces, Family, int], Strategy]] = {
    "product_of_experts": Pieces.product,
    "product_without_prior": partial(Pieces.product, prior_expert=False),
    "mixture_of_experts": partial(Pieces.product, prior_expert=False),
    "joint_encoder": Pieces.joint,
    "set_encoder": _set,
    "subset_encoders": Pieces.subset_encoders,
    "product_with_stand_ins": Pieces.product_with_stand_ins,
}
OBJECTIVES: dict[str, tuple[type[Objective], dict[str, Any]]] = {
    "elbo": (ELBO, {}),
    "stl_elbo": (ELBO, {"gradient": "stl"}),
    "mmvae_elbo": (ELBO, {"mixture": "density"}),
    "iwae": (IWAE, {}),
    "loose_iwae": (IWAE, {"mixture": "loose"}),
    "dreg_iwae": (IWAE, {"gradient": "dreg"}),
    "jvi": (JVI, {}),
    "mvae_elbo": (SubsetELBO, {}),
    "dmvae_elbo": (SubsetELBO, {"scores": "observed"}),
    "aligned_elbo": (AlignedELBO, {}),
    "jmvae": (AlignedELBO, {"parts": "singles", "alpha": 0.1}),
    "autoregressive_elbo": (AutoregressiveELBO, {}),
    "vaevae": (VAEVAEObjective, {}),
    "mvtcae": (MVTCAEObjective, {}),
    "crmvae": (CRMVAEObjective, {}),
    "mmvm": (MMVMObjective, {}),
}
SUBSETS = ("auto", "full", "singletons", "powerset")
# the names of the original repository and of other estimators, where they are others
_ALIASES = {
    "gaussian_poe": "product_of_experts",
    "vmf_poe": "product_of_experts",
    "gaussian_moe": "mixture_of_experts",
    "permutation_invariant": "set_encoder",
    "diag_gaussian_mixture": "diag_gaussian",
    "ar_elbo": "autoregressive_elbo",
    "subset_elbo": "mvae_elbo",
}
# strategies by what they do with several modalities
_SAY_THE_SCALE = {"set_encoder", "subset_encoders", "product_with_stand_ins"}
_MULTIPLY = {"product_of_experts", "product_without_prior", "product_with_stand_ins"}
_NOT_CARRIED_OVER = "loc_scale_ebm"


def choose(slot: str, choice: Any, known: Mapping[str, Any]) -> Any:
    """Look a name up among those that a slot knows."""
    if choice == _NOT_CARRIED_OVER:
        raise ValueError(
            f"{slot}='{_NOT_CARRIED_OVER}', the energy-based posterior of the original "
            "repository, is not carried over: its product of experts has no density. Take "
            "'student_t' experts for heavy tails, or 'product_of_experts'."
        )
    name = _ALIASES.get(choice, choice)
    if name not in known:
        aliases = [alias for alias, meant in _ALIASES.items() if meant in known]
        raise ValueError(
            f"{slot} must be one of {[*known, *aliases]}, or an object; got {choice!r}."
        )
    return known[name]


def find_family(est: Any) -> Family:
    """Read ``variational_posterior``."""
    choice = est.variational_posterior
    if isinstance(choice, Family):
        return choice
    return choose("variational_posterior", choice, POSTERIORS)(est)


def find_prior(est: Any, pieces: Pieces) -> Prior:
    """Read ``prior``; the caller's object is copied, for it is trained."""
    choice = est.prior
    if isinstance(choice, Prior):
        # spheres take other parameters than latent_dim
        free = isinstance(est.latent_dim, str) or choice.kind == "uniform"
        if not free and choice.latent_dim != pieces.latent_dim:
            raise ValueError(
                f"The prior, {type(choice).__name__}, has {choice.latent_dim} latent variables, "
                f"but latent_dim={est.latent_dim!r}. Leave latent_dim='auto', or give a prior of "
                f"{pieces.latent_dim}."
            )
        return copy.deepcopy(choice)
    return choose("prior", choice, PRIORS)(est, pieces)


def find_strategy(est: Any, pieces: Pieces, family: Family, size: int) -> Strategy:
    """Read ``variational_strategy`` and ``unstructured_encoder``."""
    choice = "joint_encoder" if est.unstructured_encoder else est.variational_strategy
    if isinstance(choice, type):
        raise TypeError(
            "variational_strategy must be a name, or a function of (pieces, family, latent_dim) "
            f"that makes a Strategy; got the class {choice.__name__}. Take one like lambda "
            f"pieces, family, latent_dim: {choice.__name__}(...)."
        )
    if not isinstance(choice, str):
        strategy = choice(pieces, family, size)
        if not isinstance(strategy, Strategy):
            raise TypeError(
                "variational_strategy must make a Strategy of (pieces, family, latent_dim); it "
                f"made {strategy!r}."
            )
        return strategy
    make = choose("variational_strategy", choice, STRATEGIES)
    _check_strategy(est, family)
    return make(pieces, family, size)


def find_objective(est: Any, pieces: Pieces) -> Objective:
    """Read ``objective``."""
    choice = est.objective
    if isinstance(choice, Objective):
        unheard = [
            name
            for name in ("beta", "n_samples", "free_bits", "likelihood_weights")
            if repr(getattr(est, name)) != repr(getattr(type(est), name))
        ]
        if unheard:
            warnings.warn(
                f"{', '.join(unheard)} of the estimator: without effect, for the objective is an "
                f"object with settings of its own. Set them in {type(choice).__name__}(...).",
                UserWarning,
                stacklevel=2,
            )
        return copy.deepcopy(choice)
    kind, settings = choose("objective", choice, OBJECTIVES)
    if kind is SubsetELBO:
        settings = {**settings, "n_subsets": int(est.n_subsets)}
    return pieces.objective(kind, **settings)


def find_subsets(est: Any, objective: Objective, n_modalities: int) -> Subsets:
    """Read ``subsets``; "auto" is what strategy and objective call for."""
    choice, is_mixture = est.subsets, _is_mixture(est)
    if isinstance(choice, Subsets):
        return copy.deepcopy(choice)  # it goes where the model goes
    name = choice if isinstance(choice, str) else None  # an array is not to be compared
    if name is not None and name not in SUBSETS:
        raise ValueError(
            f"subsets must be one of {list(SUBSETS)}, a number, a 0/1 matrix (subsets, "
            f"modalities) or Subsets; got {choice!r}."
        )
    if isinstance(objective, MMVMObjective):
        if name not in ("auto", "singletons"):
            raise ValueError(
                "objective='mmvm' is about a mixture of the single modalities and the prior; "
                f"got subsets={choice!r}. Take subsets='auto'."
            )
        return Subsets.singletons(n_modalities) | Subsets.nothing(n_modalities)
    if is_mixture and n_modalities > 1 and name not in ("auto", "singletons"):
        raise ValueError(
            f"A mixture of experts has one modality in each subset; got subsets={choice!r}. Take "
            "subsets='auto', or variational_strategy='product_without_prior' for a mixture of "
            "products."
        )
    if name == "auto":
        name = "singletons" if is_mixture else "full"
    if name is not None:
        return getattr(Subsets, name)(n_modalities)
    if isinstance(choice, Integral) and not isinstance(choice, bool):
        return Subsets.sampled(n_modalities, int(choice))
    try:
        members = torch.as_tensor(choice)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"subsets must be a 0/1 matrix of shape (subsets, {n_modalities}), one column a "
            f"modality; got {choice!r}."
        ) from error
    if members.ndim != 2 or members.shape[1] != n_modalities:
        raise ValueError(
            f"subsets must be a matrix of shape (subsets, {n_modalities}), one column a modality; "
            f"got shape {tuple(members.shape)}."
        )
    if not ((members == 0) | (members == 1)).all():
        raise ValueError(f"subsets must be a matrix of 0 and 1; got {choice!r}.")
    return Subsets(members)


def check_together(
    est: Any, family: Family, prior: Prior, objective: Objective, n_modalities: int
) -> None:
    """Refuse choices that make no sense together, and say which would."""
    if family.prior_kind != prior.kind:
        fitting = {"gaussian": "standard_gaussian", "uniform": "uniform_hyperspherical"}
        raise ValueError(
            f"variational_posterior={est.variational_posterior!r} cannot say "
            f"prior={est.prior!r}, which a row that shows nothing must have. Take "
            f"prior='{fitting.get(family.prior_kind, family.prior_kind)}'."
        )
    if isinstance(prior, VampPrior) and not isinstance(family, DiagonalGaussian):
        raise ValueError(
            "prior='vamp' is a mixture of diagonal Gaussian posteriors; got "
            f"variational_posterior={est.variational_posterior!r}. Take "
            "variational_posterior='diag_gaussian', or prior='gaussian_mixture'."
        )
    if n_modalities == 1:  # alone, it is a mixture and a product
        return
    if objective.combines and _is_mixture(est):
        raise ValueError(
            f"objective={est.objective!r} asks for the posterior of several modalities together, "
            "and a mixture of experts has none. Take objective='mmvae_elbo' or 'iwae', or "
            "variational_strategy='product_of_experts'."
        )
    if isinstance(objective, MMVMObjective) and not _is_mixture(est):
        raise ValueError(
            "objective='mmvm' is about a mixture of experts; got variational_strategy="
            f"{est.variational_strategy!r}. Take variational_strategy='mixture_of_experts'."
        )


def _check_strategy(est: Any, family: Family) -> None:
    strategy, name = _strategy_name(est), est.variational_posterior
    if strategy in _SAY_THE_SCALE and not family.has_own_scale:
        raise ValueError(
            f"variational_posterior={name!r} learns what each entry says of z, and the networks "
            f"of variational_strategy='{strategy}' would say it of each row. Take "
            "variational_posterior='diag_gaussian', or variational_strategy='product_of_experts'."
        )
    if strategy in _MULTIPLY and not family.has_products:
        raise ValueError(
            f"variational_posterior={name!r} has no products. Take "
            "variational_strategy='mixture_of_experts' or 'joint_encoder', or "
            "variational_posterior='diag_gaussian'."
        )
    if strategy == "product_with_stand_ins" and not isinstance(
        family, (DiagonalGaussian, VonMisesFisher)
    ):
        raise ValueError(
            "variational_strategy='product_with_stand_ins' takes powers of experts; got "
            f"variational_posterior={name!r}. Take 'diag_gaussian' or 'vmf_product'."
        )


def _strategy_name(est: Any) -> str | None:
    """Name of the strategy, the library's; None where it is the caller's."""
    if est.unstructured_encoder:
        return "joint_encoder"
    choice = est.variational_strategy
    return _ALIASES.get(choice, choice) if isinstance(choice, str) else None


def _is_mixture(est: Any) -> bool:
    """Whether each component of the posterior is the expert of one modality."""
    return _strategy_name(est) == "mixture_of_experts"
