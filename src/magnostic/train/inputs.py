"""What a model is fed: photographs after their changes of colour, or features computed before."""

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


class Inputs(Protocol):
    """Anything that gives a batch of samples as a tensor on a device."""

    def batch(self, samples: Samples, device: torch.device) -> Tensor: ...


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
        rows = self.rows[positions]
        pixels = torch.from_numpy(self.array[rows]).to(device, non_blocking=True)
        if self.shift is not None:
            pixels = shifts.shifted(pixels, *self.shift)
        if self.colour.method == "none":
            return pixels
        described = torch.from_numpy(self.described[rows]).to(device)
        return colour.apply(self.colour, pixels, described)

    def batch(self, samples: Samples, device: torch.device) -> Tensor:
        """uint8 [n, S, S, 3]: mixed with a second photograph where asked for, then turned."""
        images = self.images(samples.rows, device)
        if samples.second is not None and samples.share is not None:
            mixed = np.flatnonzero(samples.share)
            if len(mixed):
                other = self.images(samples.second[mixed], device).float()
                share = torch.from_numpy(samples.share[mixed]).to(device)[:, None, None, None]
                here = torch.from_numpy(mixed).to(device)
                blend = torch.lerp(images[here].float(), other, share).round().to(torch.uint8)
                images = images.index_copy(0, here, blend)
        return apply_symmetries(images, torch.from_numpy(samples.symmetry).to(device))


@dataclass(frozen=True)
class Vectors:
    """Features, float32 [N, D]; a sample is a row as it is."""

    array: NDArray[np.float32]

    def batch(self, samples: Samples, device: torch.device) -> Tensor:
        return torch.from_numpy(self.array[samples.rows]).to(device)
