"""Occlusion on models that look at one known place."""

from __future__ import annotations

import numpy as np

from magnostic.explain import occlusion


def _image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (28, 42, 3), dtype=np.uint8)


def test_it_finds_the_patch_that_the_model_looks_at() -> None:
    image = _image()

    def probability(images: np.ndarray) -> np.ndarray:  # share of the patch left as it was
        same = (images[:, 8:12, 18:24] == image[8:12, 18:24]).all(axis=3)
        return np.asarray(same.mean(axis=(1, 2)), dtype=np.float64)

    found = occlusion.relevance(probability, image, 16)
    patch = np.zeros(found.shape, dtype=bool)
    patch[8:12, 18:24] = True
    assert patch.reshape(-1)[found.argmax()]
    assert found[patch].min() > found[~patch].max() / 2
    far = np.ones(found.shape, dtype=bool)
    far[4:16, 12:30] = False  # beyond the reach of a square that touches the patch
    assert found[far].max() == 0


def test_it_is_the_mean_fall_over_the_squares_that_cover_a_pixel() -> None:
    image = _image()
    weight = np.random.default_rng(1).normal(size=(28, 42))

    def probability(images: np.ndarray) -> np.ndarray:
        return np.asarray((images.mean(axis=3) * weight).mean(axis=(1, 2)), dtype=np.float64)

    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    whole = probability(image[None])[0]
    total, count = np.zeros((28, 42)), np.zeros((28, 42))
    for top in range(0, 28 - 4 + 1, 2):
        for left in range(0, 42 - 6 + 1, 3):
            covered = image.copy()
            covered[top : top + 4, left : left + 6] = mean
            total[top : top + 4, left : left + 6] += whole - probability(covered[None])[0]
            count[top : top + 4, left : left + 6] += 1
    wanted = np.maximum(total / count, 0)
    np.testing.assert_allclose(occlusion.relevance(probability, image, 7), wanted, atol=1e-9)
