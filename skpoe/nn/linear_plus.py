"""A linear map, plus a network that says nothing at first."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..device import can_ask
from ..random import RowNoise, row_keys


class LinearPlus(nn.Module):
    """W x + b + network(x), where the network starts as zero.

    So a model can start as a linear one that is known to be good, and training adds what is not
    linear.

    Parameters
    ----------
    n_in, n_out : int
        Of the linear map. A network may read more: the linear map reads the first n_in inputs.
    network : nn.Module, default=None
        Its last affine layer is set to zero. A linear map alone when None.
    reach : float, default=None
        The network reads values clipped to +- so much; the linear map does not.
    dropout : float, default=0.0
        Share of its inputs that the network does not see in training.
    seed : int, default=0
        Says which, with a count of the steps: no global generator is read.

    Examples
    --------
    >>> import torch
    >>> from skpoe.nn import LinearPlus
    >>> both = LinearPlus(3, 2, torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(),
    ...                                             torch.nn.Linear(4, 2)))
    >>> both.start(torch.eye(2, 3), torch.zeros(2))
    >>> both(torch.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[1.0, 2.0]]
    """

    n_steps: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        network: nn.Module | None = None,
        reach: float | None = None,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_out, n_in, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float32))
        self.network = network
        self.reach = reach
        self.dropout, self.seed = dropout, seed
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))
        if network is not None:
            silence(network)

    @torch.no_grad()
    def start(self, weight: Tensor, bias: Tensor) -> None:
        """Set the linear map."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_in or more) to (..., n_out)."""
        linear = F.linear(x[..., : self.weight.shape[1]], self.weight, self.bias)
        if self.network is None:
            return linear
        read = x if self.reach is None else x.clamp(-self.reach, self.reach)
        if self.training and self.dropout:
            read = read * self._kept(read)
        return linear + self.network(read)

    def _kept(self, x: Tensor) -> Tensor:
        """Draw which inputs (N, n) are seen; those count for the others too.

        The draw belongs to the values of a row, so that repeated rows share it.
        """
        rows = RowNoise(self.seed, row_keys([x.detach()]))
        number = int(self.n_steps) if can_ask(x) else self.n_steps
        uniform = rows.fold(number).uniform(event=x.shape[-1], dtype=x.dtype)
        self.n_steps += 1
        return (uniform > self.dropout) / (1 - self.dropout)


@torch.no_grad()
def silence(network: nn.Module) -> None:
    """Set the last layer that has weights to zero, which must be what the network ends with."""
    with_weights = [m for m in network.modules() if next(m.parameters(False), None) is not None]
    for parameter in with_weights[-1].parameters() if with_weights else ():
        parameter.zero_()
