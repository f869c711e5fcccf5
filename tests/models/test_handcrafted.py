"""Handcrafted features against closed forms that call none of the libraries used."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from magnostic.errors import MissingExtra
from magnostic.models import handcrafted

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def real(breakhis_sample: Path) -> np.ndarray:
    """Sixteen genuine photographs at 224 px, of all types and magnifications."""
    files = sorted(breakhis_sample.rglob("*.png"))[::12][:16]
    return np.stack([np.asarray(Image.open(f).convert("RGB").resize((224, 224))) for f in files])


def random_images() -> np.ndarray:
    few_levels = RNG.integers(0, 3, (2, 48, 48, 3)) * 100
    return np.concatenate([RNG.integers(0, 256, (2, 48, 48, 3)), few_levels]).astype(np.uint8)


def luma(image: np.ndarray) -> np.ndarray:
    exact = [299 * r + 587 * g + 114 * b for r, g, b in image.reshape(-1, 3).tolist()]
    return np.array([(x + 500) // 1000 for x in exact]).reshape(image.shape[:2])


def hu_oracle(gray: np.ndarray) -> np.ndarray:
    """Hu's seven invariants from normalized central moments, term by term in float64."""
    mass = gray.astype(np.float64)
    y, x = np.mgrid[: gray.shape[0], : gray.shape[1]].astype(np.float64)
    x, y = x - (x * mass).sum() / mass.sum(), y - (y * mass).sum() / mass.sum()

    def eta(p: int, q: int) -> float:
        return float((x**p * y**q * mass).sum() / mass.sum() ** (1 + (p + q) / 2))

    n20, n02, n11 = eta(2, 0), eta(0, 2), eta(1, 1)
    n30, n03, n21, n12 = eta(3, 0), eta(0, 3), eta(2, 1), eta(1, 2)
    a, b = n30 + n12, n21 + n03
    return np.array(
        [
            n20 + n02,
            (n20 - n02) ** 2 + 4 * n11**2,
            (n30 - 3 * n12) ** 2 + (3 * n21 - n03) ** 2,
            a**2 + b**2,
            (n30 - 3 * n12) * a * (a**2 - 3 * b**2) + (3 * n21 - n03) * b * (3 * a**2 - b**2),
            (n20 - n02) * (a**2 - b**2) + 4 * n11 * a * b,
            (3 * n21 - n03) * a * (a**2 - 3 * b**2) - (n30 - 3 * n12) * b * (3 * a**2 - b**2),
        ]
    )


def haralick_oracle(gray: np.ndarray) -> np.ndarray:
    """Haralick's f1 to f13 from pairs counted one direction at a time, averaged."""
    rows, cols = gray.shape
    found = []
    for down, right in ((0, 1), (1, 1), (1, 0), (1, -1)):
        counts = np.zeros((256, 256))
        first = gray[: rows - down, max(0, -right) : cols - max(0, right)]
        second = gray[down:, max(0, right) : cols - max(0, -right)]
        np.add.at(counts, (first.ravel(), second.ravel()), 1)
        counts += counts.T
        found.append(textures(counts / counts.sum()))
    return np.mean(found, axis=0)


def textures(p: np.ndarray) -> list[float]:
    i, j = np.mgrid[:256, :256]
    px = p.sum(axis=1)
    level = np.arange(256)
    mean = (level * px).sum()
    variance = ((level - mean) ** 2 * px).sum()
    total = np.bincount((i + j).ravel(), p.ravel(), 511)
    difference = np.bincount(abs(i - j).ravel(), p.ravel(), 256)
    sums, gaps = np.arange(511), np.arange(256)
    sum_average = (sums * total).sum()
    gap_average = (gaps * difference).sum()

    def entropy(q: np.ndarray) -> float:
        return float(-(q[q > 0] * np.log2(q[q > 0])).sum())

    hx, hxy = entropy(px), entropy(p)
    product = np.outer(px, px)
    where = product > 0
    hxy1 = -(p[where] * np.log2(product[where])).sum()
    return [
        (p**2).sum(),
        ((i - j) ** 2 * p).sum(),
        ((i - mean) * (j - mean) * p).sum() / variance if variance else 1.0,
        variance,
        (p / (1 + (i - j) ** 2)).sum(),
        sum_average,
        ((sums - sum_average) ** 2 * total).sum(),
        entropy(total),
        hxy,
        ((gaps - gap_average) ** 2 * difference).sum(),
        entropy(difference),
        (hxy - hxy1) / hx if hx else 0.0,
        np.sqrt(max(0.0, 1 - np.exp(-2 * (entropy(product) - hxy)))),
    ]


def histogram_oracle(image: np.ndarray) -> np.ndarray:
    """np.histogramdd over hue, saturation and value in float64."""
    r, g, b = image.reshape(-1, 3).astype(np.float64).T
    high, low = np.max([r, g, b], axis=0), np.min([r, g, b], axis=0)
    chroma = np.where(high > low, high - low, 1)
    hue = np.select(
        [high == r, high == g], [((g - b) / chroma) % 6, (b - r) / chroma + 2], (r - g) / chroma + 4
    )
    hsv = np.stack([hue / 6, (high - low) / np.where(high > 0, high, 1), high / 255], axis=1)
    counts, _ = np.histogramdd(hsv, bins=8, range=[(0, 1)] * 3)
    return (counts / counts.sum()).ravel()


def check(images: np.ndarray) -> None:
    found = handcrafted.describe(images)
    assert found.shape == (len(images), handcrafted.WIDTH)
    assert found.dtype == np.float32
    for row, image in zip(found.astype(np.float64), images, strict=True):
        gray = luma(image)
        moments = hu_oracle(gray)
        signed = np.sign(moments) * np.log10(1 + abs(moments) / 1e-36)
        np.testing.assert_allclose(row[:7], signed, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(row[7:20], haralick_oracle(gray), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(row[20:], histogram_oracle(image), rtol=1e-6, atol=1e-6)


def test_real_photographs_agree_with_the_closed_forms(real: np.ndarray) -> None:
    check(real)


def test_random_images_agree_with_the_closed_forms() -> None:
    check(random_images())


def test_luma_is_pillows_to_a_level(real: np.ndarray) -> None:
    pillow = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in real])
    difference = np.abs(handcrafted.gray(real).astype(int) - pillow)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@given(hnp.arrays(np.uint8, (1, 30, 3)))
def test_bins_are_those_of_exact_fractions(image: np.ndarray) -> None:
    counts = np.zeros((8, 8, 8))
    for r, g, b in image.reshape(-1, 3).tolist():
        high, chroma = max(r, g, b), max(r, g, b) - min(r, g, b)
        hue = Fraction(0)
        if chroma and high == r:
            hue = Fraction(g - b, chroma) % 6
        elif chroma:
            hue = 2 + Fraction(b - r, chroma) if high == g else 4 + Fraction(r - g, chroma)
        saturation = Fraction(chroma, high) if high else Fraction(0)
        bins = (hue / 6, saturation, Fraction(high, 255))
        counts[tuple(min(int(8 * part), 7) for part in bins)] += 1
    assert np.array_equal(handcrafted.hsv_histogram(image), counts.ravel() / 30)


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(32, 64))
@settings(max_examples=25)
def test_a_constant_image_has_features(colour: tuple[int, ...], side: int) -> None:
    image = np.broadcast_to(np.array(colour, dtype=np.uint8), (1, side, side, 3))
    (row,) = handcrafted.describe(image)
    named = dict(zip(handcrafted.NAMES, row.tolist(), strict=True))
    assert np.isfinite(row).all()
    assert named["Haralick angular second moment"] == 1
    assert named["Haralick contrast"] == named["Haralick entropy"] == 0
    assert abs(row[1:7]).max() < 1e-3
    assert row[20:].max() == 1


def test_turning_changes_only_what_it_should(real: np.ndarray) -> None:
    """Hu 1 to 6, textures and colours are the same after a quarter turn; the 7th is too."""
    straight = handcrafted.describe(real[:4])
    turned = handcrafted.describe(np.rot90(real[:4], axes=(1, 2)))
    np.testing.assert_allclose(turned, straight, rtol=1e-5, atol=1e-5)
    mirrored = handcrafted.describe(real[:4, :, ::-1])
    mirrored[:, 6] *= -1
    np.testing.assert_allclose(mirrored, straight, rtol=1e-5, atol=1e-5)


def test_each_image_is_described_for_itself(real: np.ndarray) -> None:
    together = handcrafted.describe(real[:3])
    alone = np.concatenate([handcrafted.describe(real[i : i + 1]) for i in range(3)])
    assert np.array_equal(together, alone)
    assert handcrafted.describe(real[:0]).shape == (0, handcrafted.WIDTH)


@pytest.mark.parametrize("module, library", [("mahotas", "mahotas"), ("skimage", "scikit-image")])
def test_a_missing_library_names_its_extra(
    module: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{library} is not.*magnostic\[handcrafted\]"):
        handcrafted.describe(random_images())


def test_names_are_unique() -> None:
    assert len(set(handcrafted.NAMES)) == handcrafted.WIDTH == 7 + 13 + 512
