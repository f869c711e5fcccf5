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
    return table.to(images.device, non_blocking=True)[images.permute(3, 0, 1, 2).int()]


def mix(planes: Tensor, matrix: Tensor, shift: Tensor | None = None) -> Tensor:
    """Linear map of the channels of each image: [K, N, H, W] by [N, C, K] -> [C, N, H, W].

    ``shift``, [N, C], is added to each channel.
    """
    weights = matrix.to(planes.dtype).permute(1, 2, 0)[..., None, None]
    result = planes.new_empty((len(weights), *planes.shape[1:]))
    for k, (row, weight) in enumerate(zip(result, weights, strict=True)):
        if shift is None:
            torch.mul(planes[0], weight[0], out=row)
        else:
            torch.addcmul(per_image(shift)[k], planes[0], weight[0], out=row)
        for plane, factor in zip(planes[1:], weight[1:], strict=True):
            row.addcmul_(plane, factor)
    return result


def per_image(values: Tensor) -> Tensor:
    """[N, C] -> [C, N, 1, 1], to meet planes [C, N, H, W]."""
    return values.T[..., None, None]


def to_images(planes: Tensor) -> Tensor:
    """Grey levels, float [3, N, H, W] -> uint8 [N, H, W, 3], clipped to 0..255, nearest."""
    levels = planes.clamp(0, 255).round_()
    images = torch.empty((*planes.shape[1:], 3), dtype=torch.uint8, device=planes.device)
    images.permute(3, 0, 1, 2).copy_(levels)
    return images
