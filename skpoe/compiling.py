"""Objectives that torch compiles: fewer and larger operations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .objectives import Objective
from .random import first_counts, number_of


def compiled(objective: Objective) -> Callable[..., Tensor]:
    """Let torch compile an objective, when it is called.

    It gives what the objective gives, up to rounding.
    """

    def value(*args: Any) -> Tensor:
        return objective(*args)

    _register()
    # the module itself would be marked as compiled, for good
    return torch.compile(value, dynamic=True, options=_options())


def _options() -> dict[str, Any]:
    """Leave out an analysis of torch that fails on a GPU where the number of rows is open."""
    fails = "triton.coalesce_tiling_analysis"  # torch 2.11: an AssertionError
    return {fails: False} if fails in torch._inductor.list_options() else {}


@functools.cache
def _register() -> None:
    """Keep the compiler out of what it cannot compile.

    It does not know how names become numbers. And it would write the large factors of the counters
    of noise into expressions of its own, where they overflow.
    """
    torch.compiler.assume_constant_result(number_of)

    @torch.library.custom_op("skpoe::first_counts", mutates_args=())
    def counts(n: int, device: torch.device) -> Tensor:
        return first_counts(n, device)

    @counts.register_fake
    def _(n: int, device: torch.device) -> Tensor:
        return torch.empty(n, dtype=torch.int64, device=device)
