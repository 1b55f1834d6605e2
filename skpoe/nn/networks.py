"""Networks of all modalities: one each, or one for all that is told which modality it sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Networks(nn.Module, ABC):
    """M networks, applied to one modality or to all."""

    @abstractmethod
    def __len__(self) -> int:
        """M."""

    @abstractmethod
    def one(self, modality: int, x: Tensor) -> Tensor:
        """Apply the network of a modality: (N, n_in) -> (N, n_out)."""

    @abstractmethod
    def each(self, values: Sequence[Tensor] | Tensor) -> Tensor:
        """Apply each network to its modality: M tensors (N, n_in) -> (N, M, n_out).

        They may come stacked, as one tensor.
        """

    def own(self, values: Sequence[Tensor] | Tensor) -> Sequence[Tensor] | Tensor:
        """Apply each network to an input of its own: M tensors (N_m, n_in) -> (N_m, n_out).

        Both may come stacked, as one tensor.
        """
        return [self.one(m, x) for m, x in enumerate(values)]

    @abstractmethod
    def every(self, x: Tensor) -> Sequence[Tensor] | Tensor:
        """Apply each network to the same input: (N, n_in) -> M tensors (N, n_out).

        They may come stacked, as one tensor.
        """


class SeparateNetworks(Networks):
    """A network for each modality.

    Parameters
    ----------
    networks : sequence of nn.Module
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def __len__(self) -> int:
        return len(self.networks)

    def __getitem__(self, modality: int) -> nn.Module:
        return self.networks[modality]

    def one(self, modality: int, x: Tensor) -> Tensor:
        return self.networks[modality](x)

    def each(self, values: Sequence[Tensor] | Tensor) -> Tensor:
        return torch.stack([self.one(m, x) for m, x in enumerate(values)], dim=1)

    def every(self, x: Tensor) -> Sequence[Tensor]:
        return [network(x) for network in self.networks]


class SharedNetwork(Networks):
    """One network for all modalities, which have the same width.

    It reads the values, tanh of a learned vector e that says which modality they are, and H
    products of linear maps of the two: what a value means depends on whose it is, which a
    perceptron learns slowly from a sum.

    Parameters
    ----------
    network : nn.Module
        (N, n_in + E + H) -> (N, n_out), H being the larger of n_in and E.
    embedding : nn.Parameter of shape (M, E)
        May be that of another shared network too.
    n_in : int
    generator : torch.Generator, default=None
        Draws the linear maps.
    """

    def __init__(
        self,
        network: nn.Module,
        embedding: nn.Parameter,
        n_in: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.embedding = embedding
        size = embedding.shape[1]
        width = max(n_in, size)

        def drawn(rows: int) -> nn.Parameter:
            normal = torch.randn(rows, width, generator=generator, dtype=torch.float32)
            return nn.Parameter(normal * rows**-0.5)

        self.of_values, self.of_modality = drawn(n_in), drawn(size)

    @staticmethod
    def n_read(n_in: int, embedding_dim: int) -> int:
        """Width of what the network reads."""
        return n_in + embedding_dim + max(n_in, embedding_dim)

    def _both(self, x: Tensor, place: Tensor) -> Tensor:
        products = (x @ self.of_values) * (place @ self.of_modality)
        return torch.cat([x, place.expand(*x.shape[:-1], -1), products], dim=-1)

    def __len__(self) -> int:
        return len(self.embedding)

    def one(self, modality: int, x: Tensor) -> Tensor:
        return self.network(self._both(x, torch.tanh(self.embedding[modality])))

    def each(self, values: Sequence[Tensor] | Tensor) -> Tensor:
        both = self._both(torch.stack(list(values), dim=1), torch.tanh(self.embedding))
        return self.network(both.flatten(0, 1)).unflatten(0, both.shape[:2])

    def own(self, values: Sequence[Tensor] | Tensor) -> Sequence[Tensor] | Tensor:
        if not isinstance(values, Tensor) and len({value.shape for value in values}) > 1:
            return super().own(values)
        return self.each(values).unbind(1)

    def every(self, x: Tensor) -> Sequence[Tensor]:
        return self.each([x] * len(self)).unbind(1)


def networks_of(networks: Networks | Sequence[nn.Module]) -> Networks:
    """Take a sequence of modules as the networks of so many modalities."""
    return networks if isinstance(networks, Networks) else SeparateNetworks(networks)
