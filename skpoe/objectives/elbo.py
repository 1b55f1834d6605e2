"""The evidence lower bound."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import Subsets
from .base import Objective, over_draws, where_shown


class ELBO(Objective):
    r"""Evidence lower bound of what is observed, over the model's own posterior.

    .. math:: \mathbb{E}_{q(z \mid x_O)} \Big[ \sum_{m \in O} \log p(x_m \mid z) \Big]
        - \beta \, \mathrm{KL}(q(z \mid x_O) \,\|\, p(z))

    The KL is in closed form where there is one, else averaged over the draws.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.
    gradient : {"standard", "stl"}, default="standard"
        "stl" (sticking the landing) averages the KL over draws and leaves out the part of its
        gradient whose mean is zero: no noise is left where the posterior is exact.
    mixture : {"components", "density"}, default="components"
        For a mixture posterior: the mean of its components' KLs, which is larger than the KL of
        the mixture (so it is a bound still), as in MoPoE; or the density of the mixture at draws
        of each component (stratified), the ELBO of MMVAE.
    subsets : Subsets, default=None
        What the mixture is in training, if not the model's own: a sample of many subsets.
    n_drawn : int, default=None
        Of a mixture, how many components of each row z is drawn from: a stratified sample by
        their weights, which changes no mean. None is all; KLs in closed form are those of all.

    References
    ----------
    Auto-encoding variational Bayes (Kingma & Welling, 2014), https://arxiv.org/abs/1312.6114,
    equation 3.

    Sticking the landing (Roeder, Wu & Duvenaud, 2017), https://arxiv.org/abs/1703.09194,
    section 3.

    Generalized multimodal ELBO (Sutter, Daunhawer & Vogt, 2021),
    https://arxiv.org/abs/2105.02470, equation 6: the components' KLs.
    """

    def __init__(
        self,
        beta: float = 1.0,
        n_samples: int = 1,
        *,
        free_bits: float = 0.0,
        likelihood_weights: Sequence[float] | None = None,
        gradient: str = "standard",
        mixture: str = "components",
        subsets: Subsets | None = None,
        n_drawn: int | None = None,
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        self.gradient = gradient
        if n_drawn is not None and mixture == "density":
            raise ValueError(
                "mixture='density' judges draws of all components: leave n_drawn None."
            )
        self.mixture = mixture
        self.subsets = subsets
        self.n_drawn = n_drawn

    @property
    def is_bound(self) -> bool:
        return self.beta >= 1.0 and self._is_plain

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        subsets = model.subsets if self.subsets is None else self.subsets
        membership, log_weights = subsets.within(
            batch.observed, noise, whole=batch.is_whole, dtype=batch.dtype
        )
        posterior = model.posterior(batch, membership, log_weights)
        drawn = posterior if self.n_drawn is None else posterior.thin(self.n_drawn, noise)
        z = drawn.rsample(self.n_samples, noise.fold("latent"))
        fit = over_draws(self._fit(model, z, batch).sum(-1))
        charged = drawn
        if self.gradient == "standard" and self.mixture == "components":
            charged = posterior if posterior.has_kl else drawn
            kl = charged.kl(z)
        else:
            judged = drawn.detach() if self.gradient == "stl" else drawn
            kl = -judged.log_ratio(z, of_component=self.mixture == "components").mean(0)
        value = drawn.average(fit) - charged.average(self._cost(kl, kl_weight))
        return where_shown(value, batch)
