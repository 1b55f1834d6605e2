"""From rows to results, chunk by chunk: every prediction from data goes this way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

from ..data.batch import Batch
from ..data.layout import Layout
from ..data.source import Source
from ..likelihoods import Likelihood
from ..metrics import (
    MOST_COMPONENTS,
    predictive_draws,
    predictive_log_weights,
    truncated,
)
from ..model import MultimodalVAE
from ..posteriors import SubsetPosterior
from ..random import RowNoise, row_keys, tell_apart
from ..threads import limit_threads
from .double import double_of
from .reading import check_support
from .writing import New

# numbers that one chunk of a prediction may hold at once in its widest layer
_CHUNK = 2**20
# a GPU takes so many times as many, or it waits for Python
_ON_GPU = 64
# is told how many rows are done, of how many; of this thread alone
_watcher: ContextVar[Callable[[int, int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(tell: Callable[[int, int], None]) -> Iterator[None]:
    """Tell how many rows predictions have done, of how many, after each chunk."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


class PredictionMixin:
    """Functions of rows, and means of what they lack, for an estimator with a model."""

    n_importance_samples: int
    n_threads: int | None
    imputation: str
    hidden_layer_sizes: Sequence[int]
    latent_dim_: int
    model_: MultimodalVAE
    _auto_imputation: str
    _layout: Layout
    _seed: int

    def _means(
        self,
        source: Source,
        wanted: Sequence[int],
        *,
        missing_only: bool = True,
        say: Callable[[Likelihood, Tensor], Tensor] = lambda part, mean: part.best_guess(mean),
        how: str | None = None,
        into: New | None = None,
    ) -> list[np.ndarray]:
        """Means of some modalities given what rows show; NaN in rows where nothing is missing.

        ``say`` takes the means (n, W_m) of a likelihood to what is wanted of them; ``how`` stands
        in for ``imputation``.
        """
        asks = self.imputation in ("auto", "mean") and self.model_.prediction_networks is not None
        how = self._how_to_average(self.imputation if how is None else how)
        if asks and how == "importance" and not missing_only:
            how = "mean"  # what is seen needs no weights, and draws take long
        n_draws = 1 if how == "mean" else self.n_importance_samples

        def means(model: MultimodalVAE, batch: Batch, noise: RowNoise) -> list[Tensor]:
            stream = noise.fold("fill")
            masks = [batch.masks[m] for m in wanted]
            # draws are for decoders: of rows that show a part of what is wanted, or all of it
            needed = not (asks and missing_only) or any(map(_in_part, masks))
            draws = how != "mean" and needed
            if not draws:
                posterior = model.posterior(batch, noise=stream).thin(MOST_COMPONENTS, stream)
                z = posterior.centres()
            else:
                posterior, z = predictive_draws(model, batch, stream, n_draws, antithetic=True)
            weights = posterior.log_weights.expand(z.shape[:-1])
            if how == "importance" and draws:
                log_weights = predictive_log_weights(model, batch, posterior, z)
                weights = weights + truncated(log_weights, posterior)
            weights = torch.softmax(weights.flatten(0, 1), dim=0).view_as(weights)  # (K, S, N)
            filled = []
            for m, mask in zip(wanted, masks, strict=True):
                rows = ~mask.all(-1) if missing_only else torch.ones_like(mask[:, 0])
                decoded = model.mean(z[:, :, rows], m)  # (K, S, rows, W)
                mean = torch.einsum("ksn,ksnf->nf", weights[:, :, rows].to(decoded.dtype), decoded)
                if asks:
                    # the more is seen of a modality, the more its decoder knows of the rest
                    shown = mask[rows].to(mean.dtype).mean(-1, keepdim=True)
                    mean = torch.lerp(_predicted(model, posterior, rows, m), mean, shown)
                told = say(model.likelihoods[m], mean)
                everywhere = told.new_full((len(batch), told.shape[1]), torch.nan)
                everywhere[rows] = told
                filled.append(everywhere)
            return filled

        return self._predict(source, means, n_draws, into=into)

    def _how_to_average(self, imputation: str) -> str:
        """Read ``imputation``."""
        if imputation != "auto":
            return imputation
        members = (part for each in self.model_.likelihoods for part in each.members())
        if not all(part.mean_is_linear for part in members):
            return "posterior"
        # decoders that were not taught to predict need the weights
        taught = self.model_.prediction_networks is None
        return self._auto_imputation if taught else "importance"

    def _predict(
        self,
        source: Source,
        function: Callable[[MultimodalVAE, Batch, RowNoise], list[Tensor]],
        n_draws: int = 1,
        *,
        distinct: bool = False,
        n_read: int = 1,
        into: New | None = None,
    ) -> list[np.ndarray]:
        """Run a function over chunks of rows; every prediction from data goes through here.

        Its randomness belongs to the rows, so chunks, order and company do not change a result.
        ``distinct`` says that rows that are alike are different draws; ``n_read``, of how many
        rows posteriors are held for each row; ``into`` takes the results, in the place of arrays
        that are new.
        """
        model, device, _ = self._model_for(source.dtype)
        widths = (likelihood.width for likelihood in model.likelihoods)
        widest = max(*widths, *self.hidden_layer_sizes, self.latent_dim_)
        n_subsets, family = len(model.subsets), model.strategy.family
        each = family.n_held(self.latent_dim_) * n_subsets * n_read
        judged = n_draws * min(n_subsets, MOST_COMPONENTS) * self.latent_dim_ if n_draws > 1 else 0
        chunk = _CHUNK * _ON_GPU if device.type == "cuda" else _CHUNK
        size = max(1, chunk // max(widest * n_draws, each, judged))
        into = New(len(source), source.dtype) if into is None else into
        seen: Counter[int] = Counter()
        if into.is_given:
            for rows in source.chunks():
                check_support(model.likelihoods, self._layout, source[rows], rows.start)
        with torch.no_grad(), limit_threads(self.n_threads):
            for start in range(0, len(source), size):
                arrays = source[start : start + size]
                if not into.is_given:
                    check_support(model.likelihoods, self._layout, arrays, start)
                batch = model.read(arrays)
                keys = row_keys(batch.values, batch.masks)
                noise = RowNoise(self._seed, tell_apart(keys, seen) if distinct else keys)
                part = [tensor.cpu().numpy() for tensor in function(model, batch, noise)]
                into.write(start, arrays, part)
                if (tell := _watcher.get()) is not None:
                    tell(min(start + size, len(source)), len(source))
        return into.arrays

    def _model_for(self, dtype: np.dtype) -> tuple[MultimodalVAE, torch.device, torch.dtype]:
        """Return the model in the precision of the data, if that is the higher one."""
        parameter = next(self.model_.parameters())
        if dtype == np.float64 and parameter.dtype is torch.float32:
            return double_of(self.model_), parameter.device, torch.float64
        return self.model_, parameter.device, parameter.dtype


def _in_part(mask: Tensor) -> bool:
    """Whether a row shows some entries of a modality and lacks others."""
    return bool((mask.any(-1) & ~mask.all(-1)).any())


def _predicted(
    model: MultimodalVAE, posterior: SubsetPosterior, rows: Tensor, modality: int
) -> Tensor:
    """Means of a modality that prediction networks say of n of the rows, (n, W_m)."""
    centres = posterior.centres()[0]
    weights = torch.softmax(posterior.log_weights.expand(centres.shape[:-1]), dim=0)
    means = model.likelihoods[modality].mean(model.predict(centres[:, rows], modality))
    return torch.einsum("sn,snf->nf", weights[:, rows].to(means.dtype), means)
