"""Colours of photographs brought to those of a reference, or taken away.

Each photograph is described once, by itself (:func:`describe`, NumPy); :func:`apply` uses its
description and the reference's on whatever device the photographs are. A photograph that is blank
or too pale has no description, a row of NaN, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.errors import DataError
from magnostic.preprocess import lab, stain

#: To be raised when the same photograph would get another description or other colours.
VERSION: Final = 1

Method = Literal["none", "grayscale", "reinhard", "macenko", "vahadane"]

_DESCRIBE: Final[dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float64] | None]]] = {
    "reinhard": lab.describe,
    "macenko": stain.macenko,
    "vahadane": stain.vahadane,
}
#: Numbers that describe a photograph: LAB means and deviations; two stain vectors and two maxima.
WIDTH: Final[dict[Method, int]] = {
    "none": 0,
    "grayscale": 0,
    "reinhard": 6,
    "macenko": 8,
    "vahadane": 8,
}


@dataclass(frozen=True)
class Colour:
    """What is done to the colours of photographs.

    Attributes:
        method: how.
        reference: name of the photograph whose colours the others get; None for ``none`` and
            ``grayscale``.
        target: what :func:`describe` gives for it; () for those two.

    Raises DataError for a reference that is too pale or blank to be described.
    """

    method: Method
    reference: str | None = None
    target: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in WIDTH:
            raise ValueError(f"colour method {self.method!r}: not one of {get_args(Method)}")
        if len(self.target) != WIDTH[self.method]:
            raise ValueError(
                f"colour {self.method} needs {WIDTH[self.method]} numbers of its reference; got "
                f"{len(self.target)}"
            )
        if not np.isfinite(self.target).all():
            raise DataError(
                f"preprocess.reference {self.reference}: too pale, blank or plain in colour for "
                f"{self.method}; give another photograph, or preprocess.colour none"
            )

    def as_dict(self) -> dict[str, Any]:
        """For ``model.json``."""
        return {"method": self.method, "reference": self.reference, "target": list(self.target)}

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> Colour:
        """Back from :meth:`as_dict`; KeyError, TypeError or ValueError where it is not that."""
        return Colour(
            cast(Method, raw["method"]), raw["reference"], tuple(map(float, raw["target"]))
        )


def refer(method: Method, image: NDArray[np.uint8], reference: str) -> Colour:
    """Take uint8 [S, S, 3] as the reference of a method that needs one.

    Raises DataError where it is too pale or blank to be described.
    """
    described = describe(method, image[None])[0]
    return Colour(method, reference, tuple(map(float, described)))


def describe(method: Method, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Parameters of each photograph for a method, whatever the reference.

    Args:
        method: ``reinhard``: means, then deviations, of L, a and b. ``macenko`` and ``vahadane``:
            haematoxylin's unit vector (R, G, B), eosin's, and the robust maxima of their
            concentrations. ``none`` and ``grayscale``: nothing.
        images: uint8 [N, H, W, 3].

    Returns:
        float32 [N, WIDTH[method]]; a row of NaN for a photograph too pale or blank to be described.
    """
    described = np.full((len(images), WIDTH[method]), np.nan, dtype=np.float32)
    if method in _DESCRIBE:
        for row, image in zip(described, images, strict=True):
            found = _DESCRIBE[method](np.asarray(image))
            if found is not None:
                row[:] = found
    return described


def choose_reference(images: NDArray[np.uint8]) -> int:
    """Position of the photograph of uint8 [N, H, W, 3] that :func:`choose_from` takes."""
    return choose_from(describe("reinhard", images), describe("macenko", images))


def choose_from(reinhard: NDArray[np.float32], macenko: NDArray[np.float32] | None = None) -> int:
    """Position of the photograph whose LAB means and deviations are nearest to the median.

    Distance is Euclidean after division by the deviation of each number over all photographs; the
    first of equals. Photographs without a description are never chosen unless there is no other.

    Args:
        reinhard: float [N, 6], N >= 1, what :func:`describe` gives for ``reinhard``.
        macenko: float [N, 8], what it gives for ``macenko``, to leave out those too pale for it.
    """
    values = reinhard.astype(np.float64)
    usable = np.isfinite(values).all(axis=1)
    if macenko is not None and (usable & np.isfinite(macenko).all(axis=1)).any():
        usable &= np.isfinite(macenko).all(axis=1)
    if not usable.any():
        return 0
    of = values[usable]
    spread = of.std(axis=0)
    scaled = (of - np.median(of, axis=0)) / np.where(spread > 0, spread, 1)
    return int(np.flatnonzero(usable)[(scaled**2).sum(axis=1).argmin()])


def apply(colour: Colour, images: Tensor, described: Tensor) -> Tensor:
    """Change the colours of photographs, on their device; the input stays as it is.

    Args:
        colour: method and reference.
        images: uint8 [N, S, S, 3], RGB.
        described: float32 [N, WIDTH[method]], their rows of :func:`describe`.

    Returns:
        uint8 [N, S, S, 3], rounded to nearest and clipped to 0..255. Photographs whose row holds
        NaN come back unchanged.
    """
    if colour.method == "none":
        return images
    if colour.method == "grayscale":
        return grayscale(images)
    described = described.to(images.device, torch.float32, non_blocking=True)
    target = torch.tensor(colour.target, dtype=torch.float32).to(images.device, non_blocking=True)
    found = described.isfinite().all(dim=1)
    safe = torch.where(found[:, None], described, target)
    if colour.method == "reinhard":
        changed = lab.transfer(images, safe, target)
    else:
        changed = stain.recolour(images, safe, target, non_negative=colour.method == "vahadane")
    return torch.where(found[:, None, None, None], changed, images)


def grayscale(images: Tensor) -> Tensor:
    """Luma of ITU-R BT.601 in all three channels: ``0.299 R + 0.587 G + 0.114 B``.

    In integers of 2^-16, as Pillow's ``convert("L")``, so that every device gives the same.
    """
    red, green, blue = images.int().unbind(dim=-1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + (1 << 15)) >> 16
    return luma.to(torch.uint8)[..., None].expand(images.shape).contiguous()
