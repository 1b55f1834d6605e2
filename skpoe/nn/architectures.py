"""The networks of papers, under their names: multilayer perceptrons as factories."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from .mlp import ACTIVATIONS, make_activation


class CReLU(nn.Module):
    """The positive and the negative part side by side: (N, F) -> (N, 2 F)."""

    def forward(self, x: Tensor) -> Tensor:
        """Give relu(x), relu(-x)."""
        return torch.cat([x, -x], dim=-1).relu()


@dataclass(frozen=True)
class MLPFactory:
    """Factory of multilayer perceptrons, with torch's default weights.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
        Widths of the hidden layers; with none, the network is a linear map.
    activation : str, default="relu"
        A key of ``ACTIVATIONS``, or "crelu", the positive and the negative part side by side.

    Examples
    --------
    >>> from skpoe.nn import MLPFactory
    >>> MLPFactory((256, 128))(784, 20)
    Sequential(
      (0): Linear(in_features=784, out_features=256, bias=True)
      (1): ReLU(inplace=True)
      (2): Linear(in_features=256, out_features=128, bias=True)
      (3): ReLU(inplace=True)
      (4): Linear(in_features=128, out_features=20, bias=True)
    )
    """

    hidden_layer_sizes: tuple[int, ...]
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden_layer_sizes", tuple(self.hidden_layer_sizes))
        if self.activation not in (known := [*ACTIVATIONS, "crelu"]):
            raise ValueError(
                f"activation of MLPFactory must be one of {sorted(known)}; got "
                f"{self.activation!r}."
            )

    def __call__(self, n_in: int, n_out: int) -> nn.Sequential:
        """Make a network (N, n_in) -> (N, n_out)."""
        times = 2 if self.activation == "crelu" else 1
        layers: list[nn.Module] = []
        for before, after in pairwise((n_in, *self.hidden_layer_sizes)):
            between = CReLU() if self.activation == "crelu" else make_activation(self.activation)
            layers += [nn.Linear(before * (times if layers else 1), after), between]
        last = self.hidden_layer_sizes[-1] * times if self.hidden_layer_sizes else n_in
        return nn.Sequential(*layers, nn.Linear(last, n_out))


@dataclass(frozen=True)
class Architecture:
    """Encoder and decoder of a paper.

    Parameters
    ----------
    name : str
    encoder, decoder : MLPFactory
        For ``encoder=`` and ``decoder=`` of an estimator.
    source : str
        Where the sizes are from.

    Examples
    --------
    >>> from skpoe import MVAE
    >>> from skpoe.nn import ARCHITECTURES
    >>> paper = ARCHITECTURES["svae"]
    >>> paper.encoder.hidden_layer_sizes, paper.decoder.hidden_layer_sizes
    ((256, 128), (128, 256))
    >>> vae = MVAE(encoder=paper.encoder, decoder=paper.decoder)
    """

    name: str
    encoder: MLPFactory
    decoder: MLPFactory
    source: str


# name, hidden layers of the encoder and of the decoder, activation, source
_ROWS = [
    (
        "original",
        (500, 500, 200),
        (200, 500, 500),
        "relu",
        "poe-vae (Goffinet), MNIST halves, https://github.com/jackgoffinet/poe-vae",
    ),
    (
        "svae",
        (256, 128),
        (128, 256),
        "relu",
        "Hyperspherical variational auto-encoders (Davidson et al., 2018), "
        "https://arxiv.org/abs/1804.00891",
    ),
    (
        "mvae",
        (512, 512),
        (512, 512, 512),
        "silu",
        "Multimodal generative models for scalable weakly-supervised learning (Wu & Goodman, "
        "2018), https://arxiv.org/abs/1802.05335",
    ),
    (
        "miwae",
        (128, 128),
        (128, 128),
        "tanh",
        "MIWAE: deep generative modelling and imputation of incomplete data sets (Mattei & "
        "Frellsen, 2019), https://arxiv.org/abs/1812.02633",
    ),
    (
        "mmvae",
        (400,),
        (400,),
        "relu",
        "Variational mixture-of-experts autoencoders (Shi et al., 2019), MNIST, "
        "https://arxiv.org/abs/1911.03393",
    ),
    (
        "eddi",
        (100, 50),
        (50, 100),
        "relu",
        "EDDI: efficient dynamic discovery of high-value information with partial VAE (Ma et al., "
        "2019), https://arxiv.org/abs/1809.11142",
    ),
    (
        "iwae",
        (200, 200),
        (200, 200),
        "tanh",
        "Importance weighted autoencoders (Burda et al., 2016), https://arxiv.org/abs/1509.00519",
    ),
    (
        "jvi",
        (300, 300),
        (300, 300),
        "crelu",
        "Debiasing evidence approximations (Nowozin, 2018), activation from its code, "
        "https://openreview.net/forum?id=HyZoi-WRb",
    ),
]

ARCHITECTURES: dict[str, Architecture] = {
    name: Architecture(name, MLPFactory(down, activation), MLPFactory(up, activation), source)
    for name, down, up, activation, source in _ROWS
}
