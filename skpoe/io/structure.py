"""What two models must agree on to do the same with the same weights."""

from __future__ import annotations

import hashlib
import types
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

# what torch keeps in every module; weights and parts are read by their names
_TORCHS = set(vars(nn.Module()))
_PLAIN = (bool, int, float, complex, str, bytes, type, torch.dtype, np.dtype)


def structure(thing: Any, _inside: tuple[int, ...] = ()) -> Any:
    """Describe an object without the numbers that a state dict holds.

    Parameters
    ----------
    thing : object
        Modules are read with all that they hold, whatever has attributes by these.

    Returns
    -------
    description : object
        Equal for two objects that do the same once a state dict is loaded.

    Examples
    --------
    >>> import torch
    >>> from skpoe.io import structure
    >>> tanh, relu = torch.nn.Tanh(), torch.nn.ReLU()
    >>> structure([torch.nn.Linear(2, 3), tanh]) == structure([torch.nn.Linear(2, 3), tanh])
    True
    >>> structure([torch.nn.Linear(2, 3), tanh]) == structure([torch.nn.Linear(2, 3), relu])
    False
    """
    if id(thing) in _inside:
        return "itself"
    inside = (*_inside, id(thing))
    if thing is None or isinstance(thing, _PLAIN):
        return repr(thing)
    if isinstance(thing, Tensor):
        values = thing.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return _shape(thing), hashlib.sha256(values).hexdigest()
    if isinstance(thing, (np.ndarray, pd.Index)):
        return type(thing).__name__, str(thing.dtype), repr(thing.tolist())
    if isinstance(thing, pd.CategoricalDtype):
        return structure(thing.categories), thing.ordered
    if isinstance(thing, pd.api.extensions.ExtensionDtype):
        return str(thing)
    if isinstance(thing, dict):
        return [(structure(k, inside), structure(v, inside)) for k, v in thing.items()]
    if isinstance(thing, (list, tuple)):
        return [structure(part, inside) for part in thing]
    if isinstance(thing, (types.FunctionType, types.BuiltinFunctionType)):
        return thing.__module__, thing.__qualname__
    held = dict(getattr(thing, "__dict__", {}))
    if isinstance(thing, nn.Module):
        weights = {name: _shape(each) for name, each in thing._parameters.items()}
        passing = thing._non_persistent_buffers_set
        for name, each in thing._buffers.items():
            weights[name] = structure(each, inside) if name in passing else _shape(each)
        held = {name: part for name, part in held.items() if name not in _TORCHS}
        held |= thing._modules
        return type(thing).__qualname__, weights, _named(held, inside)
    return type(thing).__qualname__, _named(held, inside)


def _named(held: dict[str, Any], inside: tuple[int, ...]) -> dict[str, Any]:
    return {name: structure(held[name], inside) for name in sorted(held)}


def _shape(tensor: Tensor | None) -> Any:
    return tensor if tensor is None else (str(tensor.dtype), *tensor.shape, tensor.requires_grad)
