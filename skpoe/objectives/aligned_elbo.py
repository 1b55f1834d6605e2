"""Aligned objectives: a joint ELBO, and subset posteriors that are taught to agree with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..data.batch import Batch
from ..model import MultimodalVAE
from ..random import RowNoise
from ..subsets import sample_within
from .base import Objective, over_draws, where_shown

# of the errors that hidden modalities are predicted with: the least variance, and the start
_LEAST_VARIANCE, _LOG_ERROR = 0.01, -0.15
# of what prediction networks see in training: share of the rows that show nothing, and noise
_OF_NOTHING, _BLUR = 1 / 16, 0.2


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

    Of these terms the joint one alone trains the generative model. A ``prediction_weight`` gamma
    adds how well each modality is predicted from the part of the split that it is not in, at the
    posterior mean,

    .. math:: \frac{\gamma}{2} \sum_m \log \mathcal{N}\big(x_m; \hat x_m(\mathrm{E}[z \mid
        x_{s'}]), v_m\big), \quad s' = s \text{ or } O \setminus s, \ m \notin s'

    in standardised units, up to a constant. The variance v_m is learned for this term alone, so
    errors of prediction never become noise of the generative model, Gaussian or Student-t. Other
    likelihoods judge the prediction themselves; what they learn, as a scale or a dispersion, is
    then of both. Where the model has ``prediction_networks``, these predict in the place of its
    decoders, from posterior means that do not learn from it.

    Parameters
    ----------
    beta, n_samples, free_bits, likelihood_weights
        See :class:`Objective`.
    alpha : float, default=1.0
        Weight of the distances.
    parts : {"split", "singles"}, default="split"
        Which posteriors are aligned.
    prediction_weight : float, default=0.0
        gamma; asks for ``parts="split"``.
    n_modalities : int, default=0
        M; needed where there is a ``prediction_weight``.

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
        prediction_weight: float = 0.0,
        n_modalities: int = 0,
    ) -> None:
        super().__init__(
            beta, n_samples, free_bits=free_bits, likelihood_weights=likelihood_weights
        )
        if prediction_weight and parts != "split":
            raise ValueError(
                "prediction_weight predicts each modality from the part of a split that it is not "
                f"in; got parts={parts!r}. Take parts='split', or prediction_weight=0."
            )
        if prediction_weight and n_modalities < 1:
            raise ValueError(
                f"prediction_weight={prediction_weight} learns an error of each modality: say how "
                f"many there are. n_modalities must be a positive integer; got {n_modalities!r}."
            )
        self.alpha = alpha
        self.parts = parts
        self.prediction_weight = prediction_weight
        self.n_modalities = n_modalities
        self.log_error = (
            nn.Parameter(torch.full((n_modalities,), _LOG_ERROR)) if prediction_weight else None
        )

    @property
    def is_bound(self) -> bool:
        return self.beta >= 1.0 and self._is_plain and not self.prediction_weight

    def forward(
        self, model: MultimodalVAE, batch: Batch, noise: RowNoise, kl_weight: float = 1.0
    ) -> Tensor:
        observed = batch.observed
        if batch.is_whole and (self.parts == "singles" or observed.shape[1] == 2):
            observed = observed[:1]  # all rows have the same parts
        parts = self._parts(observed, noise)
        membership = torch.cat([observed[None], parts]).expand(-1, len(batch), -1)
        posterior = model.posterior(batch, membership, noise=noise)
        joint = posterior[0]
        z = joint.rsample(self.n_samples, noise.fold("latent"))
        value = -self._cost(joint.kl(z)[0], kl_weight)
        if self.prediction_weight and len(parts):
            centres = posterior[1:].centres()[0]
            fit, guesses = self._fit_and_guesses(model, batch, z, parts, centres, noise)
            prediction = self._prediction(model, batch, guesses)
            if model.prediction_networks is None:
                prediction = prediction * parts.any(-1).all(0)
            value = value + fit + 0.5 * self.prediction_weight * prediction
        else:
            value = value + over_draws(self._fit(model, z, batch).sum(-1))[0]
        value = where_shown(value, batch)
        if not len(parts):
            return value
        apart = (joint.kl_to(posterior[1:], z, shared_only=True) * parts.any(-1)).sum(0)
        return value - self.alpha * (apart / 2 if self.parts == "split" else apart)

    def _fit_and_guesses(
        self,
        model: MultimodalVAE,
        batch: Batch,
        z: Tensor,
        parts: Tensor,
        centres: Tensor,
        noise: RowNoise,
    ) -> tuple[Tensor, Sequence[Tensor] | Tensor]:
        """Log p(x | z) of draws, and what each modality is expected to be; each network runs once.

        ``centres`` (2, N, D) are the posterior means given the two parts (2, N, M).
        """
        # a modality is predicted from the part that it is not in: (M, N, D)
        others = torch.where(parts[0].mT[..., None], centres[1], centres[0])
        if model.prediction_networks is not None:
            seen = self._blurred(others, parts.any(-1).all(0), noise.fold("blur"))
            guesses = model.predict_own(seen)
            return over_draws(self._fit(model, z, batch).sum(-1))[0], guesses
        raws = model.decode_own([torch.cat([z[:, 0], other[None]]) for other in others])
        pairs = [raw.split([len(z), 1]) for raw in raws]
        drawn = [own.flatten(0, 1) for own, _ in pairs]
        fit = model.log_probs(batch, drawn, torch.Size([len(z), len(batch)]))
        return over_draws(self._weigh(fit).sum(-1)), [guess.squeeze(0) for _, guess in pairs]

    def _blurred(self, centres: Tensor, has_parts: Tensor, noise: RowNoise) -> Tensor:
        """Posterior means as prediction networks see them, which must not learn rows by heart.

        A modality that is alone in its row is predicted from nothing, as others are now and then:
        the mean is zero then.
        """
        uniform = noise.fold("nothing").uniform(event=1, dtype=centres.dtype)
        shows = (uniform > _OF_NOTHING) & has_parts[:, None]
        blur = _BLUR * noise.normal(event=centres.shape[-1], dtype=centres.dtype)
        return (centres.detach() + blur) * shows

    def _prediction(
        self, model: MultimodalVAE, batch: Batch, guesses: Sequence[Tensor] | Tensor
    ) -> Tensor:
        """Score what each modality is expected to be, (N,)."""
        # where raw is the mean: beyond a limit it is not, and no error
        by_error = [kind.has_own_noise and kind.mean_is_linear for kind in model.likelihoods]
        if not any(by_error):
            return self._weigh(model.log_probs(batch, guesses, torch.Size([len(batch)]))).sum(-1)
        terms = []
        for m, (likelihood, raw) in enumerate(zip(model.likelihoods, guesses, strict=True)):
            x, mask = batch.values[m], batch.masks[m]
            if by_error[m] and self.log_error is not None:
                variance = _LEAST_VARIANCE + (2 * self.log_error[m]).exp()
                gap = (x - raw).square() / variance + variance.log()
                term = -0.5 * (gap * mask).sum(-1)
            else:
                term = likelihood.log_prob(x, mask, raw)
            terms.append(term)
        return self._weigh(torch.stack(terms, dim=-1)).sum(-1)

    def _parts(self, observed: Tensor, noise: RowNoise) -> Tensor:
        """Subsets to align, (S, N, M); empty where there is nothing to align."""
        n_modalities = observed.shape[1]
        if n_modalities == 1:  # one modality has no parts
            return observed[None][:0]
        if self.parts == "singles":
            single = torch.eye(n_modalities, dtype=torch.bool, device=observed.device)
            return single[:, None] & observed
        if n_modalities == 2:
            single = torch.eye(2, dtype=torch.bool, device=observed.device)
            return single[:, None] & observed.all(-1, keepdim=True)
        uniform = noise.fold("subsets").uniform(1, event=n_modalities + 1)
        part = sample_within(observed, uniform, lowest=1, below_all=1)
        # a row that shows one modality has no proper subset: neither has it a complement
        return torch.cat([part, observed & ~part & part.any(-1, keepdim=True)])
