"""Occlusion: how far the class's probability falls when a part of the photograph is covered.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014. A square of a
seventh of the input's side is moved in steps of half its side and filled with the photograph's mean
colour; a pixel's relevance is the mean fall over the squares that cover it. Needs predictions
alone, so that it serves any encoder and any head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Squares along a side, if they lay side by side.
_SQUARES: Final = 7

Probability = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def relevance(
    probability: Probability, image: NDArray[np.uint8], batch_size: int
) -> NDArray[np.float64]:
    """Mean fall of the probability over the squares that cover a pixel, float64 [H, W].

    What raises the probability when covered counts as nothing.

    Args:
        probability: of the class, float64 [N], of uint8 [N, H, W, 3].
        image: uint8 [H, W, 3], as the network is given it.
        batch_size: squares computed at once.
    """
    from captum.attr import Occlusion

    def score(images: Tensor) -> Tensor:  # captum counts channels first
        pixels = images.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
        return torch.from_numpy(probability(np.ascontiguousarray(pixels)))

    inputs = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
    mean = inputs.mean(dim=(2, 3), keepdim=True).expand_as(inputs)
    windows = [max(1, round(side / _SQUARES)) for side in image.shape[:2]]
    found = Occlusion(score).attribute(
        inputs,
        sliding_window_shapes=(3, *windows),
        strides=(3, *(max(1, w // 2) for w in windows)),
        baselines=mean,
        perturbations_per_eval=batch_size,
    )
    fall: NDArray[np.float64] = found[0, 0].double().clamp(min=0).numpy()
    return fall
