"""Aligned objectives: a joint ELBO, and subset posteriors that are taught to agree with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import sample_within
from .base import Objective


class AlignedELBO(Objective):
    r"""ELBO of all that is observed, minus the distance of subset posteriors from the joint one.

    .. math:: \mathrm{ELBO}(O) - \frac{\alpha}{2} \big[
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_s))
        + \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_{O \setminus s})) \big]

    A subset s is drawn for each row and step, its size uniform between 1 and one less than what
    the row shows; with two modalities s and its complement are always the two single ones. With
    ``parts="singles"`` it is the objective of JMVAE instead:

    .. math:: \mathrm{ELBO}(O) - \alpha \sum_{m \in O}
        \mathrm{KL}(q(z \mid x_O) \,\|\, q(z \mid x_m))

    The generative model is trained by the joint term alone.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.
    alpha : float, default=1.0
        Weight of the distances.
    parts : {"split", "singles"}, default="split"
        Which posteriors are aligned.

    References
    ----------
    Joint multimodal learning with deep generative models (Suzuki, Nakayama & Matsuo, 2016),
    https://arxiv.org/abs/1611.01891, equation 5.
    """

    combines = True

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
        alpha: float = 1.0,
        parts: str = "split",
        cross: float = 0.0,
        n_modalities: int = 0,
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        self.alpha = alpha
        self.parts = parts
        self.cross = cross
        if cross:
            self.log_error = nn.Parameter(torch.full((n_modalities,), -0.15))

    @property
    def is_bound(self) -> bool:
        return self.beta >= 1.0 and self._is_plain

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        parts = self._parts(observed, noise)
        posterior = model.posterior(batch, torch.cat([observed[None], parts]), noise=noise)
        joint = posterior[0]
        z = joint.rsample(self.n_samples, noise.fold("latent"))
        if self.cross and len(parts):
            fit, crossed = self._both(model, z, batch, parts, posterior)
        else:
            fit, crossed = self._fit(model, z, batch).sum(-1).mean(0)[0], 0.0
        value = (fit - self._cost(joint.kl(z)[0], kl_weight)) * observed.any(-1) + crossed
        if not len(parts):
            return value
        apart = (joint.kl_to(posterior[1:], z) * parts.any(-1)).sum(0)
        return value - self.alpha * (apart / 2 if self.parts == "split" else apart)

    def _both(self, model, z, batch, parts, posterior):
        means = posterior.family.mean(posterior.params)[1:]  # (2, N, D)
        fit, crossed = 0.0, 0.0
        both = parts.any(-1).all(0)
        for m, likelihood in enumerate(model.likelihoods):
            side = torch.where(parts[0, :, m, None], means[1], means[0])
            raw = model.decode(torch.cat([z[:, 0], side[None]]), m)
            x, mask = batch.values[m], batch.masks[m]
            fit = fit + likelihood.log_prob(x, mask, raw[:-1]).mean(0)
            c = self.log_error[m]
            v = 0.01 + (2 * c).exp()
            error = -0.5 * ((x - raw[-1]).square() / v + v.log()) * mask
            crossed = crossed + error.sum(-1)
        return fit, 0.5 * self.cross * crossed * both

    def _parts(self, observed: Tensor, noise: RowNoise) -> Tensor:
        """Subsets to align, (S, N, M); empty where there is nothing to align."""
        n_modalities = observed.shape[1]
        if n_modalities == 1:  # one modality has no parts
            return observed[None][:0]
        if self.parts == "singles":
            single = torch.eye(n_modalities, dtype=torch.bool, device=observed.device)
            return single[:, None] & observed
        uniform = noise.fold("subsets").uniform(1, event=n_modalities + 1)
        part = sample_within(observed, uniform, lowest=1, below_all=1)
        # a row that shows one modality has no proper subset: neither has it a complement
        return torch.cat([part, observed & ~part & part.any(-1, keepdim=True)])
