"""Where an image ends, against files that Pillow writes and what is put behind them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from magnostic.deploy.server import content

ZIP = b"PK\x03\x04 an archive or a script"


def written(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
def test_whole_images_pass(kind: str) -> None:
    assert content.refusal(written(kind)) is None
    assert content.refusal(written(kind) + b"\0\0\r\n") is None  # cameras fill files up


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_what_follows_an_image_is_refused(kind: str) -> None:
    said = content.refusal(written(kind) + ZIP)
    assert said is not None
    assert said.startswith(f"more than an image: {len(ZIP)} bytes follow")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_what_is_cut_off_is_left_to_the_decoder(kind: str) -> None:
    whole = written(kind)
    for length in (0, 1, 7, 30, len(whole) // 2, len(whole) - 1):
        content.refusal(whole[:length])  # never an exception
    assert content.refusal(whole[: len(whole) // 2]) is None
