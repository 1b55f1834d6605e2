"""Columns of several kinds in one modality."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..random import RowNoise
from .base import Chunks, Labels, Likelihood, LinearMap, Mapped


class Mixed(Likelihood):
    """Each group of columns has a likelihood of its own.

    Parameters
    ----------
    parts : sequence of (columns, Likelihood)
        ``columns`` are positions; each of 0, ..., F - 1 is in one part.

    Examples
    --------
    >>> import torch
    >>> from skpoe.likelihoods import Categorical, Gaussian, Mixed
    >>> clinic = Mixed([([0, 2], Gaussian()), ([1], Categorical())])
    >>> x = torch.tensor([[1.0, 0.0, 5.0], [3.0, 1.0, 7.0]])
    >>> clinic.start([(x, torch.ones(2, 1, dtype=torch.bool), torch.ones(2))])
    >>> clinic.width, clinic.n_outputs(3)  # two numbers, and a column a level
    (4, 4)
    >>> clinic.best_guess(clinic.mean(torch.zeros(1, 4))).tolist()
    [[2.0, 0.0, 6.0]]
    """

    name = "mixed"
    _feature_of: Tensor

    def __init__(self, parts: Sequence[tuple[Sequence[int], Likelihood]]) -> None:
        super().__init__()
        self.columns = [list(columns) for columns, _ in parts]
        together = sorted(column for columns in self.columns for column in columns)
        if together != list(range(len(together))):
            raise ValueError(
                "The parts of Mixed must hold each column 0, 1, 2, ... once; together they hold "
                f"{together}."
            )
        # a ModuleList, read as what it holds
        self.parts: Sequence[Likelihood] = nn.ModuleList(part for _, part in parts)  # type: ignore[assignment]

    @property
    def feature_of(self) -> Tensor:
        return self._feature_of

    def check(
        self, x: np.ndarray, modality: str, first_row: int = 0, labels: Labels = None
    ) -> None:
        labels = range(x.shape[1]) if labels is None else labels
        for columns, part in zip(self.columns, self.parts, strict=True):
            part.check(x[:, columns], modality, first_row, [labels[c] for c in columns])

    def start(self, chunks: Chunks) -> None:
        super().start(chunks)
        features = []
        for columns, part in zip(self.columns, self.parts, strict=True):
            part.start(Mapped(chunks, partial(_cut, columns=columns), columns))
            own = torch.tensor(columns, device=self.seen.device)
            features.append(own if part.feature_of is None else own[part.feature_of])
        self.register_buffer("_feature_of", torch.cat(features))

    def n_outputs(self, n_features: int) -> int:
        return sum(self._n_outputs())

    def _n_outputs(self) -> list[int]:
        return [
            part.n_outputs(len(columns))
            for columns, part in zip(self.columns, self.parts, strict=True)
        ]

    def standardise(self, x: Tensor) -> Tensor:
        values = [
            part.standardise(x[..., columns])
            for columns, part in zip(self.columns, self.parts, strict=True)
        ]
        return torch.cat(values, dim=-1)

    def encode(self, x: Tensor) -> Tensor:
        read = [part.encode(own) for part, own in zip(self.parts, self._own(x), strict=True)]
        return torch.cat(read, dim=-1)

    def comparable(self, x: Tensor) -> Tensor:
        own = zip(self.parts, self._own(x), strict=True)
        return torch.cat([part.comparable(values) for part, values in own], dim=-1)

    def read_linearly(self) -> None:
        for part in self.parts:
            part.read_linearly()

    @property
    def can_start(self) -> bool:  # type: ignore[override]
        """Whether all parts can."""
        return all(part.can_start for part in self.parts)

    def start_at(self, loadings: Tensor, mean: Tensor, noise: Tensor) -> LinearMap:
        widths = [part.width for part in self.parts]
        each = zip(*(values.split(widths) for values in (loadings, mean, noise)), strict=True)
        starts = [part.start_at(*own) for part, own in zip(self.parts, each, strict=True)]
        weights, biases, noises = zip(*starts, strict=True)
        return LinearMap(torch.cat(weights), torch.cat(biases), torch.cat(noises))

    def start_tail(self, residuals: Tensor, weights: Tensor) -> None:
        each = zip(self._own(residuals), self._own(weights), strict=True)
        for part, own in zip(self.parts, each, strict=True):
            part.start_tail(*own)

    def members(self) -> Iterator[Likelihood]:
        yield from self.parts

    def describe(self, labels: Sequence[Hashable]) -> dict[Hashable, str]:
        names = {
            column: part.name
            for columns, part in zip(self.columns, self.parts, strict=True)
            for column in columns
        }
        return {labels[column]: names[column] for column in sorted(names)}

    def log_density(self, x: Tensor, raw: Tensor) -> Tensor:
        densities = [
            part.log_density(own, said)
            for part, own, said in zip(self.parts, self._own(x), self._said(raw), strict=True)
        ]
        return torch.cat(densities, dim=-1)

    def log_prob(self, x: Tensor, mask: Tensor | None, raw: Tensor) -> Tensor:
        masks: Sequence[Tensor | None] = [mask] * len(self.parts)
        if mask is not None and mask.shape[-1] > 1:
            masks = self._own(mask)
        # each in its way: counts may ask for the total of what a row shows
        terms = [
            part.log_prob(own, shown, said)
            for part, own, shown, said in zip(
                self.parts, self._own(x), masks, self._said(raw), strict=True
            )
        ]
        return torch.stack(terms).sum(0)

    def mean(self, raw: Tensor) -> Tensor:
        means = [part.mean(said) for part, said in zip(self.parts, self._said(raw), strict=True)]
        return torch.cat(means, dim=-1)

    def standardised_mean(self, raw: Tensor) -> Tensor:
        said = zip(self.parts, self._said(raw), strict=True)
        return torch.cat([part.standardised_mean(own) for part, own in said], dim=-1)

    def sample(self, raw: Tensor, noise: RowNoise) -> Tensor:
        draws = [
            part.sample(said, noise.fold(number))
            for number, (part, said) in enumerate(zip(self.parts, self._said(raw), strict=True))
        ]
        return self._in_place(draws)

    def best_guess(self, mean: Tensor) -> Tensor:
        guesses = [
            part.best_guess(own) for part, own in zip(self.parts, self._own(mean), strict=True)
        ]
        return self._in_place(guesses)

    def probabilities(self, mean: Tensor) -> dict[int, Tensor]:
        return {
            columns[feature]: table
            for columns, part, own in zip(self.columns, self.parts, self._own(mean), strict=True)
            for feature, table in part.probabilities(own).items()
        }

    def interval(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        ends = [
            part.interval(low[:, columns], high[:, columns])
            for columns, part in zip(self.columns, self.parts, strict=True)
        ]
        return self._in_place([end[0] for end in ends]), self._in_place([end[1] for end in ends])

    def _own(self, x: Tensor) -> Sequence[Tensor]:
        """Deal (..., W) out to the parts."""
        return x.split([part.width for part in self.parts], dim=-1)

    def _said(self, raw: Tensor) -> Sequence[Tensor]:
        """Deal what the decoder says out to the parts."""
        return raw.split(self._n_outputs(), dim=-1)

    def _in_place(self, parts: Sequence[Tensor]) -> Tensor:
        """Bring (..., F) features of the parts into the order of the columns."""
        order = [column for columns in self.columns for column in columns]
        return torch.cat(list(parts), dim=-1)[..., np.argsort(order)]


def _cut(x: Tensor, columns: Sequence[int]) -> Tensor:
    return x[:, columns]
