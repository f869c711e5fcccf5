"""Distances against those computed one by one."""

from __future__ import annotations

import numpy as np
import pytest

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
