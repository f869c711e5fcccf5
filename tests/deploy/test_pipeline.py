"""Order, batches and bounds of what is decoded ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from magnostic.deploy.photograph import Input
from magnostic.deploy.pipeline import batches


def images(n: int) -> Iterator[np.ndarray | None]:
    """Every fifth is no image; the others hold their number."""
    for k in range(n):
        yield None if k % 5 == 4 else np.full((9, 7, 3), k, dtype=np.uint8)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("n", [0, 1, 8, 103])
def test_order_and_sizes(n: int, overlap: bool) -> None:
    found = list(batches(images(n), 4, "squeeze", 8, workers=3, overlap=overlap))
    entries = [entry for batch in found for entry in batch.inputs]
    assert len(entries) == n
    for k, entry in enumerate(entries):
        if k % 5 == 4:
            assert "not an image" in str(entry)
        else:
            assert isinstance(entry, Input)
            assert (entry.width, entry.height) == (7, 9)
            assert (entry.pixels == k).all()
    assert all(len(batch.good) == 8 for batch in found[:-1])
    assert all(len(batch.pixels()) == len(batch.good) for batch in found)


@pytest.mark.parametrize("overlap", [False, True])
def test_few_are_read_ahead(overlap: bool) -> None:
    taken = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal taken
        for k in range(1000):
            taken = k + 1
            yield np.zeros((4, 4, 3), dtype=np.uint8)

    reading = batches(counted(), 4, "squeeze", 8, overlap=overlap)
    for used in range(1, 5):
        next(reading)
        assert taken <= 8 * used + 32
    reading.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
