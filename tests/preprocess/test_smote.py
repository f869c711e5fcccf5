"""SMOTE gives imbalanced-learn's own samples, on features and, without making them, on pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from PIL import Image

from magnostic.preprocess import smote
from magnostic.preprocess.smote import Mixtures, smote_features, smote_pixels

RNG = np.random.default_rng(0)
Y = np.repeat([0, 2, 3, 5], [20, 6, 9, 12])[RNG.permutation(47)]


def made(pixels: np.ndarray, rows: np.ndarray, mixed: Mixtures) -> np.ndarray:
    """The samples in [0, 1], flattened, float64."""
    flat = pixels[rows].reshape(len(rows), -1) / 255
    share = mixed.share[:, None].astype(np.float64)
    return (1 - share) * flat[mixed.first] + share * flat[mixed.second]


@pytest.mark.parametrize("seed", [0, 7])
def test_features_are_imbalanced_learns(seed: int) -> None:
    x = RNG.normal(0, 1, (47, 30)).astype(np.float32)
    found, labels = smote_features(x, Y, seed)
    expected, expected_labels = SMOTE(random_state=seed).fit_resample(x, Y)
    assert np.array_equal(labels, expected_labels)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


@pytest.mark.parametrize("seed", [0, 7])
def test_photographs_are_imbalanced_learns(seed: int) -> None:
    pixels = RNG.integers(0, 256, (90, 16, 16, 3)).astype(np.uint8)
    rows = RNG.permutation(90)[:47]
    mixed = smote_pixels(pixels, rows, Y, seed)
    flat = pixels[rows].reshape(47, -1) / 255
    expected, labels = SMOTE(random_state=seed).fit_resample(flat, Y)
    np.testing.assert_allclose(made(pixels, rows, mixed), expected, atol=1e-6)
    assert np.array_equal(Y[mixed.first], labels)
    assert np.array_equal(Y[mixed.second], labels)


def test_genuine_photographs_are_imbalanced_learns(breakhis_sample: Path, tmp_path: Path) -> None:
    files = sorted(breakhis_sample.rglob("*.png"))
    images = [np.asarray(Image.open(f).convert("RGB").resize((48, 48))) for f in files]
    y = np.unique([f.parts[-4] for f in files], return_inverse=True)[1]
    np.save(tmp_path / "pixels.npy", np.stack(images))
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    rows = np.arange(len(y))
    mixed = smote_pixels(pixels, rows, y, 3)
    flat = pixels.reshape(len(y), -1) / 255
    expected, labels = SMOTE(random_state=3).fit_resample(flat, y)
    np.testing.assert_allclose(made(pixels, rows, mixed), expected, atol=1e-6)
    assert np.array_equal(y[mixed.first], labels)


labels = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@given(labels, st.integers(0, 2**31 - 1))
@settings(max_examples=40)
def test_all_present_classes_reach_the_majority(y: np.ndarray, seed: int) -> None:
    """Also those of one image, which is repeated; originals come first, unchanged."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(y), 4, 4, 3)).astype(np.uint8)
    flat = pixels.reshape(len(y), -1).astype(np.float32)
    mixed = smote_pixels(pixels, np.arange(len(y)), y, seed)
    found, new_y = smote_features(flat, y, seed)
    counts = np.bincount(y)
    for drawn in (y[mixed.first], new_y):
        assert np.array_equal(np.bincount(drawn), np.where(counts > 0, counts.max(), 0))
    assert np.array_equal(y[mixed.first], y[mixed.second])
    assert np.array_equal(mixed.first[: len(y)], np.arange(len(y)))
    assert not mixed.share[: len(y)].any()
    assert np.array_equal(found[: len(y)], flat)
    assert (mixed.share >= 0).all()
    assert (mixed.share <= 1).all()
    single = counts[y[mixed.first]] == 1
    assert np.array_equal(mixed.first[single], mixed.second[single])


def test_distances_are_exact_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.choice(np.array([0, 1, 254, 255], dtype=np.uint8), (23, 24, 24, 3))
    pixels[3], pixels[9] = 0, 255  # the greatest distance there is
    flat = pixels.reshape(23, -1).astype(np.int64)
    expected = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    for block in (256, 5):
        monkeypatch.setattr(smote, "_BLOCK", block)
        assert np.array_equal(smote.squared_distances(pixels, np.arange(23)), expected)


def test_equal_photographs_are_neighbours_of_each_other() -> None:
    pixels = np.zeros((4, 4, 4, 3), dtype=np.uint8)
    pixels[3] = 9
    near = smote.nearest(pixels, np.arange(4), 3)
    assert near.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
