"""Colours brought to a reference: the contract, and fields too pale or plain for it."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from magnostic.errors import DataError
from magnostic.preprocess import colour
from magnostic.preprocess.colour import Colour, Method

TO_REFERENCE: tuple[Method, ...] = ("reinhard", "macenko", "vahadane")

#: A target of each width that any photograph can be brought to.
TARGETS: dict[Method, Colour] = {
    "none": Colour("none"),
    "grayscale": Colour("grayscale"),
    "reinhard": Colour("reinhard", "r", (70, 15, -10, 10, 8, 6)),
    "macenko": Colour("macenko", "r", (0.6, 0.7, 0.387, 0.25, 0.85, 0.463, 1.0, 0.9)),
    "vahadane": Colour("vahadane", "r", (0.6, 0.7, 0.387, 0.25, 0.85, 0.463, 1.0, 0.9)),
}


def changed(target: Colour, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    described = torch.from_numpy(colour.describe(target.method, images))
    return colour.apply(target, torch.from_numpy(images), described).numpy()


def featureless() -> NDArray[np.uint8]:
    """White, black, grey, one colour, one stained pixel, two stained pixels."""
    images = np.full((6, 224, 224, 3), 255, dtype=np.uint8)
    images[1], images[2], images[3] = 0, 128, (180, 90, 160)
    images[4, 5, 5] = images[5, 5, 5] = (120, 40, 140)
    images[5, 9, 9] = (230, 120, 160)
    return images


@pytest.mark.parametrize("method", TO_REFERENCE)
def test_featureless_fields_stay_as_they_are(method: Method) -> None:
    images = featureless()
    assert np.isnan(colour.describe(method, images)).all()
    assert np.array_equal(changed(TARGETS[method], images), images)


@pytest.mark.parametrize("method", TO_REFERENCE)
def test_mixed_precision_changes_nothing(method: Method, genuine: NDArray[np.uint8]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        mixed = changed(TARGETS[method], genuine[:2])
    assert np.array_equal(mixed, changed(TARGETS[method], genuine[:2]))


@pytest.mark.parametrize("method", TO_REFERENCE)
def test_genuine_photographs_are_described_and_changed(
    method: Method, genuine: NDArray[np.uint8]
) -> None:
    described = colour.describe(method, genuine)
    assert described.dtype == np.float32
    assert np.isfinite(described).all()
    reference = colour.choose_reference(genuine)
    target = colour.refer(method, genuine[reference], "r")
    assert target.target == tuple(described[reference].tolist())
    before = genuine.copy()
    result = changed(target, genuine)
    assert np.array_equal(genuine, before)
    others = [i for i in range(len(genuine)) if i != reference]
    assert (result[others] != genuine[others]).any(axis=(1, 2, 3)).all()
    # Nearer to the reference than before: what the method is for.
    means = [x.mean(axis=(1, 2)) - x[reference].mean(axis=(0, 1)) for x in (genuine, result)]
    assert np.abs(means[1]).mean() < 0.75 * np.abs(means[0]).mean()
    # A photograph's own result does not depend on its neighbours.
    assert np.array_equal(changed(target, genuine[4:5]), result[4:5])


def test_own_colours_change_nothing_by_reinhard(genuine: NDArray[np.uint8]) -> None:
    for image in genuine[::6]:
        target = colour.refer("reinhard", image, "itself")
        assert np.abs(changed(target, image[None])[0].astype(int) - image).max() <= 1


def test_a_described_photograph_beside_a_blank_one(genuine: NDArray[np.uint8]) -> None:
    images = np.stack([np.full_like(genuine[0], 255), genuine[0]])
    for method in TO_REFERENCE:
        result = changed(TARGETS[method], images)
        assert (result[0] == 255).all()
        assert np.array_equal(result[1:], changed(TARGETS[method], images[1:]))


plain = st.tuples(*[st.integers(0, 255)] * 3).map(
    lambda c: np.broadcast_to(np.array(c, dtype=np.uint8), (1, 6, 6, 3)).copy()
)
noise = hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(6), st.just(6), st.just(3)))


@settings(max_examples=40)
@given(st.sampled_from(get_args(Method)), st.one_of(noise, plain))
def test_any_image_can_be_given(method: Method, images: NDArray[np.uint8]) -> None:
    described = colour.describe(method, images)
    assert described.shape == (len(images), colour.WIDTH[method])
    blank = np.isnan(described)
    assert (blank.all(axis=1) == blank.any(axis=1)).all() or not described.shape[1]
    result = changed(TARGETS[method], images)
    assert result.shape == images.shape
    assert result.dtype == np.uint8
    if colour.WIDTH[method]:
        left = blank.any(axis=1)
        assert np.array_equal(result[left], images[left])


def test_grayscale_is_pillows() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    result = changed(Colour("grayscale"), images)
    for image, grey in zip(images, result, strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L"))
        assert all(np.array_equal(grey[..., c], expected) for c in range(3))


def test_the_reference_is_the_most_ordinary_photograph() -> None:
    described = np.array([[10.0, 1], [50, 1], [52, 1], [90, 1], [51, 1]], dtype=np.float32)
    described = np.pad(described, ((0, 0), (0, 4)))
    assert colour.choose_from(described) == 4
    # The first of equals, and never one that cannot be described.
    assert colour.choose_from(np.concatenate([described, described])) == 4
    described[4] = np.nan
    assert colour.choose_from(described) == 1
    pale = np.zeros((5, 8), dtype=np.float32)
    pale[1] = np.nan
    assert colour.choose_from(described, pale) == 2
    # Where all are too pale for Macenko the colours alone count; where none has any, the first.
    assert colour.choose_from(described, np.full((5, 8), np.nan, np.float32)) == 1
    assert colour.choose_from(np.full((3, 6), np.nan, np.float32)) == 0


def test_the_reference_of_photographs(genuine: NDArray[np.uint8]) -> None:
    chosen = colour.choose_reference(genuine)
    blank = np.full_like(genuine[:1], 255)
    assert colour.choose_reference(np.concatenate([blank, genuine])) == chosen + 1
    assert colour.choose_reference(blank) == 0


def test_a_blank_reference_is_an_error() -> None:
    blank = np.full((8, 8, 3), 255, dtype=np.uint8)
    with pytest.raises(DataError, match=r"white\.png: too pale.*another photograph"):
        colour.refer("macenko", blank, "white.png")


def test_stored_and_read_again() -> None:
    for target in TARGETS.values():
        assert Colour.from_dict(json.loads(json.dumps(target.as_dict()))) == target
    with pytest.raises(ValueError, match="needs 8 numbers"):
        Colour("macenko", "r", (1.0,))
    with pytest.raises(ValueError, match="not one of"):
        Colour.from_dict({"method": "sepia", "reference": None, "target": []})
