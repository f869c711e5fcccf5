"""Distances against those computed one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from magnostic.deploy.distance import Reference


@pytest.fixture
def features() -> np.ndarray:
    features = np.random.default_rng(0).normal(3, 2, (60, 5))
    features[:, 4] = 7  # says nothing
    return features.astype(np.float16)


def test_unit_and_distance(features: np.ndarray) -> None:
    groups = np.arange(60) // 6
    reference = Reference(features, groups)
    known = features.astype(np.float64)[:, :4]
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    z = (known - mean) / deviation
    pairs = np.linalg.norm(z[:, None] - z[None], axis=2)
    unit = np.percentile(np.where(groups[:, None] == groups[None], np.inf, pairs).min(axis=1), 99)
    new = np.random.default_rng(1).normal(3, 3, (9, 5)).astype(np.float32)
    scaled = (new[:, :4] - mean) / deviation
    wanted = np.linalg.norm(scaled[:, None] - z[None], axis=2)
    np.testing.assert_allclose(reference.distance(new), wanted.min(axis=1) / unit, rtol=1e-4)


def test_one_group_has_no_unit(features: np.ndarray) -> None:
    reference = Reference(features, np.zeros(60, dtype=np.intp))
    assert np.isnan(reference.distance(features.astype(np.float32))).all()


def test_nearest_as_scikit_learn_finds_them(features: np.ndarray) -> None:
    groups = np.arange(60) // 6
    table = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(60)],
            "y": ["A", "F"] * 30,
            "slide_id": pd.array([None, *["s"] * 59], dtype=object),
            "magnification": pd.array([pd.NA, *[40] * 59], dtype="Int16"),
            "pixel_hash": [f"h{i}" for i in range(60)],
        }
    )
    thumbnails = np.arange(60, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    reference = Reference(features, groups, table, thumbnails)
    new = np.random.default_rng(1).normal(3, 3, (9, 5)).astype(np.float32)
    found = reference.nearest(new, 4)
    known = features.astype(np.float64)[:, :4]
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    search = NearestNeighbors(n_neighbors=4).fit((known - mean) / deviation)
    distances, rows = search.kneighbors((new[:, :4] - mean) / deviation)
    assert [[n.image_id for n in one] for one in found] == [[f"i{r}" for r in row] for row in rows]
    unit = distances[:, 0] / reference.distance(new)
    np.testing.assert_allclose(unit, unit[0], rtol=1e-4)
    in_units = np.array([[n.distance for n in one] for one in found])
    np.testing.assert_allclose(in_units, distances / unit[0], rtol=1e-4)
    (itself,) = reference.nearest(features[:1].astype(np.float32), 1)[0]
    assert (itself.image_id, itself.slide_id, itself.magnification) == ("i0", None, None)
    assert itself.distance == pytest.approx(0, abs=1e-6)
    assert (itself.label, itself.pixel_hash) == ("A", "h0")
    shown = reference.thumbnail("i7")
    assert shown is not None
    assert (shown == 7).all()
    assert reference.thumbnail("absent") is None
    assert len(reference.nearest(new[:1], 100)[0]) == 60


def test_distance_does_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(2)
    wide = rng.normal(3, 2, (90, 640)).astype(np.float16)
    reference = Reference(wide, np.arange(90))
    new = np.concatenate([wide[:40].astype(np.float32), rng.normal(3, 2, (24, 640))])
    new = new.astype(np.float32)
    whole = reference.distance(new)
    assert (whole[:40] == 0).all()  # the training images themselves
    for size in (1, 2, 3, 7, 31):
        parts = [reference.distance(new[i : i + size]) for i in range(0, 64, size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
