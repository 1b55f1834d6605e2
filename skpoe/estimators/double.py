"""Copies of models in double precision, for predictions from float64 data."""

from __future__ import annotations

import copy
from weakref import WeakKeyDictionary

from torch import nn

from ..model import MultimodalVAE

# copies in double precision of models that were asked for them, for as long as the models live
_doubles: WeakKeyDictionary[nn.Module, tuple[list[int], nn.Module]] = WeakKeyDictionary()


def double_of(model: MultimodalVAE) -> MultimodalVAE:
    """Give the copy of a model, made when it is first asked for and when the model has changed."""
    versions = [each._version for each in (*model.parameters(), *model.buffers())]
    if model not in _doubles or _doubles[model][0] != versions:  # changed in place since
        _doubles[model] = versions, copy.deepcopy(model).double()
    return _doubles[model][1]
