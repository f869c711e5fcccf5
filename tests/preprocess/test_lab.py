"""CIELAB and Reinhard's transfer: against scikit-image in float64 on genuine photographs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from magnostic.preprocess import lab


def test_lab_is_scikit_images(genuine: NDArray[np.uint8]) -> None:
    color = pytest.importorskip("skimage.color")
    ours = lab.to_lab(torch.from_numpy(genuine[:6])).permute(1, 2, 3, 0).numpy()
    np.testing.assert_allclose(ours, color.rgb2lab(genuine[:6]), rtol=0, atol=2e-3)


def test_every_grey_level_comes_back() -> None:
    levels = np.arange(256)
    colours = np.stack([levels, levels[::-1], (levels * 7) % 256], axis=1).astype(np.uint8)
    images = torch.from_numpy(np.stack([colours, np.repeat(levels[:, None], 3, 1)])[:, None])
    images = images.to(torch.uint8)
    assert torch.equal(lab.from_lab(lab.to_lab(images)), images)


def test_transfer_is_the_published_formula(genuine: NDArray[np.uint8]) -> None:
    color = pytest.importorskip("skimage.color")
    images, reference = genuine[:8], genuine[12]
    described = np.stack([lab.describe(image) for image in images])
    target = lab.describe(reference)
    ours = lab.transfer(*map(torch.from_numpy, (images, described, target))).numpy()

    of_target = color.rgb2lab(reference).reshape(-1, 3)
    np.testing.assert_allclose(target[:3], of_target.mean(0), atol=1e-4)
    np.testing.assert_allclose(target[3:], of_target.std(0), atol=1e-4)
    for image, changed in zip(images, ours, strict=True):
        values = color.rgb2lab(image)
        mean, deviation = values.mean((0, 1)), values.std((0, 1))
        expected = (values - mean) / deviation * of_target.std(0) + of_target.mean(0)
        xyz = _lab_to_xyz(expected)
        levels = np.rint(np.clip(255 * _gamma(xyz), 0, 255))
        difference = np.abs(changed - levels)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_fields_without_colour_have_no_description() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 256, (16, 16, 1), dtype=np.uint8), 3, axis=2)
    nearly_white = rng.integers(254, 256, (16, 16, 3), dtype=np.uint8)
    assert lab.describe(grey) is None
    assert lab.describe(nearly_white) is None


def _lab_to_xyz(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE 15: X, Y, Z for D65."""
    f_y = (values[..., 0] + 16) / 116
    roots = np.stack([f_y + values[..., 1] / 500, f_y, f_y - values[..., 2] / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    return xyz * [0.95047, 1.0, 1.08883]


def _gamma(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1: sRGB in [0, 1] from X, Y, Z."""
    to_xyz = [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
    light = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
