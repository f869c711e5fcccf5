"""Shifts against other implementations, and against what the phantom draws."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from magnostic.data.phantom import render
from magnostic.data.phantom.slides import phantom_slides
from magnostic.data.phantom.stain import Appearance, beer_lambert
from magnostic.errors import BadInput
from magnostic.preprocess.shifts import EOSIN, HAEMATOXYLIN, SHIFTS, shifted

Levels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def field() -> Levels:
    """A phantom field at 200X, uint8 [230, 230, 3]."""
    return render.render_field(phantom_slides(0, 1)[0], 200, 0).rgb[:230, :230].copy()


def _shift(image: Levels, name: str, severity: float) -> Levels:
    result: Levels = shifted(torch.from_numpy(image[None].copy()), name, severity)[0].numpy()
    return result


def _far(one: Levels, other: Levels) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("name", SHIFTS)
def test_none_at_zero_and_more_with_severity(name: str, field: Levels) -> None:
    assert np.array_equal(_shift(field, name, 0.0), field)
    away = [_far(_shift(field, name, s), field) for s in (0.25, 0.5, 1.0)]
    assert 0 < away[0] < away[1] < away[2]
    assert _far(_shift(field, name, 0.01), field) < away[0], "small changes for small severities"


@pytest.mark.parametrize("name", SHIFTS)
def test_a_photograph_does_not_depend_on_its_neighbours(name: str, field: Levels) -> None:
    images = torch.from_numpy(np.stack([field, 255 - field, field[::-1]]))
    together = shifted(images, name, 0.7)
    assert together.shape == images.shape
    assert together.dtype == torch.uint8
    for one, image in zip(together, images, strict=True):
        assert torch.equal(one, shifted(image[None], name, 0.7)[0])


@pytest.mark.parametrize(
    "name, factors",
    [
        ("haematoxylin-more", (2, 1)),
        ("haematoxylin-less", (0.5, 1)),
        ("eosin-more", (1, 2)),
        ("eosin-less", (1, 0.5)),
    ],
)
def test_stain_follows_beer_and_lambert(name: str, factors: tuple[float, float]) -> None:
    """Known amounts under a known light, and the same with one of them changed."""
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0, 0.7, (2, 64, 64)).astype(np.float32)
    amounts[:, :8] = 0  # clear places, by which the light is known
    vectors = np.array([HAEMATOXYLIN, EOSIN], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    white = np.array([0.9, 0.85, 0.8], dtype=np.float32)

    def seen(blue: float, pink: float) -> Levels:
        light = beer_lambert(amounts[0] * blue, amounts[1] * pink, vectors, white)
        return np.round(light * 255).astype(np.uint8)

    away = np.abs(_shift(seen(1, 1), name, 1.0).astype(int) - seen(*factors).astype(int))
    assert away.max() <= 4, "no more than rounding to 8 bit before and after"
    assert away.mean() < 0.5
    half = np.abs(_shift(seen(1, 1), name, 0.5).astype(int) - seen(*np.sqrt(factors)).astype(int))
    assert half.mean() < 0.5


@pytest.mark.parametrize("stain", ["haematoxylin", "eosin"])
@pytest.mark.parametrize("factor, way", [(2.0, "more"), (0.5, "less")])
def test_stain_is_what_the_phantom_draws_with_other_amounts(
    stain: str, factor: float, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its slides have stain vectors, light and camera of their own, which a shift cannot know."""
    usual = render.field_appearance

    def other(*args: object) -> Appearance:
        look = usual(*args)  # type: ignore[arg-type]
        return replace(look, **{stain: getattr(look, stain) * factor})

    left, without = 0.0, 0.0
    for slide in phantom_slides(0, 2)[::6]:
        drawn = render.render_field(slide, 200, 0).rgb
        with monkeypatch.context() as patch:
            patch.setattr(render, "field_appearance", other)
            truth = render.render_field(slide, 200, 0).rgb
        left += _far(_shift(drawn[:, :460], f"{stain}-{way}", 1.0), truth[:, :460])
        without += _far(drawn[:, :460], truth[:, :460])
    assert left < 0.4 * without


def test_blur_is_scipys(field: Levels) -> None:
    sigma = 0.008 * len(field)
    expected = ndimage.gaussian_filter(
        field.astype(float), (sigma, sigma, 0), mode="mirror", truncate=np.ceil(3 * sigma) / sigma
    )
    assert np.abs(_shift(field, "blur", 1.0) - expected).max() <= 0.51


def test_jpeg_is_pillows(field: Levels) -> None:
    file = io.BytesIO()
    Image.fromarray(field).save(file, "JPEG", quality=10)
    assert np.array_equal(_shift(field, "jpeg", 1.0), np.asarray(Image.open(file)))


def test_resolution_and_zoom_are_pillows(field: Levels) -> None:
    side = len(field)

    def resize(image: Levels, to: int) -> Levels:
        return np.asarray(Image.fromarray(image).resize((to, to), Image.Resampling.BILINEAR))

    def near(one: Levels, other: Levels) -> bool:
        return bool(np.abs(one.astype(int) - other.astype(int)).max() <= 2)

    small = round(side / 4)
    assert near(_shift(field, "resolution", 1.0), resize(resize(field, small), side))
    middle = field[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2]
    assert near(_shift(field, "zoom-in", 1.0), resize(middle, side))
    out = _shift(field, "zoom-out", 1.0)[side // 4 : -(side // 4), side // 4 : -(side // 4)]
    inside = resize(np.pad(field, ((115, 115), (115, 115), (0, 0)), "reflect"), side)
    assert near(out, inside[side // 4 : -(side // 4), side // 4 : -(side // 4)])


def test_light_scales_levels(field: Levels) -> None:
    brighter = np.clip(np.round(field * 1.3), 0, 255)
    assert np.abs(_shift(field, "brighter", 1.0) - brighter).max() <= 1
    warm = _shift(field, "warmer", 1.0).astype(float)
    assert np.array_equal(warm[..., 1], field[..., 1])
    usable = (field.min(axis=2) > 60) & (warm.max(axis=2) < 255)
    ratio = (warm[..., 0] / warm[..., 2]) / (field[..., 0] / field[..., 2])
    assert ratio[usable] == pytest.approx(1.3, rel=0.03)


def test_black_tiny_and_oblong_photographs() -> None:
    for image in (
        np.zeros((32, 32, 3), np.uint8),
        np.full((2, 2, 3), 9, np.uint8),
        np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8),
    ):
        for name in SHIFTS:
            assert _shift(image, name, 1.0).shape == image.shape


def test_unknown_shifts_and_severities(field: Levels) -> None:
    with pytest.raises(BadInput, match=r"did you mean 'blur'"):
        _shift(field, "blurr", 0.5)
    with pytest.raises(BadInput, match=r"severity 1\.5: give values from 0 to 1"):
        _shift(field, "blur", 1.5)
