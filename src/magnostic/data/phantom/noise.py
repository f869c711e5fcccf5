"""Texture for the synthetic tissue: smooth random fields and a tile sampled at any scale."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]

TILE: Final = 1024
#: Samples of the tile per feature (its correlation length).
FEATURE: Final = 10.0


@cache
def tile() -> Array:
    """Smooth periodic noise, float32 [1024, 1024], mean 0, standard deviation 1.

    The same for all slides: its own seed is fixed, and slides look into it at places and
    scales of their own.
    """
    white = np.random.default_rng(20161).standard_normal((TILE, TILE), dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, FEATURE / 2.5, mode="wrap")
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def texture(x: Array, y: Array, offset: tuple[float, float]) -> Array:
    """The tile at coordinates in features (wavelengths), nearest sample; shape of ``x``.

    The tile holds ten samples a feature, so the nearest one is smooth enough and costs a
    quarter of interpolation.
    """
    column = ((x + np.float32(offset[0])) * np.float32(FEATURE)).astype(np.int32)
    row = ((y + np.float32(offset[1])) * np.float32(FEATURE)).astype(np.int32)
    column &= TILE - 1
    row &= TILE - 1
    return tile().ravel().take(row * np.int32(TILE) + column)


def spline(start: float, step: float, count: int) -> tuple[int, Array]:
    """Cubic B-spline weights to see a grid at ``start + k * step`` cells, k < ``count``.

    Returns the first grid row needed (``start`` >= 1) and float32 [count, rows]. Smooths by
    about a cell, so what it shows has no steps at any zoom.
    """
    at = start + np.arange(count) * step
    whole = np.floor(at).astype(int)
    t = (at - whole)[:, None]
    weights = np.concatenate(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    first = int(whole[0]) - 1
    matrix = np.zeros((count, int(whole[-1]) - first + 3), dtype=np.float32)
    for tap in range(4):
        matrix[np.arange(count), whole - 1 - first + tap] = weights[:, tap] / 6
    return first, matrix


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Array:
    """Random field, float32 ``shape``, mean 0, sd 1, features about ``scale`` cells wide."""
    step = 1.5 / scale
    (_, rows), (_, columns) = (spline(1 + rng.uniform(), step, n) for n in shape)
    white = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    field = rows @ white @ columns.T
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)
