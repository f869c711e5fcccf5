"""Controlled shifts of photographs, from nothing to strong, to see how far a model bears them.

A shift acts on the picture that the network gets, before any change of colour or normalization, as
if the photograph had been taken so. Severity 0 is the photograph itself, to the last bit; what
severity 1 is stands in :data:`SHIFTS`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from magnostic.errors import BadInput, did_you_mean
from magnostic.preprocess import planes
from magnostic.preprocess.stain import DENSITY

#: To be raised when the same shift would give another photograph.
VERSION: Final = 1
#: Optical density of haematoxylin and eosin in R, G, B: QuPath's defaults for H&E (Bankhead et al.,
#: Sci Rep 7, 2017), whose eosin is redder than Ruifrok and Johnston's and fits photographs better.
HAEMATOXYLIN: Final = (0.651, 0.701, 0.290)
EOSIN: Final = (0.216, 0.801, 0.558)
#: A photograph's light is the level that this share of its pixels does not exceed, per channel:
#: places without stain keep their colour, as they do on a slide with more stain or less.
_CLEAR: Final = 0.99
#: At severity 1 an amount of stain is multiplied or divided by this.
_STAIN: Final = 2.0
#: Levels of all channels at severity 1: so many times brighter, or darker.
_LIGHT: Final = 1.3
#: Red over blue at severity 1, relative to before; green stays.
_WHITE: Final = 1.3
#: Standard deviation of the blur at severity 1, as a share of the shorter side: 1.8 of 224 pixels.
_BLUR: Final = 0.008
#: JPEG quality just above severity 0, and at 1.
_QUALITY: Final = (95, 10)
#: Times fewer pixels a side at severity 1.
_COARSER: Final = 4.0
#: Times the effective magnification at severity 1, or its reciprocal.
_ZOOM: Final = 2.0


@dataclass(frozen=True)
class Shift:
    """One way in which a photograph may differ.

    Attributes:
        name: as on the command line and in tables.
        title: as in figures.
        strongest: what severity 1 is.
        apply: from uint8 [N, H, W, 3] and a severity in (0, 1] to the same shape and type.
    """

    name: str
    title: str
    strongest: str
    apply: Callable[[Tensor, float], Tensor]


def shifted(images: Tensor, name: str, severity: float) -> Tensor:
    """Photographs after a shift.

    Args:
        images: uint8 [N, H, W, 3], RGB, on any device.
        name: of :data:`SHIFTS`.
        severity: in [0, 1]; 0 gives the images themselves.

    Raises BadInput for an unknown name or a severity beyond its range.
    """
    check(name, severity)
    return images if severity == 0 else SHIFTS[name].apply(images, severity)


def check(name: str, severity: float) -> None:
    """Raise BadInput for an unknown shift or a severity that is not in [0, 1]."""
    if name not in SHIFTS:
        near = did_you_mean(name, SHIFTS)
        raise BadInput(f"shift {name!r}: not known{near}; known are {', '.join(SHIFTS)}")
    if not 0 <= severity <= 1:
        raise BadInput(f"severity {severity:g}: give values from 0 to 1")


def _stain(images: Tensor, haematoxylin: float, eosin: float) -> Tensor:
    """Amounts of both stains multiplied, what is neither left as it is.

    Optical densities, ``-ln(level / light)``, are the sum of the stains' vectors weighted by their
    amounts (Ruifrok and Johnston, Anal Quant Cytol Histol 23, 2001); the third vector is orthogonal
    to both. On phantom slides this is twice as near as a light of 255 to what the phantom draws
    with the other amount.
    """
    basis = np.array([HAEMATOXYLIN, EOSIN])
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    residual = np.cross(basis[0], basis[1])
    basis = np.vstack([basis, residual / np.linalg.norm(residual)])
    # Row vectors: density @ inverse(basis) are amounts, amounts @ basis are densities.
    matrix = np.linalg.inv(basis) @ np.diag([haematoxylin, eosin, 1.0]) @ basis
    of_level = torch.from_numpy(DENSITY).float().to(images.device)
    flat = images.flatten(1, 2)
    light = flat.kthvalue(math.ceil(_CLEAR * flat.shape[1]), dim=1).values
    clear = planes.per_image(of_level[light.int()])
    density = planes.look_up(images, of_level) - clear
    change = torch.from_numpy(matrix.T).expand(len(images), 3, 3)
    changed = planes.mix(density, change.to(density.device, density.dtype))
    return planes.to_images(255 * torch.exp(-(changed + clear)))


def _times(images: Tensor, red: float, green: float, blue: float) -> Tensor:
    levels = planes.look_up(images, torch.arange(256, dtype=torch.float32))
    factors = torch.tensor([red, green, blue], device=images.device)[:, None, None, None]
    return planes.to_images(levels * factors)


def _blur(images: Tensor, severity: float) -> Tensor:
    """Gaussian, the edge mirrored."""
    sides = images.shape[1:3]
    sigma = severity * _BLUR * min(sides)
    reach = min(math.ceil(3 * sigma), *(side - 1 for side in sides))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    levels = functional.pad(_planes(images), [reach] * 4, mode="reflect")
    levels = functional.conv2d(levels, kernel, groups=3)
    return _images(functional.conv2d(levels, kernel.transpose(2, 3), groups=3))


def _jpeg(images: Tensor, severity: float) -> Tensor:
    """Encoded and decoded by Pillow's libjpeg, chroma at half resolution as it is by default."""
    quality = round(_QUALITY[0] + severity * (_QUALITY[1] - _QUALITY[0]))
    decoded = []
    for image in images.cpu().numpy():
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(decoded)).to(images.device)


def _coarser(images: Tensor, severity: float) -> Tensor:
    """Fewer pixels and up again."""
    fewer = [max(1, round(side / _COARSER**severity)) for side in images.shape[1:3]]
    return _images(_resized(_resized(_planes(images), fewer), images.shape[1:3]))


def _zoom_in(images: Tensor, severity: float) -> Tensor:
    """The centre, filling the whole."""
    kept = [max(1, round(side / _ZOOM**severity)) for side in images.shape[1:3]]
    top, left = ((side - k) // 2 for side, k in zip(images.shape[1:3], kept, strict=True))
    middle = _planes(images)[:, :, top : top + kept[0], left : left + kept[1]]
    return _images(_resized(middle, images.shape[1:3]))


def _zoom_out(images: Tensor, severity: float) -> Tensor:
    """All of it in the middle, smaller; what would lie around is mirrored."""
    high, wide = (
        min(round(side * (_ZOOM**severity - 1) / 2), side - 1) for side in images.shape[1:3]
    )
    around = functional.pad(_planes(images), [wide, wide, high, high], mode="reflect")
    return _images(_resized(around, images.shape[1:3]))


def _resized(levels: Tensor, sides: Sequence[int]) -> Tensor:
    return functional.interpolate(
        levels, size=tuple(sides), mode="bilinear", align_corners=False, antialias=True
    )


def _planes(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W]."""
    return images.permute(0, 3, 1, 2).float()


def _images(levels: Tensor) -> Tensor:
    return levels.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _power(
    change: Callable[[Tensor, float], Tensor], factor: float
) -> Callable[[Tensor, float], Tensor]:
    """A change by ``factor`` to the power of the severity."""
    return lambda images, severity: change(images, factor**severity)


def _haematoxylin(images: Tensor, factor: float) -> Tensor:
    return _stain(images, factor, 1.0)


def _eosin(images: Tensor, factor: float) -> Tensor:
    return _stain(images, 1.0, factor)


def _brightness(images: Tensor, factor: float) -> Tensor:
    return _times(images, factor, factor, factor)


def _warmth(images: Tensor, factor: float) -> Tensor:
    return _times(images, factor**0.5, 1.0, factor**-0.5)


_BLUE, _PINK = "amount of haematoxylin", "amount of eosin"
_ALL: Final = [
    Shift("haematoxylin-more", "More haematoxylin", f"{_BLUE} times {_STAIN:g}",
          _power(_haematoxylin, _STAIN)),
    Shift("haematoxylin-less", "Less haematoxylin", f"{_BLUE} divided by {_STAIN:g}",
          _power(_haematoxylin, 1 / _STAIN)),
    Shift("eosin-more", "More eosin", f"{_PINK} times {_STAIN:g}", _power(_eosin, _STAIN)),
    Shift("eosin-less", "Less eosin", f"{_PINK} divided by {_STAIN:g}", _power(_eosin, 1 / _STAIN)),
    Shift("brighter", "Brighter", f"grey levels times {_LIGHT:g}", _power(_brightness, _LIGHT)),
    Shift("darker", "Darker", f"grey levels divided by {_LIGHT:g}",
          _power(_brightness, 1 / _LIGHT)),
    Shift("warmer", "Warmer light", f"red over blue times {_WHITE:g}", _power(_warmth, _WHITE)),
    Shift("cooler", "Cooler light", f"red over blue divided by {_WHITE:g}",
          _power(_warmth, 1 / _WHITE)),
    Shift("blur", "Blur", f"Gaussian, deviation {100 * _BLUR:g}% of the shorter side", _blur),
    Shift("jpeg", "JPEG", f"quality {_QUALITY[1]} of 100", _jpeg),
    Shift("resolution", "Fewer pixels", f"{_COARSER:g} times fewer pixels a side", _coarser),
    Shift("zoom-in", "Zoom in", f"{_ZOOM:g} times the effective magnification", _zoom_in),
    Shift("zoom-out", "Zoom out",
          f"1/{_ZOOM:g} of the effective magnification, the surroundings mirrored", _zoom_out),
]  # fmt: skip
#: All shifts by name, in the order of figures and tables.
SHIFTS: Final = {shift.name: shift for shift in _ALL}
