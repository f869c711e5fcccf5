"""Random changes of training images: against torchvision and the published formula in float64."""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from magnostic.preprocess import augment
from magnostic.preprocess.augment import Changes, change, draw, jitter
from magnostic.preprocess.balance import SYMMETRIES, apply_symmetries
from magnostic.recipe import Augment


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 4, size: int = 16) -> Tensor:
    return torch.randint(256, (count, size, size, 3), generator=seeded(9), dtype=torch.uint8)


STRENGTH = st.sampled_from([0.0, 0.3, 1.0])


@settings(max_examples=25)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(0, 3), st.just(5), st.just(5), st.just(3))),
    st.builds(Augment, flips=st.booleans(), colour=STRENGTH, stain=STRENGTH),
    st.integers(0, 5),
)
def test_equal_draws_give_equal_images(
    pixels: NDArray[np.uint8], choice: Augment, seed: int
) -> None:
    images = torch.from_numpy(pixels)
    before = images.clone()
    result = jitter(images, choice, seeded(seed))
    assert result.shape == images.shape
    assert result.dtype == torch.uint8
    assert torch.equal(images, before)
    assert torch.equal(result, jitter(images, choice, seeded(seed)))
    if not choice.active:
        assert torch.equal(result, images)


def test_flips_are_the_eight_symmetries() -> None:
    images = noise(200, 4)
    changes = draw(200, Augment(flips=True), seeded(0))
    assert changes.symmetry is not None
    assert set(changes.symmetry.tolist()) == set(range(SYMMETRIES))
    assert torch.equal(change(images, changes), apply_symmetries(images, changes.symmetry))


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_ranges_follow_the_strength(strength: float) -> None:
    changes = draw(5000, Augment(colour=strength, stain=strength), seeded(0))
    assert changes.colour is not None
    assert changes.stain is not None
    reach = (changes.colour - torch.tensor([1.0, 1, 1, 0])).abs().amax(dim=0)
    expected = strength * torch.tensor([0.4, 0.4, 0.4, 0.1])
    assert (reach <= expected).all()
    assert (reach > 0.99 * expected).all()
    reach = (changes.stain - torch.tensor([1.0, 0.0])[:, None]).abs().amax(dim=0)
    assert (reach <= 0.2 * strength).all()
    assert (reach > 0.99 * 0.2 * strength).all()
    # Every image has its own.
    assert len(changes.colour[:, 0].unique()) > 4000


@pytest.mark.parametrize(
    "factors, torchvisions",
    [
        ((1.3, 1, 1, 0), lambda x: functional.adjust_brightness(x, 1.3)),
        ((1, 0.7, 1, 0), lambda x: functional.adjust_contrast(x, 0.7)),
        ((1, 1, 1.4, 0), lambda x: functional.adjust_saturation(x, 1.4)),
    ],
)
def test_colour_is_torchvisions(
    factors: tuple[float, ...], torchvisions: Callable[[Tensor], Tensor]
) -> None:
    images = noise()
    factor = torch.tensor([factors] * len(images), dtype=torch.float64)
    ours = change(images, Changes(None, None, factor)).int()
    theirs = torchvisions(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).int()
    assert (ours - theirs).abs().max() <= 2  # it truncates, and rounds luma's weights


def test_hue_turns_at_equal_luma() -> None:
    """A tenth of the circle turns the hue by about 36 degrees, and keeps luma to rounding."""
    images = torch.tensor([[[[200, 120, 160]]], [[[120, 160, 110]]]], dtype=torch.uint8)
    factor = torch.tensor([[1, 1, 1, 0.1]] * 2, dtype=torch.float64)
    turned = change(images, Changes(None, None, factor))
    luma = torch.tensor([0.299, 0.587, 0.114])
    assert ((turned.float() - images.float()) @ luma).abs().max() < 0.6
    for before, after in zip(images.reshape(2, 3), turned.reshape(2, 3), strict=True):
        hues = [colorsys.rgb_to_hsv(*(x / 255).tolist())[0] for x in (before, after)]
        step = abs(hues[1] - hues[0])
        assert 0.05 < min(step, 1 - step) < 0.15


def test_stain_is_tellezs_formula(genuine: NDArray[np.uint8]) -> None:
    """``c' = alpha c + beta`` in Ruifrok's basis, in float64, on genuine photographs."""
    images = genuine[:4]
    changes = draw(4, Augment(stain=1.0), seeded(3))
    assert changes.stain is not None
    ours = change(torch.from_numpy(images), changes).numpy()
    basis = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    for image, result, (alpha, beta) in zip(images, ours, changes.stain.numpy(), strict=True):
        density = -np.log(np.maximum(image.astype(np.float64), 1) / 255)
        amounts = density @ np.linalg.inv(basis)
        expected = np.rint(np.clip(255 * np.exp(-(amounts * alpha + beta) @ basis), 0, 255))
        difference = np.abs(result - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3


def test_no_change_drawn_keeps_the_pixels(genuine: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(genuine[:2]).clamp_min(1)  # the density of 0 is that of 1
    one, zero = torch.ones(2, 1, 3), torch.zeros(2, 1, 3)
    neutral = torch.cat([one, zero], dim=1).double()
    assert torch.equal(change(images, Changes(None, neutral, None)), images)
    neutral = torch.tensor([[1.0, 1, 1, 0]] * 2, dtype=torch.float64)
    assert torch.equal(change(images, Changes(None, None, neutral)), images)


def test_constants_are_those_of_the_docstrings() -> None:
    assert (augment.FACTOR, augment.HUE, augment.STAIN) == (0.4, 0.1, 0.2)
