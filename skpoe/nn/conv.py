"""Convolutional networks for images, as factories ``(n_in, n_out) -> nn.Module``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral

from torch import nn

from .mlp import ACTIVATIONS, make_activation

# kernel, stride and padding that halve a side, rounded up
_HALVE = (3, 2, 1)


@dataclass(frozen=True)
class ConvEncoder:
    """Factory of encoders that read flattened images.

    Each convolution has 3 x 3 kernels and halves height and width, rounded up; a hidden layer and
    a linear layer follow.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width) of an image; sides of at least 4.
    channels : tuple of int, default=(32, 64)
        Of each convolution.
    hidden : int, default=128
        Width of the hidden layer.
    activation : str, default="relu"
        A key of ``ACTIVATIONS``.

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import ConvEncoder
    >>> network = ConvEncoder(shape=(1, 28, 28))(784, 20)
    >>> network(torch.zeros(5, 784)).shape
    torch.Size([5, 20])
    """

    shape: tuple[int, int, int]
    channels: tuple[int, ...] = (32, 64)
    hidden: int = 128
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, n_in: int, n_out: int) -> nn.Sequential:
        """Make a network (N, n_in) -> (N, n_out); n_in must be the number of pixels."""
        if n_in != math.prod(self.shape):
            raise ValueError(
                f"{type(self).__name__} of shape {self.shape} reads {math.prod(self.shape)} "
                f"numbers a row, but the modality has {n_in}. Give the shape of its images."
            )
        layers: list[nn.Module] = [nn.Unflatten(1, self.shape)]
        for before, after in pairwise((self.shape[0], *self.channels)):
            layers += [nn.Conv2d(before, after, *_HALVE), make_activation(self.activation)]
        height, width = _sides(self.shape, len(self.channels))[-1]
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(self.channels[-1] * height * width, self.hidden),
            make_activation(self.activation),
            nn.Linear(self.hidden, n_out),
        )


@dataclass(frozen=True)
class ConvDecoder:
    """Factory of decoders that make flattened images.

    The mirror image of `ConvEncoder`: a hidden layer, a linear layer, and transposed convolutions
    that double height and width until they are those of ``shape``.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width) of an image; sides of at least 4.
    channels : tuple of int, default=(64, 32)
        That each transposed convolution reads.
    hidden : int, default=128
        Width of the hidden layer.
    activation : str, default="relu"
        A key of ``ACTIVATIONS``.

    Notes
    -----
    A likelihood may ask for k numbers a pixel, ``n_out = k * n_pixels``: the first n_pixels are
    then the first number of each pixel, and so on.

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import ConvDecoder
    >>> network = ConvDecoder(shape=(1, 28, 28))(20, 784)
    >>> network(torch.zeros(5, 20)).shape
    torch.Size([5, 784])
    """

    shape: tuple[int, int, int]
    channels: tuple[int, ...] = (64, 32)
    hidden: int = 128
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, n_in: int, n_out: int) -> nn.Sequential:
        """Make a network (N, n_in) -> (N, n_out); n_out must be a multiple of the pixels."""
        n_each, rest = divmod(n_out, math.prod(self.shape))
        if rest or not n_each:
            raise ValueError(
                f"{type(self).__name__} of shape {self.shape} makes a multiple of "
                f"{math.prod(self.shape)} numbers a row, but the likelihood of the modality asks "
                f"for {n_out}. Give the shape of its images."
            )
        sides = _sides(self.shape, len(self.channels))[::-1]
        first = (self.channels[0], *sides[0])
        layers: list[nn.Module] = [
            nn.Linear(n_in, self.hidden),
            make_activation(self.activation),
            nn.Linear(self.hidden, math.prod(first)),
            nn.Unflatten(1, first),
        ]
        widths = (*self.channels, n_each * self.shape[0])
        for (before, after), (small, large) in zip(pairwise(widths), pairwise(sides), strict=True):
            # by itself it makes 2 * half - 1; an even side is one more
            extra = [side - (2 * half - 1) for half, side in zip(small, large, strict=True)]
            layers += [
                make_activation(self.activation),
                nn.ConvTranspose2d(before, after, *_HALVE, output_padding=(extra[0], extra[1])),
            ]
        return nn.Sequential(*layers, nn.Flatten())


def _check(factory: ConvEncoder | ConvDecoder) -> None:
    """Refuse what no network can be made of; lists become tuples, so that factories compare."""
    what = type(factory).__name__
    for name in ("shape", "channels"):
        sizes = tuple(getattr(factory, name))
        if not sizes or not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
            raise ValueError(f"{name} of {what} must be positive integers; got {sizes}.")
        object.__setattr__(factory, name, tuple(int(size) for size in sizes))
    if not isinstance(factory.hidden, Integral) or int(factory.hidden) < 1:
        raise ValueError(f"hidden of {what} must be a positive integer; got {factory.hidden!r}.")
    if len(factory.shape) != 3 or min(factory.shape[1:]) < 4:
        raise ValueError(
            f"shape of {what} must be (channels, height, width) with sides of at least 4; got "
            f"{factory.shape}."
        )
    if factory.activation not in ACTIVATIONS:
        raise ValueError(
            f"activation of {what} must be one of {sorted(ACTIVATIONS)}; got "
            f"{factory.activation!r}."
        )


def _sides(shape: tuple[int, int, int], n_halvings: int) -> list[tuple[int, int]]:
    """Give height and width of an image, and those after each halving."""
    sides = [shape[1:]]
    for _ in range(n_halvings):
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    return sides
