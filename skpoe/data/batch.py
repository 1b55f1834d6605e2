"""Rows as the model reads them: values without holes, and masks. Here alone NaN becomes a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor


class Batch:
    """N rows of M modalities.

    Parameters
    ----------
    values : sequence of Tensor of shape (N, F_m)
        Zero where missing, so that no NaN can reach a gradient.
    masks : sequence of bool Tensor of shape (N, F_m) or (N, 1)
        True where observed; (N, 1) when the rows of the modality are observed whole or not at all.

    Attributes
    ----------
    observed : bool Tensor of shape (N, M)
        Whether any entry of the modality is observed.
    complete : list of bool
        Modalities that these rows, or those that they are taken from, show whole.
    block : Tensor of shape (M, N, F) or None
        The values as one tensor, where they are held so: modalities of one width, gathered.
    encoded : Batch or None
        What encoders read of the same rows, where that is known.
    """

    block: Tensor | None = None
    encoded: Batch | None = None

    def __init__(self, values: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
        self.values = list(values)
        self.masks = list(masks)
        self.observed = torch.stack([mask.any(-1) for mask in self.masks], dim=-1)
        # modalities that every row shows whole; of all rows, once
        self.complete = [bool(mask.all()) for mask in self.masks]

    @classmethod
    def from_arrays(cls, arrays: Sequence[np.ndarray]) -> Batch:
        """Read arrays of shape (N, F_m) with NaN where missing; they are copied, never changed."""
        values, masks = [], []
        for array in arrays:
            missing = np.isnan(array)
            value = np.array(array, order="C", copy=True)
            if missing.any():
                value[missing] = 0.0
            whole = missing.all(axis=1)
            if (missing.any(axis=1) == whole).all():
                missing = whole[:, None]
            values.append(torch.from_numpy(value))
            masks.append(torch.from_numpy(~missing))
        return cls(values, masks)

    @classmethod
    def gather(cls, parts: Iterable[Batch], n_rows: int) -> Batch:
        """Put batches below each other, one after the other: they may be made on the way.

        Modalities of one width become one block.
        """
        values: list[Tensor] = []
        block: Tensor | None = None
        masks: list[list[Tensor]] = []
        start = 0
        for part in parts:
            if not values:
                values, block = _room_for(part.values, n_rows)
                masks = [[] for _ in values]
            for m, (value, mask) in enumerate(zip(part.values, part.masks, strict=True)):
                values[m][start : start + len(part)] = value
                masks[m].append(mask)
            start += len(part)
        whole = cls(values, [torch.cat(_of_one_width(column)) for column in masks])
        whole.block = block
        return whole

    def __len__(self) -> int:
        return len(self.observed)

    def __getitem__(self, rows: Tensor | slice) -> Batch:
        observed = _take(self.observed, rows)
        if self.block is None:
            block, values = None, [_take(value, rows) for value in self.values]
        else:
            block = _take(self.block, rows, 1)
            values = list(block.unbind())
        return self._like(
            values,
            [
                observed[:, m : m + 1] if mask.shape[1] == 1 else _take(mask, rows)
                for m, mask in enumerate(self.masks)
            ],
            observed,
            block,
        )

    def split(self, lengths: Sequence[int]) -> list[Batch]:
        """Cut into so many rows each, one part after the other."""
        sizes = list(lengths)
        if self.is_whole:  # what so many rows show is the same everywhere
            known = {n: ([mask[:n] for mask in self.masks], self.observed[:n]) for n in {*sizes}}
            shown = [known[n] for n in sizes]
        else:
            masks = zip(*[mask.split(sizes) for mask in self.masks], strict=True)
            shown = list(zip(map(list, masks), self.observed.split(sizes), strict=True))
        columns = zip(self._split(sizes), shown, strict=True)
        parts = [self._like(own, *both, block) for (own, block), both in columns]
        if self.encoded is not None:
            for part, (own, block) in zip(parts, self.encoded._split(sizes), strict=True):
                part.encoded = self._like(own, part.masks, part.observed, block)
        return parts

    def _split(self, sizes: list[int]) -> Iterable[tuple[list[Tensor], Tensor | None]]:
        """Cut values into so many rows each, and their block."""
        if self.block is not None:
            return [(list(part.unbind()), part) for part in self.block.split(sizes, 1)]
        columns = zip(*[value.split(sizes) for value in self.values], strict=True)
        return [(list(own), None) for own in columns]

    @property
    def stacked(self) -> Tensor:
        """Values of modalities of one width, (M, N, F)."""
        return torch.stack(self.values) if self.block is None else self.block

    @property
    def stacked_masks(self) -> Tensor:
        """Masks of modalities of one width, (M, N, F), or (M, N, 1) if all are so."""
        return torch.stack(_of_one_width(self.masks))

    @property
    def inputs(self) -> Sequence[Tensor] | Tensor:
        """Values, M tensors (N, F_m): as one tensor where they are held so."""
        return self.values if self.block is None else self.block

    def map(
        self,
        functions: Sequence[Callable[[Tensor], Tensor]],
        columns: Sequence[Tensor | None] | None = None,
    ) -> Batch:
        """Apply a function a modality to the values; what is missing stays zero.

        Where there are ``columns`` of a modality, (W,), it becomes W wide: each of its new values
        is shown where the column of that number is. Else a block stays one.
        """
        masks = [
            mask if which is None or mask.shape[1] == 1 else mask[:, which]
            for mask, which in zip(self.masks, columns or [None] * len(self.masks), strict=True)
        ]
        values = [
            function(value) if complete else function(value) * mask
            for function, value, mask, complete in zip(
                functions, self.values, masks, self.complete, strict=True
            )
        ]
        block = None if self.block is None or columns else torch.stack(values)
        return self._like(values, masks, self.observed, block)

    def only(self, seen: Sequence[Tensor]) -> Batch:
        """Hide the columns that are not among ``seen``, bool (F_m,) a modality."""
        if all(bool(keep.all()) for keep in seen):  # nearly always: nothing to copy
            return self
        masks = [
            mask if bool(keep.all()) else mask & keep
            for mask, keep in zip(self.masks, seen, strict=True)
        ]
        return Batch([value * mask for value, mask in zip(self.values, masks, strict=True)], masks)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Batch:
        """Move to a device, and the values to a dtype.

        Python does not wait for what goes to a GPU.
        """
        if device is not None and device.type == "cuda" and self.observed.device.type == "cpu":
            moved = [t.pin_memory().to(device, non_blocking=True) for t in self.tensors()]
            n_modalities = len(self.values)
            values, masks = moved[:n_modalities], moved[n_modalities:-1]
            values = [value.to(dtype or value.dtype) for value in values]
            return self._like(values, masks, moved[-1])
        return self._like(
            [value.to(device=device, dtype=dtype) for value in self.values],
            [mask.to(device=device) for mask in self.masks],
            self.observed.to(device=device),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.values[0].dtype

    @property
    def is_whole(self) -> bool:
        """Whether all rows are known to show all modalities whole."""
        return all(self.complete)

    def tensors(self) -> list[Tensor]:
        """Give values, masks and ``observed``."""
        return [*self.values, *self.masks, self.observed]

    def clone(self) -> Batch:
        """Copy all tensors."""
        values, masks = ([tensor.clone() for tensor in part] for part in (self.values, self.masks))
        return self._like(values, masks, self.observed.clone())

    def _like(
        self,
        values: list[Tensor],
        masks: list[Tensor],
        observed: Tensor,
        block: Tensor | None = None,
    ) -> Batch:
        """Make a batch of the same modalities without looking at the masks again."""
        batch = Batch.__new__(Batch)
        batch.values, batch.masks, batch.observed, batch.block = values, masks, observed, block
        batch.complete = self.complete
        return batch


def _take(table: Tensor, rows: Tensor | slice, axis: int = 0) -> Tensor:
    """Take rows; by numbers, in half of the time of an index."""
    if isinstance(rows, slice) or rows.dtype == torch.bool:
        return table[(slice(None),) * axis + (rows,)]
    return table.index_select(axis, rows.to(table.device))


def _room_for(values: Sequence[Tensor], n_rows: int) -> tuple[list[Tensor], Tensor | None]:
    """Make room for so many rows like these; in one block, if all have one width."""
    first = values[0]
    if len(values) == 1 or len({(value.shape[1], value.dtype) for value in values}) > 1:
        return [value.new_empty(n_rows, value.shape[1]) for value in values], None
    block = first.new_empty(len(values), n_rows, first.shape[1])
    return list(block.unbind()), block


def _of_one_width(masks: Sequence[Tensor]) -> list[Tensor]:
    """Of shape (n, F), unless all are (n, 1)."""
    width = max(mask.shape[1] for mask in masks)
    return [mask.expand(-1, width) for mask in masks]
