"""Deletion and insertion against values worked out by hand, and random maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from magnostic.explain import faithful, summary
from magnostic.explain.faithful import Faithfulness


def _brightness(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(images[0].mean(axis=(1, 2, 3)), dtype=np.float64)


def test_deletion_by_hand() -> None:
    values = np.array([[60, 200], [40, 100]])
    image = np.repeat(values[..., None], 3, axis=2).astype(np.uint8)
    order = faithful.order(values.astype(float), np.zeros((2, 2)))
    assert order.tolist() == [1, 3, 0, 2]
    mean = faithful.mean_colour(image)
    assert (mean == 100).all()
    deletion = faithful.curve(_brightness, [image], [mean], order, steps=4)
    assert deletion.tolist() == [100, 75, 75, 85, 100]
    assert faithful.area(deletion) == (50 + 75 + 75 + 85 + 50) / 4
    insertion = faithful.curve(_brightness, [mean], [image], order, steps=4)
    assert insertion.tolist() == [100, 125, 125, 115, 100]
    assert faithful.area(insertion) == (50 + 125 + 125 + 115 + 50) / 4


def test_equal_pixels_are_ordered_by_the_ties() -> None:
    relevance = np.array([[0.0, 1.0, 0.0, 0.0]])
    order = faithful.order(relevance, np.array([[0.1, 0.0, 0.7, 0.3]]))
    assert order.tolist() == [1, 2, 3, 0]


def test_random_maps_are_as_smooth() -> None:
    rows, columns = np.mgrid[:32, :48]
    relevance = np.exp(-((rows - 8) ** 2 + (columns - 30) ** 2) / 80)

    def roughness(values: np.ndarray) -> float:
        return float(np.square(np.diff(values, axis=0)).mean() / values.var())

    first = faithful.random_maps(relevance, 9, 3)
    again = faithful.random_maps(relevance, 9, 3)
    other = faithful.random_maps(relevance, 1, 4)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[0], other[0])
    assert not np.allclose(first[0], first[1])
    found = np.mean([roughness(m) for m in first])
    assert found == pytest.approx(roughness(relevance), rel=0.5)
    noise = roughness(np.random.default_rng(0).normal(size=(32, 48)))
    assert found < noise / 10
    places = {int(m.argmax()) for m in first}
    assert len(places) > 5


def test_a_true_map_is_better_and_its_opposite_worse() -> None:
    rows, columns = np.mgrid[:32, :32]
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    truth = np.exp(-((rows - 10) ** 2 + (columns - 20) ** 2) / 30)

    def probability(images: Sequence[np.ndarray]) -> np.ndarray:
        same = (images[0] == image).all(axis=3)
        return np.asarray((same * truth).sum(axis=(1, 2)) / truth.sum())

    right = faithful.measure(probability, [image], truth, 9)
    wrong = faithful.measure(probability, [image], 1 - truth, 9)
    assert right.deletion.shape == right.insertion.shape == (10, faithful.STEPS + 1)
    assert right.deletion_better == right.insertion_better == 1
    assert wrong.deletion_better == wrong.insertion_better == 0
    with pytest.raises(ValueError, match="the same everywhere"):
        faithful.measure(probability, [image], np.zeros((32, 32)), 3)


def test_summary_counts_and_says_so() -> None:
    def one(good: bool) -> Faithfulness:
        low, high = np.full((1, 13), 0.2), np.full((3, 13), 0.6)
        first = (low, high) if good else (high[:1], np.repeat(low, 3, axis=0))
        return Faithfulness(np.concatenate(first), np.concatenate([1 - f for f in first]))

    deletion, insertion = summary.summarize([one(i < 9) for i in range(10)])
    assert (deletion.better, deletion.n, insertion.better) == (9, 10, 9)
    assert deletion.difference.estimate == pytest.approx(0.9 * -0.4 + 0.1 * 0.4)
    assert deletion.difference.low is not None
    assert deletion.difference.low < deletion.difference.estimate
    # Clopper and Pearson's limits for 9 of 10, from tables of the F distribution.
    assert (deletion.low, deletion.high) == pytest.approx((0.5550, 0.9975), abs=1e-4)
    said = summary.in_words(deletion, 3)
    assert "9 of 10 photographs" in said
    assert "more often than chance" in said
    half = summary.summarize([one(i < 5) for i in range(10)])[0]
    assert "cannot be told from chance" in summary.in_words(half, 3)
    none = summary.summarize([one(False) for _ in range(10)])[0]
    assert "mislead" in summary.in_words(none, 3)
    assert summary.summarize([]) == []
