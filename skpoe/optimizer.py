"""Adam, without the Python that takes longer than its arithmetic on small models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import torch
from torch import Tensor, nn

# of a parameter: how often it was moved, and averages of its gradient and of the square of that
Moments = dict[str, Tensor]
_NAMES = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Group:
    """Parameters that move at the same rate.

    Parameters
    ----------
    parameters : list of nn.Parameter
    share : float, default=1.0
        Of the learning rate.
    weight_decay : float, default=0.0
    """

    parameters: list[nn.Parameter]
    share: float = 1.0
    weight_decay: float = 0.0


class AdamW:
    """Adam with decoupled decay, by torch's fused kernel for all parameters of a group.

    The class of that name in torch calls the same function, but what it does around it takes
    several times as long on small models, and the first one in a process imports the compiler of
    torch, which takes seconds.

    Parameters
    ----------
    groups : sequence of Group
    betas : pair of float, default=(0.9, 0.99)
    eps : float, default=1e-8

    References
    ----------
    Decoupled weight decay regularization (Loshchilov & Hutter, 2019),
    https://arxiv.org/abs/1711.05101, algorithm 2.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        # the kernel takes parameters of one precision at a time
        self.groups = [
            Group(alike, group.share, group.weight_decay)
            for group in groups
            for dtype in dict.fromkeys(p.dtype for p in group.parameters)
            if (alike := [p for p in group.parameters if p.dtype == dtype])
        ]
        self.betas, self.eps = betas, eps
        self.parameters = [p for group in self.groups for p in group.parameters]
        device = self.parameters[0].device if self.parameters else None
        # counted in one place, in which each parameter has a view
        self._steps = torch.zeros(len(self.parameters), dtype=torch.float32, device=device)
        self._moments = [
            {"step": step}
            | {name: torch.zeros_like(p, requires_grad=False) for name in _NAMES[1:]}
            for p, step in zip(self.parameters, self._steps.unbind(), strict=True)
        ]
        # by group, as the kernel takes them: parameters, and what is known of them
        self._columns: list[list[list[Any]]] = []
        first = 0
        for group in self.groups:
            kept = self._moments[first : first + len(group.parameters)]
            first += len(group.parameters)
            known = ([each[name] for each in kept] for name in ("exp_avg", "exp_avg_sq", "step"))
            self._columns.append([group.parameters, *known])

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float | Tensor, skip: Tensor | None = None) -> None:
        """Move the parameters that have a gradient, at a learning rate.

        Nothing is moved where ``skip``, a float32 tensor (), is 1: a GPU is not asked.
        """
        counted: float | Tensor = 1.0 if skip is None else 1.0 - skip
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        everyone = len(gradients) == len(self.parameters)
        if everyone:
            self._steps += counted
        else:
            for step, parameter in zip(self._steps.unbind(), self.parameters, strict=True):
                if parameter.grad is not None:
                    step += counted
        first = 0
        for group, columns in zip(self.groups, self._columns, strict=True):
            if not everyone:
                moved = [p.grad is not None for p in group.parameters]
                columns = [list(compress(column, moved)) for column in columns]
            parameters, averages, squares, steps = columns
            last = first + len(parameters)
            if not parameters:
                continue
            torch._fused_adamw_(
                parameters,
                gradients[first:last],
                averages,
                squares,
                [],
                steps,
                lr=rate * group.share,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group.weight_decay,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
                found_inf=skip,
            )
            first = last

    def moments(self) -> dict[int, Moments]:
        """Give what it knows of each parameter that was ever moved, by its number.

        The tensors are its own: the next step changes them.
        """
        counts = self._steps.tolist()
        return {
            n: kept
            for n, (kept, count) in enumerate(zip(self._moments, counts, strict=True))
            if count
        }

    def load(self, moments: Mapping[int, Moments]) -> None:
        """Go on from what another one of the same parameters knew, which is copied.

        Raises
        ------
        ValueError
            When that has not the shapes and dtypes of the parameters.
        """
        for number, kept in moments.items():
            if not 0 <= number < len(self.parameters) or set(kept) != set(_NAMES):
                raise ValueError(f"The optimiser has no parameter {number} with {sorted(kept)}.")
            for name, own in self._moments[number].items():
                value = kept[name]
                good = value.dtype == own.dtype
                if name == "step":
                    good = value.dtype.is_floating_point
                if value.shape != own.shape or not good:
                    raise ValueError(
                        f"'{name}' of parameter {number} of the optimiser should be of shape "
                        f"{tuple(own.shape)} and {own.dtype}; got {tuple(value.shape)}, "
                        f"{value.dtype}."
                    )
                own.copy_(value)
