"""Networks. An encoder or decoder factory is any callable (n_in, n_out) -> nn.Module."""

from .architectures import ARCHITECTURES, Architecture, MLPFactory
from .conv import ConvDecoder, ConvEncoder
from .linear_plus import LinearPlus
from .mlp import ACTIVATIONS, mlp
from .shared import Shared

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "Architecture",
    "ConvDecoder",
    "ConvEncoder",
    "LinearPlus",
    "MLPFactory",
    "Shared",
    "mlp",
]
