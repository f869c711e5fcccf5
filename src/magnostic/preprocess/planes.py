"""Arithmetic on colour channels in torch: photographs as float planes, and back.

Elementwise only: a matrix product would take bf16 under autocast and TF32 on some devices, and the
same photograph would then get other colours there.
"""

from __future__ import annotations

import torch
from torch import Tensor


def look_up(images: Tensor, table: Tensor) -> Tensor:
    """Replace each grey level by ``table[level]``, channels first.

    Args:
        images: uint8 [N, H, W, 3].
        table: float [256].

    Returns:
        [3, N, H, W] of the table's type, on the images' device.
    """
    return table.to(images.device)[images.permute(3, 0, 1, 2).int()]


def mix(planes: Tensor, matrix: Tensor) -> Tensor:
    """Linear map of the channels of each image: [K, N, H, W] by [N, C, K] -> [C, N, H, W]."""
    weights = matrix.to(planes.dtype).permute(1, 2, 0)[..., None, None]
    rows = []
    for row in weights:
        total = planes[0] * row[0]
        for plane, weight in zip(planes[1:], row[1:], strict=True):
            total = total.addcmul(plane, weight)
        rows.append(total)
    return torch.stack(rows)


def per_image(values: Tensor) -> Tensor:
    """[N, C] -> [C, N, 1, 1], to meet planes [C, N, H, W]."""
    return values.T[..., None, None]


def to_images(planes: Tensor) -> Tensor:
    """Grey levels, float [3, N, H, W] -> uint8 [N, H, W, 3], clipped to 0..255, nearest."""
    levels = planes.clamp(0, 255).round().to(torch.uint8)
    return levels.permute(1, 2, 3, 0).contiguous()
