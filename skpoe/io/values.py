"""Python values as JSON: plain ones as they are, others as an object with one key, their kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..likelihoods import Likelihood
from .container import FileFormatError
from .objects import (
    KNOWN,
    NAME_OF,
    arguments_of,
    is_made_by_users,
    parameters_of,
    place_of,
)

# names of dtypes that numpy and pandas may be asked for
_DTYPE = re.compile(
    r"object|str|string|bool|boolean|u?int(8|16|32|64)|U?Int(8|16|32|64)|float(16|32|64)"
    r"|Float(32|64)|((u?int(8|16|32|64)|bool|float|double|(large_)?string)\[pyarrow\])"
)
_ENDS = ("left", "right", "both", "neither")


class Encoder:
    """Write values as JSON can say them; arrays go beside it.

    Attributes
    ----------
    tensors : dict of str to Tensor
        What was put beside.
    callables : list of object
        Functions and classes of users that were named.

    Examples
    --------
    >>> import numpy as np
    >>> from skpoe.io import Decoder, Encoder
    >>> encode = Encoder()
    >>> said = encode({"rate": (0.1, np.float32(2.0)), "at": np.arange(3)}, "parameter 'x'")
    >>> said["dict"][0]
    ['rate', {'tuple': [0.1, {'numpy': ['float32', 2.0]}]}]
    >>> Decoder(encode.tensors)(said)
    {'rate': (0.1, np.float32(2.0)), 'at': array([0, 1, 2])}
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.callables: list[Any] = []
        self._objects: list[Any] = []

    def __call__(self, value: Any, what: str) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : object
        what : str
            What it is, for messages.

        Raises
        ------
        TypeError
            When no file can hold the value; the message says what to give instead.
        """
        if value is None or type(value) in (bool, int, str):
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) is list:
            return self._each(value, what)
        if type(value) is tuple:
            return {"tuple": self._each(value, what)}
        if type(value) is dict:
            return {"dict": [self._each(pair, what) for pair in value.items()]}
        for kind, say in self._kinds():
            if isinstance(value, kind):
                return say(value, what)
        if type(value) in NAME_OF or is_made_by_users(type(value)):
            return self._object(value, what)
        return self._place(value, what)

    def beside(self, tensor: Tensor) -> str:
        """Put a tensor beside the document, and give its name."""
        name = f"values.{len(self.tensors)}"
        self.tensors[name] = copied(tensor)
        return name

    def _each(self, values: Iterable[Any], what: str) -> list[Any]:
        return [self(value, what) for value in values]

    def _kinds(self) -> list[tuple[Any, Callable[[Any, str], Any]]]:
        return [
            (np.generic, self._numpy),
            (np.ndarray, self._array),
            (Tensor, lambda value, _: {"tensor": self.beside(value)}),
            (slice, lambda v, what: {"slice": self._each((v.start, v.stop, v.step), what)}),
            (range, lambda v, _: {"range": [v.start, v.stop, v.step]}),
            (torch.device, lambda v, _: {"device": str(v)}),
            (pd.Index, self._index),
            (
                pd.Interval,
                lambda v, what: {"interval": [*self._each((v.left, v.right), what), v.closed]},
            ),
            (pd.Timestamp, lambda v, _: {"timestamp": v.isoformat()}),
            (pd.CategoricalDtype, self._category),
            ((np.dtype, pd.api.extensions.ExtensionDtype), self._dtype),
            ((np.random.RandomState, np.random.Generator), self._generator),
        ]

    def _numpy(self, value: np.generic, what: str) -> Any:
        if value.dtype.kind not in "biuf":
            return self(value.item(), what)
        return {"numpy": [str(value.dtype), self(value.item(), what)]}

    def _array(self, value: np.ndarray, what: str) -> Any:
        if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8:
            native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
            return {"array": self.beside(torch.from_numpy(native))}
        if value.ndim == 1 and value.dtype.kind in "OU":
            return {"objects": self._each(value.tolist(), what)}
        self._refuse(
            what, f"an array of dtype {value.dtype}", "Give a list, or an array of numbers"
        )

    def _index(self, value: pd.Index, what: str) -> Any:
        if type(value) is pd.RangeIndex:
            said: Any = [value.start, value.stop, value.step]
            return {"labels": ["range", said, self(value.name, what)]}
        several = isinstance(value, pd.MultiIndex)
        names = list(value.names) if several else value.name
        dtype = str(value.dtype)
        if several or not _DTYPE.fullmatch(dtype):
            dtype = "inferred"
        labels = {"labels": [dtype, self._each(value.tolist(), what), self(names, what)]}
        again = Decoder({})(labels)
        if type(again) is not type(value) or not again.equals(value) or again.dtype != value.dtype:
            self._refuse(
                what, f"labels of dtype {value.dtype}", "Name columns and levels by strings"
            )
        return labels

    def _category(self, value: pd.CategoricalDtype, what: str) -> Any:
        return {"category": [self(value.categories, what), bool(value.ordered)]}

    def _dtype(self, value: Any, what: str) -> Any:
        if not _DTYPE.fullmatch(str(value)):
            self._refuse(
                what, f"the dtype {value}", "Give such columns a dtype of numbers or strings"
            )
        return {"dtype": str(value)}

    def _generator(self, value: Any, what: str) -> NoReturn:
        self._refuse(
            what,
            f"{value!r}, which is used up as it is drawn from",
            "Take an integer: est.set_params(random_state=0)",
        )

    def _object(self, value: Any, what: str) -> Any:
        for number, known in enumerate(self._objects):
            if known is value:  # what is shared stays shared
                return {"again": number}
        name = (
            NAME_OF.get(type(value)) or self._place(type(value), f"the class of {what}")["import"]
        )
        try:
            given = arguments_of(value)
        except AttributeError as error:
            self._refuse(
                what,
                f"{value!r}, whose arguments cannot be read off it ({error})",
                "Keep each argument of its class as an attribute of the same name",
            )
        arguments = {key: self(each, f"{key} of {what}") for key, each in given.items()}
        self._objects.append(value)
        state: dict[str, str] = {}
        if isinstance(value, nn.Module) and not isinstance(value, Likelihood):
            # a likelihood starts on data; priors and objectives as they are
            state = {name: self.beside(each) for name, each in value.state_dict().items()}
        return {"object": [name, arguments, state]}

    def _place(self, value: Any, what: str) -> Any:
        place = place_of(value)
        if place is None or not callable(value):
            self._refuse(
                what,
                f"{value!r}, which no name leads to",
                "Give words, numbers or a class of this library, or define a function or class at "
                "the top of a module and give that; who loads the file passes it as trusted=",
            )
        self.callables.append(value)
        return {"import": place}

    @staticmethod
    def _refuse(what: str, got: str, remedy: str) -> NoReturn:
        raise TypeError(f"A file cannot hold {what}: it is {got}. {remedy}.")


_PLAIN = {type(None), bool, int, float, str}


class Decoder:
    """Read what :class:`Encoder` wrote; anything else is refused.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        What was put beside.
    trusted : sequence of object, default=()
        Functions and classes of users that may be named.

    Attributes
    ----------
    used : set of str
        Names of the tensors that were asked for.
    """

    def __init__(self, tensors: Mapping[str, Tensor], trusted: Sequence[Any] = ()) -> None:
        self._tensors, self._objects = tensors, list[Any]()
        self.used: set[str] = set()
        self._trusted = {}
        for thing in trusted:
            place = f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"
            self._trusted[place] = thing

    def __call__(self, said: Any) -> Any:
        """Decode a value.

        Raises
        ------
        FileFormatError
            When the encoder never writes this.
        """
        if type(said) in _PLAIN:
            return said
        if type(said) is list:  # of a million numbers, without a call for each
            return [part if type(part) in _PLAIN else self(part) for part in said]
        if type(said) is not dict or len(said) != 1:
            raise FileFormatError(f"{str(said)[:80]} is no value")
        ((kind, held),) = said.items()
        read = getattr(self, f"_read_{kind}", None)
        if read is None:
            raise FileFormatError(f"{kind[:40]!r} is no kind of value")
        try:
            return read(held)
        except FileFormatError:
            raise
        except Exception as error:  # whatever constructors and pandas raise
            raise FileFormatError(f"{str(said)[:80]} cannot be read: {error}") from error

    def tensor(self, name: Any) -> Tensor:
        """Take a tensor from beside the document."""
        if not isinstance(name, str) or name not in self._tensors:
            raise FileFormatError(f"there is no tensor {str(name)[:80]!r}")
        self.used.add(name)
        return self._tensors[name].clone()

    def _read_float(self, held: Any) -> float:
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[held]

    def _read_tuple(self, held: list[Any]) -> tuple[Any, ...]:
        return tuple(self(_list(held)))

    def _read_dict(self, held: list[Any]) -> dict[Any, Any]:
        pairs = self(_list(held))
        made = {key: value for key, value in pairs}
        if len(made) != len(pairs):
            raise FileFormatError("a key stands twice in a dict")
        return made

    def _read_numpy(self, held: list[Any]) -> Any:
        name, value = held
        dtype = np.dtype(_dtype_name(name))
        if dtype.kind not in "biuf":
            raise FileFormatError(f"{name!r} is no dtype of a number")
        return dtype.type(self(value))

    def _read_array(self, held: Any) -> np.ndarray:
        return self.tensor(held).numpy()

    def _read_tensor(self, held: Any) -> Tensor:
        return self.tensor(held)

    def _read_objects(self, held: list[Any]) -> np.ndarray:
        values = self(_list(held))
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made

    def _read_slice(self, held: list[Any]) -> slice:
        start, stop, step = self(held)
        return slice(start, stop, step)

    def _read_range(self, held: list[Any]) -> range:
        start, stop, step = held
        return range(start, stop, step)

    def _read_device(self, held: str) -> torch.device:
        return torch.device(held)

    def _read_interval(self, held: list[Any]) -> pd.Interval:
        left, right, closed = held
        if closed not in _ENDS:
            raise FileFormatError(f"{str(closed)[:20]!r} is no end of an interval")
        return pd.Interval(self(left), self(right), closed)

    def _read_timestamp(self, held: str) -> pd.Timestamp:
        return pd.Timestamp(held)

    def _read_labels(self, held: list[Any]) -> pd.Index:
        dtype, said, names = held
        if dtype == "range":
            start, stop, step = said
            return pd.RangeIndex(start, stop, step, name=self(names))
        values, name = self(_list(said)), self(names)
        if dtype == "inferred":
            if values and all(isinstance(value, tuple) for value in values):
                return pd.MultiIndex.from_tuples(values, names=name)
            return pd.Index(values, name=name)
        return pd.Index(values, dtype=_dtype(dtype), name=name)

    def _read_category(self, held: list[Any]) -> pd.CategoricalDtype:
        categories, ordered = held
        return pd.CategoricalDtype(self(categories), members(ordered, "ordered", bool))

    def _read_dtype(self, held: Any) -> Any:
        return _dtype(held)

    def _read_again(self, held: Any) -> Any:
        return self._objects[held]

    def _read_object(self, held: list[Any]) -> Any:
        name, arguments, state = held
        kind = KNOWN[name] if name in KNOWN else self._own_class(name)
        if set(arguments) != set(parameters_of(kind)):
            raise FileFormatError(f"{name} has the arguments {parameters_of(kind)}, not these")
        made = kind(**{argument: self(value) for argument, value in arguments.items()})
        self._objects.append(made)
        if state:
            made.load_state_dict({key: self.tensor(each) for key, each in state.items()})
        return made

    def _own_class(self, name: Any) -> type:
        """Find a class of users among what is trusted."""
        kind = self._read_import(name) if ":" in str(name) else None
        if not is_made_by_users(kind):
            raise FileFormatError(f"{str(name)[:80]!r} is no class that files may name")
        return kind

    def _read_import(self, held: Any) -> Any:
        if not isinstance(held, str) or held not in self._trusted:
            name = str(held)[:200]
            raise FileFormatError(
                f"it names {name!r}, which is not of this library. If you know and trust it, "
                f"import it and pass it: skpoe.load(path, trusted=[{name.split(':')[-1]}])"
            )
        return self._trusted[held]


def copied(tensor: Tensor) -> Tensor:
    """Copy a tensor into memory of its own, on the CPU."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def members(said: Any, what: str, kind: type, parts: Mapping[str, type] | None = None) -> Any:
    """Check the type of a value, and names and types of the parts of a dict; give it back."""
    if type(said) is not kind:
        raise FileFormatError(f"its {what} should be {kind.__name__}, not {str(said)[:40]}")
    if parts is not None and set(said) != set(parts):
        raise FileFormatError(f"its {what} should have {[*parts]}, not {[*said][:20]}")
    for name, part in (parts or {}).items():
        if part is not object and type(said[name]) is not part:
            raise FileFormatError(f"'{name}' of its {what} should be {part.__name__}")
    return said


def _list(held: Any) -> list[Any]:
    return members(held, "value", list)


def _dtype_name(name: Any) -> str:
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise FileFormatError(f"{str(name)[:40]!r} is no dtype that files may name")
    return name


def _dtype(name: Any) -> Any:
    dtype = pd.api.types.pandas_dtype(_dtype_name(name))
    # before pandas 3, "str" is no dtype of columns: strings are objects
    return np.dtype(object) if isinstance(dtype, np.dtype) and dtype.kind == "U" else dtype
