"""Perceptrons of one shape, a modality each, computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..slots import slot
from .architectures import CReLU
from .mlp import ACTIVATIONS, Linear
from .networks import Networks

_BETWEEN = (*ACTIVATIONS.values(), CReLU)


class StackedNetworks(Networks):
    """M perceptrons of one shape; their weights are stacked, and a layer is one product for all.

    What they compute is the same as in ``SeparateNetworks``. M small products take longer than
    one large one.

    Parameters
    ----------
    networks : sequence of nn.Sequential
        For which :meth:`can_hold` is true. Their weights are copied.

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import mlp
    >>> from skpoe.nn.stacked import StackedNetworks
    >>> made = [mlp(3, 2, [8], "relu", torch.Generator().manual_seed(m)) for m in range(4)]
    >>> together = StackedNetworks(made)
    >>> x = torch.ones(5, 3)
    >>> together.each([x] * 4).shape
    torch.Size([5, 4, 2])
    >>> torch.allclose(together.one(1, x), made[1](x))
    True
    """

    weights: nn.ParameterList = slot()
    biases: nn.ParameterList = slot()
    activations: nn.ModuleList = slot()

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        super().__init__()
        layers = list(zip(*(_affine(network) for network in networks), strict=True))
        self.weights = nn.ParameterList(
            torch.stack([layer.weight.detach().mT for layer in alike]) for alike in layers
        )
        self.biases = nn.ParameterList(
            torch.stack([layer.bias.detach()[None] for layer in alike]) for alike in layers
        )
        self.activations = nn.ModuleList(list(networks[0])[1::2])
        self._n_networks = len(networks)

    @staticmethod
    def can_hold(networks: Sequence[nn.Module]) -> bool:
        """Say whether all are affine layers with activations in between, of the same shapes."""
        return len({_shape(network) for network in networks}) == 1 and bool(_shape(networks[0]))

    def __len__(self) -> int:
        return self._n_networks

    def __getitem__(self, modality: int) -> nn.Sequential:
        """Give one of the networks, to look at.

        Its weights are views: what changes them in place changes what is stacked. Gradients do
        not come to them.
        """
        layers: list[nn.Module] = []
        for weight, bias in zip(self.weights, self.biases, strict=True):
            layer = Linear(*weight.shape[1:])
            layer.weight = nn.Parameter(weight[modality].mT.detach())
            layer.bias = nn.Parameter(bias[modality, 0].detach())
            layers.append(layer)
        between = [*self.activations, nn.Identity()]
        pairs = zip(layers, between, strict=True)
        return nn.Sequential(*[module for pair in pairs for module in pair][:-1])

    @property
    def networks(self) -> list[nn.Sequential]:
        """All of them, to look at."""
        return [self[m] for m in range(len(self))]

    def one(self, modality: int, x: Tensor) -> Tensor:
        for weight, bias, before in self._layers():
            x = torch.addmm(bias[modality], before(x), weight[modality])
        return x

    def each(self, values: Sequence[Tensor] | Tensor) -> Tensor:
        return self._together(_stacked(values)).transpose(0, 1)

    def every(self, x: Tensor) -> Tensor:
        return self._together(x.expand(len(self), *x.shape))

    def own(self, values: Sequence[Tensor] | Tensor) -> Sequence[Tensor] | Tensor:
        if not isinstance(values, Tensor) and len({value.shape for value in values}) > 1:
            return super().own(values)
        return self._together(_stacked(values))

    def _together(self, x: Tensor) -> Tensor:
        """Apply all to inputs of their own: (M, N, n_in) -> (M, N, n_out)."""
        for weight, bias, before in self._layers():
            x = torch.baddbmm(bias, before(x), weight)
        return x

    def _layers(self) -> Iterator[tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]]:
        """Give weights and biases of each layer, and what comes before it."""
        # in a tenth of the time in which lists of torch are gone over
        weights, biases = self.weights._parameters.values(), self.biases._parameters.values()
        before = (_as_it_is, *self.activations._modules.values())
        return cast("Iterator[Any]", zip(weights, biases, before, strict=True))


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _stacked(values: Sequence[Tensor] | Tensor) -> Tensor:
    return values if isinstance(values, Tensor) else torch.stack(list(values))


def _affine(network: nn.Sequential) -> list[nn.Linear]:
    return cast("list[nn.Linear]", list(network)[::2])


def _shape(network: nn.Module) -> tuple[object, ...]:
    """Describe a perceptron, so that those of one shape are equal; nothing of other networks."""
    layers = list(network) if type(network) is nn.Sequential else []
    affine, between = layers[::2], layers[1::2]
    plain = all(type(layer) in (Linear, nn.Linear) for layer in affine)
    if not plain or len(affine) != len(between) + 1:
        return ()
    if any(type(module) not in _BETWEEN for module in between):
        return ()
    if any(layer.bias is None for layer in affine):
        return ()
    sizes = [(layer.weight.shape, layer.weight.dtype) for layer in affine]
    return (*sizes, *map(type, between))
