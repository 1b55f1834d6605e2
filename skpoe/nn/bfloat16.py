"""Networks that are trained in half of the precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class InBfloat16(nn.Module):
    """A network whose products are taken in bfloat16 in training, and as they are afterwards.

    Weights, and what is said, keep their precision. GPUs take such products several times as
    fast; most CPUs take them more slowly.

    Parameters
    ----------
    network : nn.Module

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import InBfloat16
    >>> network = InBfloat16(torch.nn.Linear(3, 2)).train()
    >>> network(torch.ones(1, 3)).dtype
    torch.float32
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network: (N, n_in) to (N, n_out)."""
        if not self.training:
            return self.network(x)
        # a network runs once in a step: there is nothing to keep
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            said = self.network(x)
        return said.to(x.dtype)
