"""Default networks. An encoder or decoder factory is any callable (n_in, n_out) -> nn.Module."""

from .mlp import ACTIVATIONS, mlp

__all__ = ["ACTIVATIONS", "mlp"]
