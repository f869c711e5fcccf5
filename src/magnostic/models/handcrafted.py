"""Handcrafted features: shape (Hu), texture (Haralick) and colour (HSV histogram) of a photograph.

The three that Sharma & Mehra (2020) and Agaba et al. (2022) compute: for cell shapes, for cell
surface and appearance, and for differences of staining.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import MissingExtra

#: To be raised when the same photograph would give other features.
VERSION: Final = 1
#: Bins of hue, saturation and value.
_BINS: Final = 8
#: Below every Hu moment of BreakHis's photographs, which are 1e-30 to 1e-3 in size.
_HU_FLOOR: Final = 1e-36

_HARALICK: Final = (
    "angular second moment",
    "contrast",
    "correlation",
    "variance",
    "inverse difference moment",
    "sum average",
    "sum variance",
    "sum entropy",
    "entropy",
    "difference variance",
    "difference entropy",
    "information measure of correlation 1",
    "information measure of correlation 2",
)
#: One name a feature, in their order.
NAMES: Final[tuple[str, ...]] = (
    *(f"Hu moment {i}" for i in range(1, 8)),
    *(f"Haralick {name}" for name in _HARALICK),
    *(f"HSV bin {h}-{s}-{v}" for h in range(_BINS) for s in range(_BINS) for v in range(_BINS)),
)
WIDTH: Final = len(NAMES)


def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features of photographs, uint8 [N, S, S, 3] RGB -> float32 [N, WIDTH]; never NaN.

    1. The seven Hu moments (Hu 1962, IRE Trans. Inf. Theory 8) of the grey levels 0..255 taken as
       mass. They span thirty orders of magnitude, so ``sign(h) * log10(1 + |h| / 1e-36)`` is given:
       the usual ``-sign(h) * log10(|h|)`` but for sign and the constant 36, without its jump at 0.
       All 0 for a black image.
    2. Haralick's first thirteen textures (Haralick et al. 1973, IEEE Trans. SMC 3) of the symmetric
       co-occurrence of the 256 grey levels at distance 1, each the mean over four directions.
       Entropies are in bits; the difference variance is that of the difference |i - j|, and the sum
       variance is taken about the sum average.
    3. Share of pixels in 8 x 8 x 8 equal bins of hue, saturation and value (Smith 1978, SIGGRAPH),
       summing to 1. A grey pixel has hue 0, a black one also saturation 0.

    Grey levels are ITU-R BT.601 luma, rounded to 8 bits.

    Raises MissingExtra without the libraries of ``[handcrafted]``.
    """
    textures, shapes = _libraries()
    result = np.empty((len(images), WIDTH), dtype=np.float32)
    for row, image in zip(result, images, strict=True):
        grey = gray(image)
        row[:7] = 0
        if grey.any():
            # Transposed: skimage's first order is along rows, Hu's along x.
            central = shapes.moments_central(grey.T.astype(np.float64), order=3)
            row[:7] = _signed_log(shapes.moments_hu(shapes.moments_normalized(central)))
        row[7:20] = textures.haralick(grey, return_mean=True, use_x_minus_y_variance=True)
        row[20:] = hsv_histogram(image)
    return result


def gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma 0.299 R + 0.587 G + 0.114 B of [..., 3], rounded, in exact integer arithmetic."""
    weighted = image.astype(np.int32) @ np.array([299, 587, 114], dtype=np.int32)
    return ((weighted + 500) // 1000).astype(np.uint8)


def hsv_histogram(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of pixels in each bin, float64 [512], hue slowest and value fastest.

    Bins follow from integer ratios, so that no pixel on an edge depends on rounding.
    """
    red, green, blue = image.reshape(-1, 3).astype(np.int32).T
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    some = np.maximum(chroma, 1)
    # Hue in sixths of the circle, times chroma.
    sixths = np.where(
        value == red,
        (green - blue) % (6 * some),
        np.where(value == green, 2 * some + blue - red, 4 * some + red - green),
    )
    hue_bin = _BINS * sixths // (6 * some)
    saturation_bin = np.minimum(_BINS * chroma // np.maximum(value, 1), _BINS - 1)
    value_bin = np.minimum(_BINS * value // 255, _BINS - 1)
    flat = (hue_bin * _BINS + saturation_bin) * _BINS + value_bin
    return np.bincount(flat, minlength=_BINS**3) / len(flat)


def _signed_log(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(moments) * np.log10(1 + np.abs(moments) / _HU_FLOOR)


def _libraries() -> tuple[Any, Any]:
    """The modules ``mahotas.features`` and ``skimage.measure``."""
    try:
        from mahotas import features
    except ImportError:
        raise MissingExtra("handcrafted", "mahotas") from None
    try:
        from skimage import measure
    except ImportError:
        raise MissingExtra("handcrafted", "scikit-image") from None
    return features, measure
