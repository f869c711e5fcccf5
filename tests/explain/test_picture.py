"""Relevance as colours, and back on the photograph."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from magnostic.data.fit import Fit, fit_image
from magnostic.explain import heat_png, on_photograph
from magnostic.explain.picture import beside, heat


def test_heat_grows_opaque_and_lighter() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, axis=0)
    image = Image.open(io.BytesIO(heat_png(ramp)))
    assert (image.mode, image.size) == ("RGBA", (256, 4))
    pixels = np.asarray(image).astype(float)
    assert pixels[0, :, 3].tolist() == list(range(256))
    luma = pixels[0, :, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luma) > -1).all()
    assert luma[-1] - luma[0] > 150
    assert np.asarray(heat(ramp, 0.5))[0, -1, 3] == 128


@pytest.mark.parametrize("fit", ["squeeze", "crop", "pad"])
@pytest.mark.parametrize("size", [(300, 200), (120, 200), (64, 64)])
def test_a_place_is_found_again(fit: Fit, size: tuple[int, int]) -> None:
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    middle = (height // 2 + 9, width // 2 - 7)
    spot = np.exp(-((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2) / 100)
    photograph = Image.fromarray(np.rint(255 * spot).astype(np.uint8)).convert("RGB")
    seen = fit_image(photograph, 64, fit)[:, :, 0].astype(np.float32) / 255
    back = on_photograph(seen, width, height, fit)
    assert back.shape == (height, width)
    found = np.unravel_index(back.argmax(), back.shape)
    np.testing.assert_allclose(found, middle, atol=5)


def test_cropped_off_is_nothing() -> None:
    back = on_photograph(np.ones((10, 10), np.float32), 40, 20, "crop")
    assert back[:, 10:30].min() == 1
    assert back[:, :10].max() == back[:, 30:].max() == 0


def test_beside_keeps_the_photograph_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    relevance = np.zeros((50, 80), np.float32)
    relevance[:, 40:] = 1
    pair = np.asarray(beside(Image.fromarray(pixels), relevance, 700))
    np.testing.assert_array_equal(pair[:50, :80], pixels)
    right = pair[:50, 92:172]
    np.testing.assert_array_equal(right[:, :38], pixels[:, :38])
    assert np.abs(right[:, 40:].astype(int) - [253, 231, 37]).mean() < 40
