"""Importance-weighted bounds, and estimators of their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..posteriors import SubsetPosterior
from ..random import RowNoise
from .base import Objective, where_shown, with_gradient_of


class IWAE(Objective):
    r"""Importance-weighted bound with ``n_samples`` draws, over the model's own posterior.

    .. math:: \mathbb{E} \log \frac{1}{K} \sum_{k=1}^K w_k, \quad
        w_k = \prod_{m \in O} p(x_m \mid z_k)
        \Big( \frac{p(z_k)}{q(z_k \mid x_O)} \Big)^\beta, \quad z_k \sim q(z \mid x_O)

    With one draw it is the ELBO. A mixture posterior is sampled component by component, each draw
    weighted by the density of the mixture.

    Parameters
    ----------
    beta, n_samples, likelihood_weights
        See :class:`Objective`.
    gradient : {"iwae", "dreg", "stl"}, default="iwae"
        "dreg" is doubly reparameterised: less noise, more so the larger K. It is unbiased where
        the posterior has one component; for mixtures it is biased, for a draw of one component is
        judged by the density of all. "stl" leaves the density's own gradient out; with more than
        one draw, or several components inside the logarithm, that is biased, and refused.
    mixture : {"tight", "loose"}, default="tight"
        Of a mixture: the logarithm of the average over all draws of all components, or the
        average over components of the logarithm of the average over their draws.

    References
    ----------
    Importance weighted autoencoders (Burda, Grosse & Salakhutdinov, 2016),
    https://arxiv.org/abs/1509.00519, equation 8.

    Doubly reparameterized gradient estimators for Monte Carlo objectives (Tucker, Lawson, Gu &
    Maddison, 2019), https://arxiv.org/abs/1810.04152, equation 8.

    Variational mixture-of-experts autoencoders (Shi et al., 2019),
    https://arxiv.org/abs/1911.03393, equations 3 ("loose") and appendix A ("tight").
    """

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        likelihood_weights: Sequence[float] | None = None,
        gradient: str = "iwae",
        mixture: str = "tight",
    ) -> None:
        if gradient == "stl" and n_samples > 1:
            raise ValueError(
                "gradient='stl' is biased for importance-weighted bounds of more than one draw, "
                f"and n_samples={n_samples}. Take gradient='dreg', n_samples=1, or the ELBO."
            )
        super().__init__(beta, n_samples, likelihood_weights=likelihood_weights)
        self.gradient = gradient
        self.mixture = mixture

    @property
    def is_bound(self) -> bool:
        return self.beta == 1.0 and self._is_plain

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        posterior = model.posterior(batch, noise=noise)
        if self.gradient == "stl" and self.mixture == "tight" and len(posterior.log_weights) > 1:
            raise ValueError(
                "gradient='stl' is biased for a mixture with mixture='tight', which averages over "
                "the components inside the logarithm. Take mixture='loose', or gradient='iwae'."
            )
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        judged = posterior if self.gradient == "iwae" else posterior.detach()
        log_weight = self._log_weights(model, batch, judged, z, kl_weight)
        value = self._bound(log_weight, posterior)
        if self.gradient == "dreg" and z.requires_grad:
            share = self._shares(log_weight.detach(), posterior)
            # the surrogate's gradient carries one factor of the share, for the decoders; what
            # moves draws gets (1 - b) share + b share^2, with b the power of the density ratio
            power = self.beta * kl_weight
            factor = (1.0 - power + power * self._within(share, posterior))[..., None]
            inferred = posterior.inferred(z)  # the density of other draws is in no weight
            z.register_hook(lambda gradient: torch.where(inferred, gradient * factor, gradient))
            value = with_gradient_of((share * log_weight).sum((0, 1)), value)
        return where_shown(value, batch)

    def _log_weights(
        self,
        model: MultimodalVAE,
        batch: Batch,
        posterior: SubsetPosterior,
        z: Tensor,
        kl_weight: float,
    ) -> Tensor:
        fit = self._fit(model, z, batch).sum(-1)
        return fit + self.beta * kl_weight * posterior.log_ratio(z)

    def _bound(self, log_weight: Tensor, posterior: SubsetPosterior) -> Tensor:
        each = log_weight.logsumexp(0) - math.log(len(log_weight))  # (S, N)
        if self.mixture == "loose":
            return posterior.average(each)
        return (each + posterior.log_weights).logsumexp(0)

    def _shares(self, log_weight: Tensor, posterior: SubsetPosterior) -> Tensor:
        """Differentiate the bound by each log-weight: (K, S, N)."""
        if self.mixture == "loose":
            return torch.softmax(log_weight, dim=0) * posterior.log_weights.exp()
        joint = log_weight + posterior.log_weights
        return torch.softmax(joint.flatten(0, 1), dim=0).view_as(joint)

    def _within(self, share: Tensor, posterior: SubsetPosterior) -> Tensor:
        """Give a draw's share among the draws whose average stands in its logarithm."""
        if self.mixture == "tight":
            return share
        weights = posterior.log_weights.exp()
        return share / torch.where(weights > 0, weights, 1.0)
