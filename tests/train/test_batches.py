"""Batches of an epoch: the same with a thread that reads ahead and without, and no thread stays."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.errors import DataError
from magnostic.preprocess.balance import SYMMETRIES, Samples
from magnostic.preprocess.colour import Colour
from magnostic.train.batches import batches
from magnostic.train.inputs import Held, Photographs, Vectors

CPU = torch.device("cpu")
COUNT = 23


def photographs(folder: Path) -> Photographs:
    """In a file that is mapped into memory, as the pixel cache is."""
    rng = np.random.default_rng(0)
    np.save(folder / "a.npy", rng.integers(0, 256, (9, 6, 6, 3)).astype(np.uint8))
    array = np.load(folder / "a.npy", mmap_mode="r")
    nothing = np.zeros((9, 0), np.float32)
    return Photographs(array, rng.integers(0, 9, COUNT), Colour("none"), nothing)


def some(rng: np.random.Generator) -> Samples:
    """Turned, and half of them mixed with another."""
    share = np.where(rng.random(COUNT) < 0.5, rng.random(COUNT), 0).astype(np.float32)
    turns = rng.integers(0, SYMMETRIES, COUNT).astype(np.int8)
    return Samples(rng.permutation(COUNT), turns, rng.permutation(COUNT), share)


def parts() -> list[NDArray[np.intp]]:
    return np.array_split(np.arange(COUNT), 5)


def alive() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("next-batch")]


def test_reading_ahead_changes_nothing(tmp_path: Path) -> None:
    inputs, samples = photographs(tmp_path), some(np.random.default_rng(1))
    y = np.arange(COUNT) % 3
    plain, ahead = (
        list(batches(inputs, y, samples, parts(), CPU, thread=thread)) for thread in (False, True)
    )
    assert len(plain) == len(ahead) == 5
    for (images, classes), (others, others_classes) in zip(plain, ahead, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(classes, others_classes)
    assert torch.cat([classes for _, classes in plain]).tolist() == y[samples.rows].tolist()
    assert alive() == []


def test_batches_are_those_of_the_samples_one_by_one(tmp_path: Path) -> None:
    """In NumPy: mixed as floats, rounded, turned."""
    inputs, samples = photographs(tmp_path), some(np.random.default_rng(2))
    assert samples.second is not None
    assert samples.share is not None
    found = torch.cat([b for b, _ in batches(inputs, np.zeros(COUNT, int), samples, parts(), CPU)])
    for k, image in enumerate(found.numpy()):
        first = inputs.array[inputs.rows[samples.rows[k]]].astype(float)
        second = inputs.array[inputs.rows[samples.second[k]]].astype(float)
        mixed = np.rint((1 - samples.share[k]) * first + samples.share[k] * second)
        turned = np.rot90(mixed, samples.symmetry[k] % 4)
        expected = turned[:, ::-1] if samples.symmetry[k] >= 4 else turned
        assert np.abs(image - expected).max() <= (1 if samples.share[k] else 0)


def test_at_most_one_batch_is_read_ahead_and_the_thread_ends_with_its_reader(
    tmp_path: Path,
) -> None:
    read: list[int] = []

    class Counted(Photographs):
        def read(self, samples: Samples, pinned: bool) -> Held:
            read.append(len(samples))
            return super().read(samples, pinned)

    given = photographs(tmp_path)
    inputs = Counted(given.array, given.rows, given.colour, given.described)
    samples = some(np.random.default_rng(1))
    with closing(batches(inputs, np.zeros(COUNT, int), samples, parts(), CPU)) as found:
        next(found)
        next(found)
        assert len(alive()) == 1
    assert len(read) in (2, 3)
    assert alive() == []


def test_what_goes_wrong_in_the_thread_is_raised_in_its_turn() -> None:
    class Broken(Vectors):
        def read(self, samples: Samples, pinned: bool) -> Held:
            if 2 in samples.rows:
                raise DataError("row 2 cannot be read")
            return super().read(samples, pinned)

    samples = Samples(np.arange(4), np.zeros(4, np.int8))
    single = [np.array([k]) for k in range(4)]
    inputs = Broken(np.eye(4, dtype=np.float32))
    got: list[Tensor] = []
    with pytest.raises(DataError, match="row 2 cannot be read"):
        got.extend(x for x, _ in batches(inputs, np.zeros(4, int), samples, single, CPU))
    found = batches(inputs, np.zeros(4, int), samples, single, CPU)
    assert [next(found)[0].tolist() for _ in range(2)] == np.eye(4)[:2, None].tolist()
    with pytest.raises(DataError, match="row 2 cannot be read"):
        next(found)
    assert alive() == []


def test_no_sample_gives_no_batch() -> None:
    samples = Samples(np.arange(0), np.zeros(0, np.int8))
    assert list(batches(Vectors(np.eye(2, dtype=np.float32)), np.arange(2), samples, [], CPU)) == []
