"""What a model is fed: photographs after their changes of colour, or features computed before.

A batch is made in two steps: :meth:`Inputs.read` takes its rows out of the (memory-mapped) array,
which may wait for the disk and can be done ahead in a thread; :meth:`Inputs.place` brings them to
the device and does there all that is done to them, for the whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.preprocess import colour, shifts
from magnostic.preprocess.balance import Samples, apply_symmetries
from magnostic.preprocess.colour import Colour


@dataclass(frozen=True)
class Held:
    """A batch in the memory of the host.

    Attributes:
        samples: what it is made of.
        array: their rows of the array, [n, ...].
        second: rows of the photographs that some are mixed with, uint8 [m, S, S, 3], or None.
    """

    samples: Samples
    array: Tensor
    second: Tensor | None = None


class Inputs(Protocol):
    """Anything that gives a batch of samples as a tensor on a device."""

    def read(self, samples: Samples, pinned: bool) -> Held:
        """Take the rows out of the array; ``pinned``: into memory that a GPU can fetch from."""
        ...

    def place(self, held: Held, device: torch.device) -> Tensor:
        """The batch on the device, ready for the model."""
        ...


@dataclass(frozen=True)
class Photographs:
    """Photographs of a table.

    Attributes:
        array: uint8 [M, S, S, 3], the pixel cache.
        rows: row in ``array`` of each photograph; two names of one photograph share a row.
        colour: what is done to colours first.
        described: float32 [M, K], each cached photograph's parameters for it.
        shift: name and severity of what is done to the photographs before that, as if they had
            been taken so; ``described`` is then of the shifted ones.
    """

    array: NDArray[np.uint8]
    rows: NDArray[np.intp]
    colour: Colour
    described: NDArray[np.float32]
    shift: tuple[str, float] | None = None

    def images(self, positions: NDArray[np.intp], device: torch.device) -> Tensor:
        """uint8 [n, S, S, 3] of the photographs at these positions of the table."""
        pixels = _taken(self.array, self.rows[positions], pinned=False)
        return self._coloured(pixels, positions, device)

    def read(self, samples: Samples, pinned: bool) -> Held:
        first = _taken(self.array, self.rows[samples.rows], pinned)
        mixed = _mixed(samples)
        if samples.second is None or not len(mixed):
            return Held(samples, first)
        other = _taken(self.array, self.rows[samples.second[mixed]], pinned)
        return Held(samples, first, other)

    def place(self, held: Held, device: torch.device) -> Tensor:
        """uint8 [n, S, S, 3]: mixed with a second photograph where asked for, then turned."""
        samples = held.samples
        images = self._coloured(held.array, samples.rows, device)
        if held.second is not None and samples.second is not None and samples.share is not None:
            mixed = _mixed(samples)
            other = self._coloured(held.second, samples.second[mixed], device).float()
            share = torch.from_numpy(samples.share[mixed]).to(device, non_blocking=True)
            here = torch.from_numpy(mixed).to(device, non_blocking=True)
            share = share[:, None, None, None]
            blend = torch.lerp(images[here].float(), other, share).round().to(torch.uint8)
            images = images.index_copy(0, here, blend)
        return apply_symmetries(images, torch.from_numpy(samples.symmetry))

    def _coloured(
        self, pixels: Tensor, positions: NDArray[np.intp], device: torch.device
    ) -> Tensor:
        pixels = pixels.to(device, non_blocking=True)
        if self.shift is not None:
            pixels = shifts.shifted(pixels, *self.shift)
        if self.colour.method == "none":
            return pixels
        described = torch.from_numpy(self.described[self.rows[positions]])
        return colour.apply(self.colour, pixels, described.to(device, non_blocking=True))


@dataclass(frozen=True)
class Vectors:
    """Features, float32 [N, D]; a sample is a row as it is."""

    array: NDArray[np.float32]

    def read(self, samples: Samples, pinned: bool) -> Held:
        return Held(samples, _taken(self.array, samples.rows, pinned))

    def place(self, held: Held, device: torch.device) -> Tensor:
        return held.array.to(device, non_blocking=True)


def _mixed(samples: Samples) -> NDArray[np.intp]:
    """Positions of the samples that are mixed with a second photograph."""
    if samples.share is None:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(samples.share)


def _taken(
    array: NDArray[np.uint8] | NDArray[np.float32], rows: NDArray[np.intp], pinned: bool
) -> Tensor:
    """Copy of these rows. NumPy copies without the interpreter's lock, so a thread can do it."""
    of = torch.uint8 if array.dtype == np.uint8 else torch.float32
    taken = torch.empty((len(rows), *array.shape[1:]), dtype=of, pin_memory=pinned)
    # "raise" would copy once more; rows come from the table, and negative ones wrap as in indexing.
    np.take(array, rows, axis=0, out=taken.numpy(), mode="wrap")
    return taken
