"""CIELAB of sRGB photographs, and the transfer of its mean and deviation (Reinhard).

CIE 1976 L*a*b* for the D65 white of the 2 degree observer, from sRGB as IEC 61966-2-1 defines it.
L in 0..100, a and b roughly in -100..100.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.preprocess import planes

#: Linear sRGB to XYZ (IEC 61966-2-1), and the white point D65 that L*a*b* is relative to.
_XYZ: Final = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
_WHITE: Final = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)
#: Linear sRGB to XYZ / white, and back.
_FORTH: Final = _XYZ / _WHITE[:, None]
_BACK: Final = torch.linalg.inv(_FORTH)
#: L, a, b (L + 16) from the cube roots of X, Y, Z, and back.
_LAB: Final = torch.tensor(
    [[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]], dtype=torch.float64
)
_ROOTS: Final = torch.linalg.inv(_LAB)
#: Below the cube of this the root is continued by a straight line.
_KNEE: Final = 6 / 29

#: Least deviation of L, of a and of b of a photograph whose colours can be transferred: the
#: rounding of a plain field to 8 bit is near 0.15, and a few stained pixels give less than 1. Every
#: genuine photograph seen has more than 2.
LEAST_DEVIATION: Final = 1.0


def _linear() -> Tensor:
    level = torch.arange(256, dtype=torch.float64) / 255
    return torch.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


_LINEAR: Final = _linear()


def to_lab(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 [N, H, W, 3] -> float L, a, b [3, N, H, W]."""
    light = planes.look_up(images, _LINEAR.to(dtype))
    xyz = planes.mix(light, _constant(_FORTH, light))
    roots = torch.where(
        xyz > _KNEE**3, xyz.clamp_min(_KNEE**3) ** (1 / 3), xyz / (3 * _KNEE**2) + 4 / 29
    )
    lab = planes.mix(roots, _constant(_LAB, roots))
    lab[0] -= 16
    return lab


def from_lab(lab: Tensor) -> Tensor:
    """Float L, a, b [3, N, H, W] -> uint8 [N, H, W, 3]; colours outside sRGB are clipped."""
    shift = torch.tensor([16.0, 0.0, 0.0], dtype=lab.dtype).to(lab.device, non_blocking=True)
    roots = planes.mix(lab + shift[:, None, None, None], _constant(_ROOTS, lab))
    xyz = torch.where(roots > _KNEE, roots**3, 3 * _KNEE**2 * (roots - 4 / 29))
    light = planes.mix(xyz, _constant(_BACK, xyz)).clamp(0, 1)
    level = torch.where(
        light <= 0.0031308, light * 12.92, 1.055 * light.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    )
    return planes.to_images(level * 255)


def describe(image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Means, then deviations, of L, a and b over uint8 [H, W, 3]: float64 [6].

    None where a deviation is below :data:`LEAST_DEVIATION`: stretching it would show noise alone.
    """
    lab = to_lab(torch.from_numpy(image[None].copy()), torch.float64).flatten(1).numpy()
    mean, deviation = lab.mean(axis=1), lab.std(axis=1)
    if (deviation < LEAST_DEVIATION).any():
        return None
    return np.concatenate([mean, deviation])


def transfer(images: Tensor, described: Tensor, target: Tensor) -> Tensor:
    """Give each photograph the target's mean and deviation of L, a and b.

    ``(lab - mean) * target_deviation / deviation + target_mean`` per channel: Reinhard et al.,
    Color transfer between images, IEEE CG&A 21(5), 2001, in CIELAB as Kausar et al. use it in
    place of Reinhard's l-alpha-beta.

    Args:
        images: uint8 [N, H, W, 3].
        described: float [N, 6], finite, from :func:`describe`.
        target: float [6], the reference's.
    """
    scale = target[3:] / described[:, 3:]
    shift = target[:3] - described[:, :3] * scale
    lab = to_lab(images)
    return from_lab(lab * planes.per_image(scale) + planes.per_image(shift))


def _constant(matrix: Tensor, like: Tensor) -> Tensor:
    return matrix.to(like.device, like.dtype, non_blocking=True)[None]
