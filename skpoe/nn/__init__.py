"""Networks. An encoder or decoder factory is any callable (n_in, n_out) -> nn.Module."""

from .architectures import ARCHITECTURES, Architecture, MLPFactory
from .bfloat16 import InBfloat16
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
    "InBfloat16",
    "LinearPlus",
    "MLPFactory",
    "Shared",
    "mlp",
]
