"""Oversampling by symmetries of the square, and class weights."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from magnostic.preprocess.balance import (
    SYMMETRIES,
    apply_symmetries,
    as_they_are,
    class_weights,
    oversample,
)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9))
def test_every_class_gets_the_majoritys_count(labels: list[int], seed: int) -> None:
    y = np.array(labels)
    rows = np.arange(len(y)) + 100
    samples = oversample(rows, y, np.random.default_rng(seed))
    counts = np.bincount(y[samples.rows - 100])
    majority = np.bincount(y).max()
    assert set(counts[counts > 0]) == {majority}
    # Every image once as it is; every copy is a changed one.
    assert np.array_equal(samples.rows[: len(rows)], rows)
    assert not samples.symmetry[: len(rows)].any()
    assert samples.symmetry[len(rows) :].all()
    # No image is copied twice before all of its class were copied once.
    copies = samples.rows[len(rows) :]
    for label in np.unique(y):
        times = np.bincount(copies[y[copies - 100] == label] - 100, minlength=len(y))[y == label]
        assert times.max() - times.min() <= 1


def test_the_papers_arithmetic() -> None:
    """2,404 of the largest type give 8 x 2,404 = 19,232; the paper prints 19,323."""
    counts = [311, 710, 317, 398, 2404, 438, 555, 403]
    assert sum(counts) == 5536
    y = np.repeat(np.arange(8), counts)
    assert len(oversample(np.arange(5536), y, np.random.default_rng(0))) == 19232


def test_the_eight_symmetries_differ_and_keep_the_pixels() -> None:
    image = torch.arange(3 * 3 * 3, dtype=torch.uint8).reshape(1, 3, 3, 3)
    batch = image.repeat(SYMMETRIES, 1, 1, 1)
    turned = apply_symmetries(batch, torch.arange(SYMMETRIES))
    assert len({t.numpy().tobytes() for t in turned}) == SYMMETRIES
    assert torch.equal(turned[0], image[0])
    assert torch.equal(turned[4], image[0].flip(1))  # left to right
    assert torch.equal(turned[6], image[0].flip(0))  # top to bottom
    for t in turned:
        assert torch.equal(t.reshape(-1, 3)[:, 0].sort().values, image[..., 0].flatten())
    assert torch.equal(batch, image.repeat(SYMMETRIES, 1, 1, 1)), "the input stays as it was"


def test_as_they_are() -> None:
    samples = as_they_are(np.array([4, 2])).take(np.array([1]))
    assert samples.rows.tolist() == [2]
    assert samples.symmetry.tolist() == [0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_class_weights_are_scikit_learns(labels: list[int]) -> None:
    y = np.array(labels)
    present = np.unique(y)
    ours = class_weights(y, 5)
    theirs = compute_class_weight("balanced", classes=present, y=y)
    np.testing.assert_allclose(ours[present], theirs, rtol=1e-6)
    assert ours.sum() == ours[present].sum()
