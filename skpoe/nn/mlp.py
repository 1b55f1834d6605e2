"""Multilayer perceptrons whose weights come from a generator that is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from ..slots import slot

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
}


class Linear(nn.Linear):
    """An affine layer whose weights are anything: who makes it draws them.

    Those of a plain one come from torch's global generator, and move it.
    """

    weight: nn.Parameter = slot("parameters")
    bias: nn.Parameter = slot("parameters")

    def reset_parameters(self) -> None:
        """Draw nothing."""


def make_activation(name: str) -> nn.Module:
    """Make an activation that comes after a layer; in place, where its input is not needed."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()


def mlp(
    n_in: int,
    n_out: int,
    hidden_layer_sizes: Sequence[int],
    activation: str,
    generator: torch.Generator,
) -> nn.Sequential:
    """Make a multilayer perceptron; with no hidden layer, a linear map.

    Parameters
    ----------
    n_in, n_out : int
    hidden_layer_sizes : sequence of int
    activation : str
        A key of ``ACTIVATIONS``.
    generator : torch.Generator
        Draws the weights, uniform on +-1 / sqrt(width of the layer's input), torch's own default.

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import mlp
    >>> mlp(3, 2, [], "relu", torch.Generator().manual_seed(0))
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    sizes = (n_in, *hidden_layer_sizes, n_out)
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(sizes):
        linear = Linear(width_in, width_out, dtype=torch.float32)
        bound = width_in**-0.5
        with torch.no_grad():
            linear.weight.uniform_(-bound, bound, generator=generator)
            linear.bias.uniform_(-bound, bound, generator=generator)
        layers += [linear, make_activation(activation)]
    return nn.Sequential(*layers[:-1])
