"""The autoregressive ELBO: modalities are added one after the other, in random order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from .base import Objective, over_draws, where_shown


class AutoregressiveELBO(Objective):
    r"""What each further modality says, given those before it.

    .. math:: \sum_{t=1}^{n} \mathbb{E}_{q_t} [\log p(x_{\pi(t)} \mid z)]
        - \beta \, \mathrm{KL}(q_t \,\|\, q_{t - 1}), \quad q_0 = p(z)

    where q_t is the posterior given the first t observed modalities of a random order, another one
    for each row and step. Each term bounds log p(x_t | x_1, ..., x_{t-1}) if the posterior before
    it is exact; in general the sum is no bound, and it equals log p(x) where all are exact.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`; free bits are those of the whole row.
    step : int, default=1
        How many modalities are added at a time.
    """

    combines = True

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
        step: int = 1,
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        self.step = step

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        n_rows, n_modalities = observed.shape
        uniform = noise.fold("order").uniform(event=n_modalities).masked_fill(~observed, 2.0)
        time = uniform.argsort(-1).argsort(-1).div(self.step, rounding_mode="floor")  # (N, M)
        n_times = -(-n_modalities // self.step)
        times = torch.arange(n_times, device=observed.device)[:, None, None]
        posterior = model.posterior(batch, (time <= times) & observed)
        z = posterior.rsample(self.n_samples, noise.fold("latent"))
        rows = torch.arange(n_rows, device=observed.device)
        # each modality is scored once: by the draws of the time at which it is added
        terms = model.terms([z[:, time[:, m], rows] for m in range(n_modalities)], batch)
        fit = over_draws(self._weigh(terms).sum(-1))
        kl = posterior[0].kl(z[:, :1])[0]
        if n_times > 1:
            later = posterior[1:]
            kl = kl + later.kl_to(posterior[: n_times - 1], z[:, 1:]).sum(0)
        return where_shown(fit - self._cost(kl, kl_weight), batch)
