"""Importance-weighted bounds, and estimators of their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..device import can_ask
from ..model import MultimodalVAE
from ..posteriors import SubsetPosterior
from ..random import RowNoise
from .base import Objective, where_shown, with_gradient_of

# a share is small below this part of the largest one; values, of all draws, that make a second
# look at a few of them worth while; where more than this part would be looked at it is not
_SMALL, _LARGE, _MANY = 0.01, 2**21, 0.4
# values that draws are judged by at a time
_AT_A_TIME = 2**18


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
        if self.gradient == "iwae":
            z, ratio = posterior.rsample_and_ratio(self.n_samples, noise.fold("latent"))
        else:
            z = posterior.rsample(self.n_samples, noise.fold("latent"))
            ratio = posterior.detach().log_ratio(z)
        ratio = self._times_beta(ratio, kl_weight)
        few = self._few(model, batch, posterior, z, ratio, noise)
        if few is None:
            log_weight, surrogate = self._fit(model, z, batch).sum(-1) + ratio, None
        else:
            log_weight, surrogate = few
        value = self._bound(log_weight, posterior)
        if self.gradient == "dreg" and z.requires_grad:
            share = self._shares(log_weight.detach(), posterior)
            # the surrogate's gradient carries one factor of the share, for the decoders; what
            # moves draws gets (1 - b) share + b share^2, with b the power of the density ratio
            power = self.beta * kl_weight
            factor = (1.0 - power + power * self._within(share, posterior))[..., None]
            inferred = posterior.inferred(z)  # the density of other draws is in no weight
            z.register_hook(lambda gradient: torch.where(inferred, gradient * factor, gradient))
            if surrogate is None:
                surrogate = (share * log_weight).sum((0, 1))
        if surrogate is not None:
            value = with_gradient_of(surrogate, value)
        return where_shown(value, batch)

    def _few(
        self,
        model: MultimodalVAE,
        batch: Batch,
        posterior: SubsetPosterior,
        z: Tensor,
        ratio: Tensor,
        noise: RowNoise,
    ) -> tuple[Tensor, Tensor] | None:
        """Find the gradient by the few draws that have weight; None where it would not pay.

        The gradient of the bound is that of the log-weights, each by its share, and most shares
        are next to nothing where x has many features. So all draws are judged first, which takes
        a third of the time. Of those with small shares a few stand in for the others, with more
        weight: the mean of the gradient is the same (Russian roulette).

        Returns
        -------
        log_weight : Tensor of shape (K, S, N)
            Without a gradient.
        surrogate : Tensor of shape (N,)
            Its gradient is that of the log-weights times their shares, in expectation.
        """
        n_values = sum(value.shape[1] for value in batch.values)
        if not z.requires_grad or math.prod(z.shape[:-1]) * n_values < _LARGE or not can_ask(z):
            return None

        @torch.no_grad()
        def judge(rows: slice) -> tuple[Tensor, Tensor]:
            """Log-weights and shares of the draws of some rows."""
            some = batch[rows]
            # some draws at a time: what is between is thrown away while it is in the cache
            n_draws = max(1, _AT_A_TIME // (len(some) * n_values))
            parts = z[:, :, rows].flatten(0, 1)[:, None].split(n_draws)
            fit = torch.cat([self._fit(model, part, some).sum(-1) for part in parts])
            log_weight = fit.view_as(ratio[..., rows]) + ratio[..., rows]
            within = replace(posterior, log_weights=posterior.log_weights[:, rows])
            return log_weight, self._shares(log_weight, within)

        if not all(map(_gives_the_same_again, model.decoders.modules())):
            return None
        _, share = judge(slice(0, max(8, len(batch) // 16)))
        if float(self._chances(share).mean()) > _MANY:
            return None
        log_weight, share = judge(slice(None))
        chance = self._chances(share)
        uniform = noise.fold("few").uniform(*z.shape[:2], event=1, dtype=z.dtype)[..., 0]
        draw, subset, row = (uniform < chance).nonzero(as_tuple=True)
        weight = (share / chance)[draw, subset, row]
        fit = self._fit(model, z[draw, subset, row][None, None], batch[row]).sum((0, 1, -1))
        return log_weight, (share * ratio).sum((0, 1)).index_add(0, row, weight * fit)

    def _chances(self, share: Tensor) -> Tensor:
        """Probability with which a draw is looked at again: one for those with weight."""
        most = share.amax(0 if self.mixture == "loose" else (0, 1), keepdim=True)
        return (share / (_SMALL * most).clamp(min=torch.finfo(share.dtype).tiny)).clamp(max=1.0)

    def _bound(self, log_weight: Tensor, posterior: SubsetPosterior) -> Tensor:
        each = log_weight.logsumexp(0) - math.log(len(log_weight))  # (S, N)
        if self.mixture == "loose" or each.shape[0] == 1:
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


def _gives_the_same_again(module: nn.Module) -> bool:
    """Say whether a module is known to give the same for the same rows, whatever it saw before."""
    known = type(module).__module__.partition(".")[0] in {"torch", "skpoe"}
    changes = isinstance(module, (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase))
    return known and not changes and not getattr(module, "dropout", 0.0)
