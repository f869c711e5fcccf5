"""Random changes of training images: symmetries, colour and stain, drawn anew for every image.

All numbers are drawn on the CPU from the caller's generator, so that the device does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.preprocess import planes
from magnostic.preprocess.balance import SYMMETRIES, apply_symmetries
from magnostic.recipe import Augment

#: At strength 1, brightness, contrast and saturation are multiplied by 0.6 to 1.4, and the hue is
#: turned by up to a tenth of the circle either way. Lower strengths narrow this in proportion.
FACTOR: Final = 0.4
HUE: Final = 0.1
#: At strength 1, the amount c of each of Ruifrok's stains becomes ``alpha c + beta``, alpha in
#: 1 +- 0.2, beta in +- 0.2: HED-strong of Tellez et al.; a quarter of it is their HED-light.
STAIN: Final = 0.2

#: Optical density of haematoxylin, eosin and DAB in R, G, B (Ruifrok and Johnston 2001).
_HED: Final = torch.tensor(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]], dtype=torch.float64
)
#: RGB to luma and two chroma axes (NTSC's YIQ), in which hue is a rotation of the last two.
_YIQ: Final = torch.tensor(
    [
        [0.299, 0.587, 0.114],
        [0.595716, -0.274453, -0.321263],
        [0.211456, -0.522591, 0.311135],
    ],
    dtype=torch.float64,
)


@dataclass(frozen=True)
class Changes:
    """What is done to each image of a batch, in this order; None: nothing.

    Attributes:
        symmetry: int64 [N], symmetry of the square as in ``balance``.
        stain: float64 [N, 2, 3], alpha and beta of haematoxylin, eosin and DAB.
        colour: float64 [N, 4], factors of brightness, contrast and saturation, and turns of hue.
    """

    symmetry: Tensor | None
    stain: Tensor | None
    colour: Tensor | None

    def take(self, samples: NDArray[np.intp]) -> Changes:
        """Those of some of the images."""
        which = torch.from_numpy(samples)
        drawn = (self.symmetry, self.stain, self.colour)
        return Changes(*(None if values is None else values[which] for values in drawn))


def jitter(images: Tensor, settings: Augment, generator: torch.Generator) -> Tensor:
    """Change each image at random: uint8 [N, S, S, 3] in and out; the input stays as it is.

    Args:
        images: on any device.
        settings: which changes, and how strong.
        generator: of the CPU; equal states give equal changes.
    """
    return change(images, draw(len(images), settings, generator))


def draw(count: int, settings: Augment, generator: torch.Generator) -> Changes:
    """Changes for ``count`` images, by uniform draws from a generator of the CPU."""
    symmetry = stain = colour = None
    if settings.flips:
        symmetry = torch.randint(SYMMETRIES, (count,), generator=generator)
    if settings.stain > 0:
        reach = STAIN * settings.stain * _uniform((count, 2, 3), generator)
        stain = reach + torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None]
    if settings.colour > 0:
        widths = torch.tensor([FACTOR, FACTOR, FACTOR, HUE], dtype=torch.float64)
        centres = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        colour = centres + widths * settings.colour * _uniform((count, 4), generator)
    return Changes(symmetry, stain, colour)


def change(images: Tensor, changes: Changes) -> Tensor:
    """Carry out drawn changes on uint8 [N, S, S, 3], rounding and clipping to 0..255 once."""
    if changes.symmetry is not None:
        images = apply_symmetries(images, changes.symmetry)
    if changes.stain is None and changes.colour is None:
        return images
    levels = images.permute(3, 0, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    if changes.stain is not None:
        levels = _stained(levels, changes.stain)
    if changes.colour is not None:
        levels = _coloured(levels, changes.colour)
    return planes.to_images(levels)


def _stained(levels: Tensor, factors: Tensor) -> Tensor:
    """Other amounts of stain in grey levels [3, N, H, W], which are written over.

    Tellez et al., Whole-slide mitosis detection in H&E breast histology using PHH3 as a reference,
    IEEE TMI 37(9), 2018: amounts are densities in the basis of Ruifrok's three stains; the residual
    channel, DAB, is changed as the other two. Densities are those of ``stain``.
    """
    alpha, beta = factors.unbind(dim=1)
    # Row vectors: density @ inverse(HED) are amounts, amounts @ HED are densities. Logarithms of
    # levels are densities with the sign turned and log 255 added, which the shift takes off again.
    matrix = (torch.linalg.inv(_HED) @ (alpha[:, :, None] * _HED)).mT
    shift = math.log(255) * (1 - matrix.sum(dim=2)) - beta @ _HED
    logarithms = levels.clamp_(min=1).log_()
    return planes.mix(logarithms, _to(matrix, levels), _to(shift, levels)).exp_().clamp_(max=255)


def _coloured(levels: Tensor, factors: Tensor) -> Tensor:
    """Saturation and hue about each pixel's luma, contrast about the image's mean luma, brightness.

    One affine map per image, on grey levels [3, N, H, W]. Luma is 0.299 R + 0.587 G + 0.114 B.
    """
    brightness, contrast, saturation, hue = factors.unbind(dim=1)
    cosine, sine = torch.cos(2 * math.pi * hue), torch.sin(2 * math.pi * hue)
    turn = torch.zeros(len(factors), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * cosine
    turn[:, 1, 2], turn[:, 2, 1] = -saturation * sine, saturation * sine
    matrix = torch.linalg.inv(_YIQ) @ turn @ _YIQ * (brightness * contrast)[:, None, None]
    # The means need not leave the device.
    means = (levels.mean(dim=(2, 3)) * _to(_YIQ[0], levels)[:, None]).sum(dim=0)
    shift = means * _to(brightness * (1 - contrast), levels)
    return planes.mix(levels, _to(matrix, levels), shift[:, None].expand(-1, 3))


def _to(values: Tensor, like: Tensor) -> Tensor:
    """On the device of another and of its type, without waiting for what it still computes."""
    return values.to(like.dtype).to(like.device, non_blocking=True)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """float64 in [-1, 1)."""
    return 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
