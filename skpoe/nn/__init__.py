"""Default networks. An encoder or decoder factory is any callable (n_in, n_out) -> nn.Module."""

from .mlp import ACTIVATIONS, mlp
from .networks import Networks, SeparateNetworks, SharedNetwork, networks_of
from .shared import Shared

__all__ = [
    "ACTIVATIONS",
    "Networks",
    "SeparateNetworks",
    "Shared",
    "SharedNetwork",
    "mlp",
    "networks_of",
]
