"""Fitted estimators as files that hold no code."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ..data.layout import Layout
from ..io import Budget, Decoder, Encoder, FileFormatError, members, read, structure, write
from ..io.layouts import decode_layout, encode_layout
from ..io.values import copied
from ..likelihoods import Likelihood
from ..model import MultimodalVAE
from ..objectives import Objective
from .shaping import changed_shape

_DOCUMENT = {
    "library": str,
    "estimator": str,
    "parameters": dict,
    "layout": dict,
    "likelihoods": list,
    "kept": dict,
    "output": object,
}
# where files go, and what torch compiles, is no part of a model; and none that is loaded shall
# write where a stranger says
UNSAVED = {"checkpoint", "checkpoint_every", "compile", "resume"}
# parameters that files of earlier versions do not say, and what these did
_LATER = {"prediction_networks": False}
_OUTPUTS = ("default", "pandas", "polars", None)
# a seed or a count of steps is a torch integer
_MOST = 2**63


class SavingMixin:
    """Writes an estimator to a file; :func:`load` reads it.

    An estimator says by ``_kept`` which values it needs beside parameters, the layout of X and
    weights, and takes them back in ``_recompose`` and ``_settle``.
    """

    # name to type
    _kept: Mapping[str, type]

    def _keep(self) -> dict[str, Any]:
        """Give the values of ``_kept``."""
        raise NotImplementedError

    def _recompose(
        self, kept: dict[str, Any], layout: Layout, likelihoods: list[Any]
    ) -> tuple[MultimodalVAE, Objective | None]:
        """Put model and objective together, with any weights."""
        raise NotImplementedError

    def _settle(
        self,
        kept: dict[str, Any],
        layout: Layout,
        model: MultimodalVAE,
        objective: Any,
        moments: dict[int, dict[str, Tensor]],
    ) -> None:
        """Set the fitted attributes."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted estimator to a file that holds numbers, names and settings, no code.

        ``skpoe.load`` reads it. Predictions of what it gives are the same to the bit, and so is
        further training on a CPU.

        Parameters
        ----------
        path : str or path-like
            A file there is replaced when all of the new one is written. The usual name is
            "model.skpoe".

        Returns
        -------
        path : Path
            Of the file.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        TypeError
            When a parameter is something that no file can hold, such as a lambda or a generator of
            random numbers; the message says what to give instead.
        ValueError
            When parameters that networks are made of were changed since ``fit``.
        ImportError
            Without safetensors: ``pip install 'skpoe[io]'``.
        OSError
            When the file cannot be written; nothing is left behind.
        """
        check_is_fitted(self)
        document, tensors, callables = pack(self)
        check_packed(self, document, tensors, callables)
        return write(path, document, tensors)


def load(path: str | os.PathLike[str], *, trusted: Sequence[Any] = ()) -> Any:
    """Read an estimator that ``est.save`` wrote. No code in the file runs, for there is none.

    Parameters
    ----------
    path : str or path-like
        Of ``save``, or of a checkpoint: an estimator as training had made it by then.
    trusted : sequence of function or class, default=()
        Where parameters were your own functions or classes, such as factories of networks: the
        file names them, and they are looked up here. Nothing else is imported.

    Returns
    -------
    est : estimator
        Fitted, on the CPU.

    Raises
    ------
    skpoe.io.FileFormatError
        A ValueError: when the file is not what ``save`` writes, was damaged or changed, or names
        something that is not in ``trusted``.
    ImportError
        Without safetensors: ``pip install 'skpoe[io]'``.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import skpoe
    >>> X = np.random.default_rng(0).normal(size=(20, 3))
    >>> est = skpoe.MVAE(max_iter=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = skpoe.load(est.save(f"{folder}/model.skpoe"))
    >>> bool((again.transform(X) == est.transform(X)).all())
    True
    """
    document, tensors = read(path)
    try:
        return unpack(document, tensors, trusted)
    except FileFormatError as error:
        raise FileFormatError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error


def _models(est: Any) -> tuple[Any, Any]:
    return est.model_, getattr(est, "_objective", None)


def pack(
    est: Any, checkpoint: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor], list[Any]]:
    """Give the document, the tensors, and the functions and classes of users that it names.

    Parameters
    ----------
    est : estimator
        Fitted.
    checkpoint : dict, default=None
        What its training needs to go on.
    """
    from .. import __version__
    from . import all_estimators

    name, encode = type(est).__name__, Encoder()
    if dict(all_estimators()).get(name) is not type(est):
        raise TypeError(
            f"{name} is no estimator of this library, and only these can be saved: {est!r}. "
            "joblib.dump saves any, for those who trust the file."
        )
    document = {
        "library": __version__,
        "estimator": name,
        "parameters": {
            key: encode(value, f"parameter '{key}'")
            for key, value in est.get_params(deep=False).items()
            if key not in UNSAVED
        },
        "layout": encode_layout(est._layout, encode),
        "likelihoods": [
            [encode(part, f"the likelihood of modality '{modality}'"), _runs(part.n_values)]
            for modality, part in zip(est.modality_names_, est.model_.likelihoods, strict=True)
        ],
        "kept": {key: encode(value, f"'{key}'") for key, value in est._keep().items()},
        "output": getattr(est, "_sklearn_output_config", {}).get("transform"),
    }
    if checkpoint is not None:
        document["checkpoint"] = encode(checkpoint, "the checkpoint")
    tensors = dict(encode.tensors)
    for what, module in zip(("model", "objective"), _models(est), strict=True):
        state = {} if module is None else module.state_dict()
        for key, value in state.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"A file cannot hold '{key}' of the {what}: it is no tensor.")
            tensors[f"{what}.{key}"] = copied(value)
    run = getattr(est, "_run", None)
    if run is not None and run.moments is not None:
        for number, moments in run.moments.items():
            tensors |= {f"optimizer.{number}.{k}": copied(v) for k, v in moments.items()}
    return document, tensors, encode.callables


def _runs(n_values: list[int]) -> list[list[int]]:
    """Say [1, 1, 1, 4] as [[3, 1], [1, 4]]: how many features have how many values."""
    runs: list[list[int]] = []
    for number in n_values:
        if runs and runs[-1][1] == number:
            runs[-1][0] += 1
        else:
            runs.append([1, number])
    return runs


def check_packed(
    est: Any, document: dict[str, Any], tensors: dict[str, Tensor], callables: list[Any]
) -> None:
    """Refuse with a ValueError what would not come back as it is."""
    name = type(est).__name__
    try:
        again = unpack(document, tensors, callables)
    except FileFormatError as error:
        raise ValueError(
            f"This {name} cannot be saved: with its parameters as they are now, {error}. If they "
            "were changed since fit, set them back, or fit again."
        ) from error
    if changed_shape(est) or structure(_models(again)) != structure(_models(est)):
        raise ValueError(
            f"This {name} cannot be saved: its parameters describe another model than the one "
            "that was fitted. Set those back that were changed since fit, or fit again."
        )


def unpack(document: dict[str, Any], tensors: dict[str, Tensor], trusted: Sequence[Any]) -> Any:
    """Make an estimator of what a file holds; whatever is wrong with it is a FileFormatError."""
    from . import all_estimators

    document = dict(document)
    checkpoint = document.pop("checkpoint", None)
    with refusing():
        members(document, "document", dict, _DOCUMENT)
        cls = dict(all_estimators()).get(document["estimator"])
        if cls is None:
            raise FileFormatError(
                f"{document['estimator'][:80]!r} is no estimator of this library"
            )
        decode = Decoder(tensors, trusted)
        est = cls(**_parameters(cls, document["parameters"], decode))
        est._validate_params()
        layout = decode_layout(document["layout"], decode)
        kept = {key: decode(value) for key, value in document["kept"].items()}
        members(kept, "kept values", dict, est._kept)
        if not 0 <= kept["seed"] < _MOST:
            raise FileFormatError("its seed is out of range")
        if sum(layout.widths) > sum(tensor.numel() for tensor in tensors.values()):
            raise FileFormatError("it has more features than numbers")
        decode(checkpoint)  # who resumes asks for it
        with Budget(list(tensors.values())):
            likelihoods = _likelihoods(document["likelihoods"], layout, decode)
            model, objective = est._recompose(kept, layout, likelihoods)
        groups = _by_owner(tensors, decode.used)
        _load(model, groups["model"], "model")
        if objective is not None:
            for value in groups["objective"].values():
                objective.to(value.dtype if value.dtype.is_floating_point else None)
            _load(objective, groups["objective"], "objective")
        est._settle(kept, layout, model, objective, _moments(groups["optimizer"]))
        _settle_form(est, layout, document["output"])
    return est


@contextmanager
def refusing() -> Iterator[None]:
    """Say in one kind of error what is wrong with a file, whoever found it."""
    try:
        yield
    except FileFormatError:
        raise
    except Exception as error:
        said = str(error).splitlines() or [""]
        raise FileFormatError(f"{type(error).__name__}: {said[0][:500]}") from error


def _parameters(cls: type, said: dict[str, Any], decode: Decoder) -> dict[str, Any]:
    known = set(inspect.signature(cls).parameters) - UNSAVED
    said = {name: value for name, value in _LATER.items() if name in known} | said
    if unknown := sorted(set(said) - known):
        raise FileFormatError(f"{cls.__name__} has no parameters {unknown[:10]}")
    if missing := sorted(known - set(said)):
        raise FileFormatError(f"it does not say the parameters {missing[:10]} of {cls.__name__}")
    return {key: decode(value) for key, value in said.items()}


def _likelihoods(said: list[Any], layout: Layout, decode: Decoder) -> list[Likelihood]:
    """Make likelihoods that have the shape of those that were fitted."""
    if len(said) != len(layout.widths):
        raise FileFormatError("it needs a likelihood for each modality")
    made = []
    for (one, runs), width in zip(said, layout.widths, strict=True):
        likelihood = decode(one)
        if not isinstance(likelihood, Likelihood):
            raise FileFormatError(f"{str(one)[:80]} is no likelihood")
        good = all(type(n) is int and 0 < n <= _MOST for run in runs for n in run)
        if not good or sum(times for times, _ in runs) != width:
            raise FileFormatError("a likelihood has other features than its modality")
        # where nothing is said of levels, a row of numbers
        likelihood.stand_in([number for times, number in runs for _ in range(times)])
        made.append(likelihood)
    return made


def _by_owner(tensors: dict[str, Tensor], used: set[str]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "objective": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        owner, _, rest = name.partition(".")
        if owner in groups:
            groups[owner][rest] = tensor
        elif name not in used:
            raise FileFormatError(f"nobody asks for the tensor {name[:80]!r}")
    return groups


def _load(module: nn.Module, stored: dict[str, Tensor], what: str) -> None:
    """Give a module its weights; names, dtypes and shapes must be its own."""
    own = module.state_dict()
    check_alike(stored, own, what)
    for name, tensor in own.items():
        # which values belong to which feature follows from the likelihood
        if name.startswith("likelihoods.") and tensor.dtype is torch.int64:
            if not torch.equal(stored[name], tensor):
                raise FileFormatError(f"'{name[:80]}' of its {what} has wrong numbers")
    module.load_state_dict(stored)


def check_alike(stored: dict[str, Tensor], own: dict[str, Tensor], what: str) -> None:
    """Refuse tensors of other names, dtypes or shapes."""
    if missing := sorted(set(own) - set(stored)):
        raise FileFormatError(f"its {what} lacks the tensors {missing[:5]}")
    if more := sorted(set(stored) - set(own)):
        raise FileFormatError(f"its {what} has no place for the tensors {more[:5]}")
    for name, tensor in own.items():
        there = stored[name]
        if (there.dtype, there.shape) != (tensor.dtype, tensor.shape):
            raise FileFormatError(
                f"'{name[:80]}' of its {what} is {there.dtype} of shape {tuple(there.shape)}, and "
                f"its parameters ask for {tensor.dtype} of shape {tuple(tensor.shape)}"
            )


def _moments(stored: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        number, _, kind = name.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise FileFormatError(f"the optimiser has no {name[:80]!r}")
        moments.setdefault(int(number), {})[kind] = tensor
    return moments


def _settle_form(est: Any, layout: Layout, output: Any) -> None:
    """Set what scikit-learn knows of X and of results."""
    est.n_features_in_ = sum(layout.widths)
    labels = layout.columns[0] if layout.is_table else None
    if labels is not None and all(isinstance(label, str) for label in labels):
        est.feature_names_in_ = np.asarray(labels, dtype=object)
    if output not in _OUTPUTS:
        raise FileFormatError(f"{str(output)[:40]!r} is no form of results")
    if output is not None:
        est.set_output(transform=output)


def is_record(said: Any) -> bool:
    """Whether something is a record of an epoch, as training leaves them."""
    return (
        isinstance(said, dict)
        and "loss" in said
        and all(isinstance(key, str) for key in said)
        and all(isinstance(value, (int, float)) for value in said.values())
    )


def check_arrays(kept: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse arrays of other shapes, or not of doubles."""
    for name, shape in shapes.items():
        if kept[name].shape != shape or kept[name].dtype != np.float64:
            raise FileFormatError(f"'{name}' should be of shape {shape}")
