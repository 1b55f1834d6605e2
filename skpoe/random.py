"""Random numbers as a pure function of (seed, row, draw); no global state is read or moved.

A generator that is consumed gives a row different numbers when its neighbours change. Here every
row owns a stream that starts at an integer key, so a row gets the same numbers in any order,
batch, subset of rows or thread, and different rows get independent ones.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from .device import can_ask, kept_if_small

_GOLDEN = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_ZERO = 0x5BD1E995
_ROWS_AT_A_TIME = 512
# numbers that are drawn at a time for rows that draw together
_MOST_TOGETHER = 2**17
_ARRAY_KINDS: dict[torch.dtype, type[np.floating]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}
_ARRAY_ROUNDS = tuple((np.uint64(shift), np.uint64(factor)) for shift, factor in _ROUNDS)
_ALL_BITS = (1 << 64) - 1
_ARRAY_LAST, _ARRAY_HIGH = np.uint64(31), np.uint64(41)
_lock = threading.RLock()


def _signed(value: int) -> int:
    """Read the lowest 64 bits of ``value`` as a signed integer, torch's only 64-bit kind."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _mix(x: Tensor) -> Tensor:
    """Scramble 64-bit integers in place: the finalizer of SplitMix64, a bijection.

    References
    ----------
    Fast splittable pseudorandom number generators (Steele, Lea & Flood, 2014), figure 16.
    """
    for shift, factor in _ROUNDS:
        x ^= (x >> shift) & ((1 << (64 - shift)) - 1)  # torch shifts the sign in: mask it off
        x *= _signed(factor)
    x ^= (x >> 31) & ((1 << 33) - 1)
    return x


def _mix_array(x: np.ndarray) -> np.ndarray:
    """Scramble uint64 numbers in place as :func:`_mix` does, in half of the time."""
    shifted = np.empty_like(x)
    for shift, factor in _ARRAY_ROUNDS:
        np.right_shift(x, shift, out=shifted)
        x ^= shifted
        x *= factor
    np.right_shift(x, _ARRAY_LAST, out=shifted)
    x ^= shifted
    return x


def _mix_int(x: int) -> int:
    """Scramble one number as :func:`_mix` does."""
    x &= (1 << 64) - 1
    for shift, factor in _ROUNDS:
        x = ((x ^ (x >> shift)) * factor) & ((1 << 64) - 1)
    return x ^ (x >> 31)


def derive_seed(seed: int, label: int) -> int:
    """Make a seed for one of many purposes, for generators that are consumed."""
    return _mix_int(_mix_int(seed + 1) ^ (label + 1)) >> 1


@contextmanager
def lend_global_generator(seed: int) -> Iterator[None]:
    """Seed torch's own generator inside the block, for networks that draw from it.

    It is then as it was before. Threads take turns, for all draw from the same.
    """
    with _lock, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def first_counts(n: int, device: torch.device | None = None) -> Tensor:
    """Give the first n values of the counter that streams scramble: int64 (n,)."""
    return torch.arange(1, n + 1, device=device) * _signed(_GOLDEN)


_kept_counts = kept_if_small(first_counts)


def _count(n: int, device: torch.device | None = None) -> Tensor:
    if torch.compiler.is_compiling():  # see compiling.py
        return torch.ops.skpoe.first_counts(n, torch.device("cpu") if device is None else device)
    return _kept_counts(n, device)


@kept_if_small
def hash_weights(n: int, stream: int = 0, device: torch.device | None = None) -> Tensor:
    """Return n fixed odd 64-bit integers, shape (n,), that differ from stream to stream.

    They may be shared: do not change them.
    """
    return _mix(_count(n, device) + _signed(stream << 40)) | 1


def row_keys(values: Sequence[Tensor], masks: Sequence[Tensor] | None = None) -> Tensor:
    """Hash the observed entries of each row to an integer.

    Parameters
    ----------
    values : sequence of Tensor of shape (N, F_m)
        Zero where missing.
    masks : sequence of bool Tensor of shape (N, F_m) or (N, 1), default=None
        Everything is observed when None.

    Returns
    -------
    keys : int64 Tensor of shape (N,)
        Equal rows have equal keys; a missing entry adds nothing.
    """
    n = values[0].shape[0]
    if n > _ROWS_AT_A_TIME:  # 8 bytes an entry: stay in the cache
        parts = [slice(start, start + _ROWS_AT_A_TIME) for start in range(0, n, _ROWS_AT_A_TIME)]
        return torch.cat(
            [
                row_keys(
                    [value[rows] for value in values],
                    None if masks is None else [mask[rows] for mask in masks],
                )
                for rows in parts
            ]
        )
    keys = []
    for m, value in enumerate(values):
        weights = hash_weights(value[0].numel() if n else 0, m + 1, value.device)
        # float32 bits: a table has the same keys in single and in double precision;
        # adding 0.0 makes -0.0 and 0.0 equal, and the constant tells zero from missing
        bits = (value.float() + 0.0).contiguous().view(torch.int32).long()
        hashed = (bits + _ZERO) * weights
        keys.append((hashed if masks is None else hashed * masks[m]).sum(-1))
    return sum(keys[1:], keys[0])


def tell_apart(keys: Tensor, before: Counter[int]) -> Tensor:
    """Give rows with equal keys keys of their own; the first keep theirs.

    ``before`` counts the keys of earlier chunks, and is brought up to date.
    """
    distinct, which, count = keys.unique(return_inverse=True, return_counts=True)
    order = which.argsort(stable=True)
    first = torch.cat([count.new_zeros(1), count.cumsum(0)[:-1]])
    rank = torch.empty_like(which)
    rank[order] = torch.arange(len(keys), device=keys.device) - first[which[order]]
    names = distinct.tolist()
    seen = torch.tensor([before[name] for name in names], device=keys.device)
    before.update(dict(zip(names, count.tolist(), strict=True)))
    return keys ^ _mix(rank + seen[which])  # nothing where that is 0


class _Together(NamedTuple):
    """Where streams of more rows begin, and which rows are meant.

    What was drawn stands with the first row that it is of.
    """

    start: Tensor
    drawn: dict[tuple[Any, ...], tuple[int, Tensor]]
    first: int


class RowNoise:
    """Independent streams of random numbers, one a row.

    Number j of the stream of a row is a scrambled counter that starts where the row's key and the
    purpose of the stream say.

    Parameters
    ----------
    seed : int
    keys : int64 Tensor of shape (N,)
        See :func:`row_keys`. Rows with equal keys get equal numbers.
    """

    def __init__(self, seed: int, keys: Tensor) -> None:
        self._start = keys ^ _signed(_mix_int((seed + 1) * _GOLDEN))
        self._purpose: int | Tensor = 0
        self._together: _Together | None = None

    def __getitem__(self, rows: Tensor | slice) -> RowNoise:
        """Keep the streams of some rows."""
        return self._derive(self._start[rows], self._purpose)

    def part(self, rows: slice) -> RowNoise:
        """Keep the streams of some rows, and draw from them together with the others.

        What a part asks for is drawn for more rows, and kept for the parts that come next: many
        small draws take longer than one large one.
        """
        if self._together is None:
            self._together = _Together(self._start, {}, 0)
        part = self[rows]
        part._together = self._together._replace(first=rows.start)
        return part

    def numbered(self, number: int | Tensor) -> RowNoise:
        """Return new streams, independent of these, named by a number, or by one a row, (N,).

        A number may be an int64 tensor, (), where Python does not know it.
        """
        if isinstance(number, int):
            salt = _signed(_mix_int((number + 1) * _GOLDEN))
            return self._derive(self._start ^ salt, self._purpose)
        purpose = self._purpose
        if not number.ndim and isinstance(purpose, int):
            # the compiler does not compute with whole numbers of Python
            purpose = torch.full_like(number, _signed(purpose))
        return self._derive(self._start ^ _mix((number + 1) * _signed(_GOLDEN)), purpose)

    def fold(self, label: int | str | Tensor) -> RowNoise:
        """Return new streams, independent of these, named by a step number or a purpose.

        A number may be an int64 tensor, (), where Python does not know it.
        """
        number = number_of(label) if isinstance(label, str) else label
        folded = self._derive(self._start, _fold(self._purpose, number))
        folded._together = self._together
        return folded

    def apart(self, n: int) -> RowNoise:
        """Return n independent streams for each row, n * N of them."""
        number = _count(n, self._start.device)[:, None]
        return self._derive(_mix(number ^ self._start).flatten(), self._purpose)

    @staticmethod
    def _derive(start: Tensor, purpose: int | Tensor) -> RowNoise:
        derived = RowNoise.__new__(RowNoise)
        derived._start, derived._purpose, derived._together = start, purpose, None
        return derived

    def _drawn(
        self, draw: Callable[..., Tensor], lead: tuple[int, ...], event: int, dtype: torch.dtype
    ) -> Tensor:
        together, n_rows = self._together, len(self._start)
        most = _MOST_TOGETHER // max(1, math.prod(lead) * event)
        if together is None or most < 2 * n_rows:
            return draw(self, lead, event, dtype)
        what = (draw, self._purpose, lead, event, dtype)
        first, drawn = together.drawn.get(what, (0, None))
        skipped = together.first - first
        if drawn is None or not 0 <= skipped <= drawn.shape[-2] - n_rows:
            first, skipped = together.first, 0
            several = self._derive(together.start[first : first + most], self._purpose)
            drawn = draw(several, lead, event, dtype)
            together.drawn[what] = first, drawn
        return drawn[..., skipped : skipped + n_rows, :]

    def _integers(self, lead: tuple[int, ...], event: int) -> Tensor:
        """Give 64 random bits each: int64 (*lead, N, event)."""
        count = _count(math.prod(lead) * event, self._start.device)
        purpose = self._purpose
        start = self._start + (_signed(purpose) if isinstance(purpose, int) else purpose)
        return _mix(count.view(*lead, 1, event) + start[:, None])

    def _bits(self, lead: tuple[int, ...], event: int, dtype: torch.dtype) -> np.ndarray | None:
        """Give what :meth:`_integers` gives, uint64, where numpy can go on: calls cost less."""
        if dtype not in _ARRAY_KINDS or not can_ask(self._start):
            return None
        count = _count(math.prod(lead) * event).numpy().view(np.uint64)
        start = self._start.numpy().view(np.uint64) + np.uint64(int(self._purpose) & _ALL_BITS)
        return _mix_array(count.reshape(*lead, 1, event) + start[:, None])

    def uniform(self, *lead: int, event: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw from the open interval (0, 1), shape ``(*lead, N, event)``; to be left as it is."""
        return self._drawn(RowNoise._uniform, lead, event, dtype)

    def _uniform(self, lead: tuple[int, ...], event: int, dtype: torch.dtype) -> Tensor:
        bits = self._bits(lead, event, dtype)
        if bits is None:
            high = (self._integers(lead, event) >> 41) & ((1 << 23) - 1)
            return (high.to(dtype) + 0.5) * 2.0**-23
        bits >>= _ARRAY_HIGH
        number = bits.astype(_ARRAY_KINDS[dtype])
        number += 0.5
        number *= 2.0**-23
        return torch.from_numpy(number)

    def normal(self, *lead: int, event: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Draw standard normal numbers, shape ``(*lead, N, event)``; to be left as they are.

        The first draws do not depend on how many are asked for.
        """
        return self._drawn(RowNoise._normal, lead, event, dtype)

    def _normal(self, lead: tuple[int, ...], event: int, dtype: torch.dtype) -> Tensor:
        n_pairs = (event + 1) // 2
        bits = self._bits(lead, n_pairs, dtype)
        if bits is not None:
            both = torch.from_numpy(_box_muller(bits, _ARRAY_KINDS[dtype]))
            return both.flatten(-2)[..., :event]
        pairs = self._integers(lead, n_pairs)
        radius = ((pairs >> 32) & 0xFFFFFFFF).to(dtype).add_(0.5).mul_(2.0**-32)
        radius = radius.log_().mul_(-2.0).clamp_(min=0.0).sqrt_()
        angle = (pairs & 0xFFFFFFFF).to(dtype).mul_(2.0 * math.pi * 2.0**-32)
        if torch.compiler.is_compiling():  # it knows no complex numbers
            both = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
        else:
            both = torch.view_as_real(torch.polar(radius, angle))
        return both.flatten(-2)[..., :event]


def _box_muller(bits: np.ndarray, kind: type[np.floating]) -> np.ndarray:
    """Make two normal numbers of 64 bits: (..., 2)."""
    words = bits.astype("<u8", copy=False).view("<u4")
    angle, radius = words[..., 0::2].astype(kind), words[..., 1::2].astype(kind)
    radius += 0.5
    radius *= 2.0**-32
    np.log(radius, out=radius)
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2.0 * math.pi * 2.0**-32
    both = np.empty((*bits.shape, 2), kind)
    np.multiply(np.cos(angle), radius, out=both[..., 0])
    np.multiply(np.sin(angle, out=angle), radius, out=both[..., 1])
    return both


def number_of(label: str) -> int:
    """Give a purpose a number."""
    return zlib.crc32(label.encode()) | 1 << 40


def _fold(purpose: int | Tensor, number: int | Tensor) -> int | Tensor:
    """Make a purpose of another one and a number: the same one, whether in Python or in torch."""
    if isinstance(purpose, int) and isinstance(number, int):
        return _mix_int(purpose ^ ((number + 1) * _GOLDEN))
    if isinstance(number, int):
        step: int | Tensor = _signed((number + 1) * _GOLDEN)
    else:
        step = (number + 1) * _signed(_GOLDEN)
    own = _signed(purpose) if isinstance(purpose, int) else purpose
    return _mix(cast("Tensor", own ^ step))
