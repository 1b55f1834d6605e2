"""Checkpoints: a fit under way as a file, from which it goes on as if it had not stopped."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.layout import Layout
from ..data.source import Source
from ..device import find_device
from ..distributed import Team
from ..io import Decoder, Encoder, FileFormatError, digest_of, members, read, write
from ..io.layouts import encode_layout
from ..io.values import copied
from ..stopping import Best
from .reading import blocks_of
from .saving import UNSAVED, check_alike, check_packed, pack, refusing, unpack
from .shaping import shape_of
from .state import State

# what may be another when a fit goes on: nothing that is learned depends on it
_INDIFFERENT = {*UNSAVED, "device", "imputation", "n_importance_samples", "n_threads", "verbose"}
_SECTION = {
    "of": dict,
    "stage": str,
    "began": tuple,
    "diverged": str,
    "best": object,
    "start_weight": object,
    "begun": object,
    "fresh": object,
    "held": object,
    "is_long": bool,
}
_BEST = {"weights": dict, "epoch": int, "score": float, "waited": int}


class Checkpoint:
    """The file of one fit. It is that of an estimator, with what training needs beside.

    Parameters
    ----------
    estimator : BaseVAE
        With the path, or that of a folder, where each fit has a file of its own.
    source : Source
    weight : Tensor of shape (N,)
    layout : Layout
    before : BaseVAE or None
        Whose model the fit goes on from.

    Raises
    ------
    TypeError
        When a parameter is something that no file can hold.
    """

    def __init__(
        self, estimator: Any, source: Source, weight: Tensor, layout: Layout, before: Any
    ) -> None:
        self.estimator = estimator
        self.n_rows = len(source)
        self.callables: list[Any] = []
        self.identity = self._identify(source, weight, layout, before)
        self.path = Path(estimator.checkpoint)
        if self.path.is_dir():
            name = f"{type(estimator).__name__}-{digest_of(self.identity, {})[:16]}.skpoe"
            self.path = self.path / name
        self._fails = False

    def _identify(
        self, source: Source, weight: Tensor, layout: Layout, before: Any
    ) -> dict[str, str]:
        """Say by digests which fit this is: all that its result depends on."""
        said = {"the estimator": type(self.estimator).__name__}
        for name, value in self.estimator.get_params(deep=False).items():
            if name not in _INDIFFERENT:
                encode, what = Encoder(), f"parameter '{name}'"
                said[what] = digest_of({"": encode(value, what)}, encode.tensors)
                self.callables += encode.callables
        encode = Encoder()
        form = encode_layout(layout, encode)
        said["the form of X"] = digest_of(form, encode.tensors)
        said["the values of X"] = _digest_of_values(source)
        # rows of large files are visited in another order than rows in memory
        double = self.estimator.dtype == "float64"
        said["the files that X is in"] = str(blocks_of(source, 8 if double else 4))
        said["sample_weight"] = digest_of({}, {"": weight})
        said["the model that it goes on from"] = ""
        if before is not None:
            state = {name: copied(value) for name, value in before.model_.state_dict().items()}
            done = {"seed": before._seed, "step": before._run.step}
            said["the model that it goes on from"] = digest_of(done, state)
        return said

    def find(self) -> State | None:
        """Read the state that the fit is to go on from; None when there is no file yet.

        Raises
        ------
        ValueError
            When the file is of another fit, or of an estimator that is not in training.
        FileFormatError
            When it is none of this library, or damaged.
        OSError
            When it cannot be read.
        """
        try:
            document, tensors = read(self.path)
        except FileNotFoundError:
            return None
        path = os.fspath(self.path)
        if "checkpoint" not in document:
            raise ValueError(
                f"checkpoint {path!r} cannot be resumed: est.save wrote it, and it does not say "
                "how training went on. skpoe.load reads it; give checkpoint another path."
            )
        try:
            with refusing():
                section = Decoder(tensors)(document["checkpoint"])
                members(section, "checkpoint", dict, _SECTION)
                differing = self._differing(section["of"], document["parameters"])
            if not differing:
                est = unpack(document, tensors, self.callables)
                with refusing():
                    return self._state(est, section)
        except FileFormatError as error:
            raise FileFormatError(f"checkpoint {path!r} cannot be resumed: {error}") from error
        raise ValueError(
            f"checkpoint {path!r} is of another fit, and cannot be resumed: what differs is "
            f"{', '.join(differing)}. Fit with what it was begun with, give checkpoint another "
            "path (in a folder each fit has a file of its own), or begin anew with resume=False."
        )

    def _differing(self, of: dict[str, str], was: dict[str, Any]) -> list[str]:
        """Name what a fit depends on that is not as it was."""
        differing = [what for what in self.identity if self.identity[what] != of.get(what)]
        for number, what in enumerate(differing):
            said = was.get(what.removeprefix("parameter '").removesuffix("'"))
            if isinstance(said, (int, float, str)):
                differing[number] = f"{what} (it was {said!r})"
        return differing

    def _state(self, est: Any, section: dict[str, Any]) -> State:
        """Put a state together, and refuse what does not fit the estimator."""
        device = find_device(self.estimator.device)
        model, objective = est.model_.to(device), est._objective.to(device)
        # the caller's own objects: those of the file are others
        about = est._layout, est._seed, est.auto_, est._run, shape_of(self.estimator)
        state = State(model, objective, *about)
        state.stage, state.start_weight = section["stage"], section["start_weight"]
        state.is_long = section["is_long"]
        state.run.began, state.run.diverged = section["began"], section["diverged"]
        done = len(state.run.history), state.run.step
        if len(state.run.began) != 2 or not all(
            type(n) is int and 0 <= n <= most
            for n, most in zip(state.run.began, done, strict=True)
        ):
            raise FileFormatError("it began after it ended")
        weight = state.start_weight
        if weight != "auto" and not (isinstance(weight, float) and 0 <= weight <= 1):
            raise FileFormatError("its start_weight is out of range")
        own = state.learned.state_dict()
        if (best := section["best"]) is not None:
            members(best, "best weights", dict, _BEST)
            _check_weights(best["weights"], own, "best weights")
            state.run.best = Best(**best)
        if (begun := section["begun"]) is not None:
            _check_weights(begun, dict(model.named_parameters()), "start")
            state.begun = {name: value.to(device) for name, value in begun.items()}
        if state.stage == "rehearsal":
            _check_weights(section["fresh"], own, "start of training")
            if not _are_rows(section["held"], self.n_rows) or state.begun is None:
                raise FileFormatError("its rehearsal holds out no rows")
            state.fresh, state.held = section["fresh"], section["held"].to(device)
        elif state.stage not in ("training", "finished"):
            raise FileFormatError(f"it is in no stage of a fit: {state.stage[:40]!r}")
        return state

    def begin(self, state: State) -> None:
        """Write the first state, and make sure that it can be read again.

        Raises
        ------
        OSError
            When the file cannot be written.
        ValueError
            When what is read would be another model.
        """
        if Team().rank:  # of processes that train together, the first writes
            return
        document, tensors, callables = pack(*self._packed(state))
        check_packed(self._stand_in(state), document, tensors, callables)
        try:
            write(self.path, document, tensors)
        except OSError as error:
            raise OSError(
                error.errno, f"The checkpoint cannot be written: {error.strerror}", str(self.path)
            ) from error

    def keep_if_due(self, state: State) -> None:
        """Write the state if so many epochs have passed."""
        if (len(state.run.history) - state.run.began[0]) % self.estimator.checkpoint_every == 0:
            self.keep(state)

    def keep(self, state: State) -> None:
        """Write the state; where that fails, warn, for training is worth more than its file."""
        if Team().rank:
            return
        try:
            document, tensors, _ = pack(*self._packed(state))
            write(self.path, document, tensors)
        except (OSError, ValueError) as error:
            if not self._fails:  # once, until it works again
                self._fails = True
                warnings.warn(
                    f"The checkpoint {os.fspath(self.path)!r} could not be written after epoch "
                    f"{len(state.run.history)}: {error}. Training goes on; the file there is that "
                    "of an earlier epoch, if it is still there.",
                    RuntimeWarning,
                    stacklevel=2,
                )
        else:
            self._fails = False

    def _stand_in(self, state: State) -> Any:
        """Give an estimator as if training had stopped at a state, with the very same model."""
        made = object.__new__(type(self.estimator))
        vars(made).update(vars(self.estimator) | state.fitted())
        return made

    def _packed(self, state: State) -> tuple[Any, dict[str, Any]]:
        best = state.run.best
        return self._stand_in(state), {
            "of": self.identity,
            "stage": state.stage,
            "began": state.run.began,
            "diverged": state.run.diverged,
            "best": None if best is None else dict(vars(best)),
            "start_weight": state.start_weight,
            "begun": state.begun,
            "fresh": state.fresh,
            "held": state.held,
            "is_long": state.is_long,
        }


def _check_weights(said: Any, own: dict[str, Tensor], what: str) -> None:
    members(said, what, dict)
    if not all(isinstance(value, Tensor) for value in said.values()):
        raise FileFormatError(f"its {what} should be tensors")
    check_alike(said, own, what)


def _are_rows(said: Any, n_rows: int) -> bool:
    """Whether something is numbers of some rows, but not of all."""
    return (
        isinstance(said, Tensor)
        and said.dtype is torch.int64
        and said.ndim == 1
        and 0 < len(said) < n_rows
        and bool((said[1:] > said[:-1]).all())
        and 0 <= int(said[0]) <= int(said[-1]) < n_rows
    )


def _digest_of_values(source: Source) -> str:
    """Hash all values, modality by modality, so that it does not matter how they are read."""
    digests = [hashlib.sha256() for _ in source.widths]
    for rows in source.chunks():
        for digest, array in zip(digests, source[rows], strict=True):
            digest.update(np.ascontiguousarray(array))
    about = [len(source), str(source.dtype), *(digest.hexdigest() for digest in digests)]
    return digest_of({"": about}, {})
