"""Parameters of an estimator as options: their names, texts and values."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from .._compat import Interval, StrOptions
from ..estimators.face import BaseMultimodal

# told by --modality; nothing that a text can say
_LEFT_OUT = {"modalities", "joint_encoder"}
_DEST = "parameter."
_WORDS = {"none": None, "true": True, "false": False}


def add_parameters(parser: argparse.ArgumentParser, cls: type[BaseMultimodal]) -> None:
    """Give a parser one option for each parameter of an estimator."""
    group = parser.add_argument_group(
        f"parameters of {cls.__name__}",
        "Lists are 64,32 or JSON; what is chosen by modality or column is JSON: "
        '\'{"rna": "negative_binomial", "adt": "gaussian"}\'. none, true and false are what '
        "Python writes with a capital. Functions of one's own are for Python alone.",
    )
    texts = _texts(cls)
    for name in inspect.signature(cls).parameters:
        if name not in _LEFT_OUT:
            group.add_argument(
                option_of(name),
                dest=_DEST + name,
                default=argparse.SUPPRESS,
                metavar="VALUE",
                type=_reader(cls._parameter_constraints[name]),
                help=texts[name].replace("%", "%%"),
            )


def option_of(name: str) -> str:
    """Spell a parameter as an option."""
    return "--" + name.replace("_", "-")


def parameters_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those parameters that the command line gives."""
    return {
        key.removeprefix(_DEST): value
        for key, value in vars(arguments).items()
        if key.startswith(_DEST)
    }


def _texts(cls: type) -> dict[str, str]:
    """Type, default and description of each parameter, as the docstring has them."""
    doc = inspect.getdoc(cls) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)\n\n\w+\n-+\n", doc, re.DOTALL | re.MULTILINE)
    parts = re.split(r"^(\w+) : ", section.group(1) if section else "", flags=re.MULTILINE)
    return {
        name: " ".join(text.replace("``", "").split("\n", 1)[0].split())
        + ". "
        + " ".join(text.replace("``", "").partition("\n")[2].split())
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _reader(constraints: list[Any]) -> Callable[[str], Any]:
    """Make a function that reads a text as a parameter with these constraints takes it.

    What they do not tell stays text, for the estimator to refuse in its own words.
    """
    names = {name for one in constraints if isinstance(one, StrOptions) for name in one.options}
    takes_none = None in constraints or "random_state" in constraints
    takes_numbers = any(
        isinstance(one, Interval) or one in ("verbose", "random_state") for one in constraints
    )
    takes_lists = any(one in ("array-like", list, tuple) for one in constraints)

    def read(text: str) -> Any:
        word, number = text.lower(), _number(text)
        if text in names:
            return text
        if word in _WORDS and (word != "none" or takes_none):
            return _WORDS[word]
        if text.startswith(("[", "{")):
            return _json(text)
        if number is not None and takes_numbers:
            return number
        if takes_lists and ("," in text or number is not None):
            parts = [part.strip() for part in text.split(",")]
            return [part if _number(part) is None else _number(part) for part in parts]
        return text

    return read


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
