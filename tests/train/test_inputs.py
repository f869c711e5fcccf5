"""Batches: turned, mixed and recoloured photographs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from magnostic.preprocess.balance import Samples
from magnostic.preprocess.colour import Colour
from magnostic.train.inputs import Inputs, Photographs, Vectors

CPU = torch.device("cpu")
NOTHING = np.zeros((3, 0), np.float32)


def photographs(colour: str = "none") -> Photographs:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
    chosen = Colour(colour, None, ())  # type: ignore[arg-type]
    return Photographs(array, np.array([2, 0, 1, 0]), chosen, NOTHING)


def batch(inputs: Inputs, samples: Samples) -> Tensor:
    return inputs.place(inputs.read(samples, pinned=False), CPU)


def test_positions_are_looked_up_by_row() -> None:
    given = photographs()
    found = given.images(np.array([3, 0]), CPU).numpy()
    np.testing.assert_array_equal(found, given.array[[0, 2]])


def test_mixtures_lie_between_two_photographs() -> None:
    given = photographs()
    samples = Samples(
        np.array([0, 1]),
        np.array([0, 0], np.int8),
        second=np.array([0, 2]),
        share=np.array([0, 0.25], np.float32),
    )
    found = batch(given, samples).numpy()
    np.testing.assert_array_equal(found[0], given.array[2])
    expected = 0.75 * given.array[0].astype(float) + 0.25 * given.array[1]
    assert np.abs(found[1] - expected).max() <= 0.5
    assert samples.used.tolist() == [0, 1, 2]


def test_colours_change_before_anything_is_mixed_or_turned() -> None:
    given = photographs("grayscale")
    samples = Samples(np.array([1]), np.array([4], np.int8))
    found = batch(given, samples).numpy()[0]
    assert (found[..., 0] == found[..., 1]).all()
    plain = given.images(np.array([1]), CPU).numpy()[0]
    np.testing.assert_array_equal(found, plain[:, ::-1])


def test_vectors_are_given_as_they_are() -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = batch(Vectors(array), Samples(np.array([2, 0]), np.zeros(2, np.int8)))
    np.testing.assert_array_equal(found.numpy(), array[[2, 0]])
