"""The fast decoder: Pillow's pixels, or the question handed on to Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data import png
from magnostic.data.scan import MAX_PIXELS, Unusable, decode

pytest.importorskip("imagecodecs")


def _file(pixels: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "png", **options)
    return out.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_genuine_photographs_take_the_fast_way_to_the_same_pixels(breakhis_sample: Path) -> None:
    for path in sorted(breakhis_sample.rglob("*.png"))[::12]:
        found = png.decode(path, MAX_PIXELS)
        assert found is not None
        assert np.array_equal(found, np.asarray(Image.open(path)))


def test_no_damaged_file_gives_pixels_that_pillow_would_not(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte changed, and the file cut at every length."""
    whole, path = _file(pixels), tmp_path / "x.png"
    versions = [whole[:n] for n in range(len(whole))] + [whole + b"\0"]
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        versions.append(bytes(data))
    quick = 0
    for data in versions:
        path.write_bytes(data)
        quick += png.decode(path, MAX_PIXELS) is not None
    assert quick < 10, "checksums of single chunks of pixels, which Pillow passes over, too"
    path.write_bytes(whole)
    assert png.decode(path, MAX_PIXELS) is not None

    def verdict(data: bytes) -> object:
        path.write_bytes(data)
        try:
            return decode(path).tobytes()
        except Unusable as fault:
            return str(fault)

    with_it = [verdict(data) for data in versions]
    monkeypatch.setattr(png, "spng_decode", None)
    assert with_it == [verdict(data) for data in versions]


def test_texts_and_resolution_are_no_hindrance(tmp_path: Path, pixels: np.ndarray) -> None:
    data, path = _file(pixels, dpi=(72, 72)), tmp_path / "x.png"
    text = _chunk(b"tEXt", b"Comment\0slide 7")
    path.write_bytes(data[:33] + text + data[33:-12] + text + data[-12:])
    found = png.decode(path, MAX_PIXELS)
    assert found is not None
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("kind", [b"tRNS", b"acTL", b"iCCP", b"zTXt", b"IHDR", b"abCd"])
def test_what_might_matter_is_left_to_pillow(
    tmp_path: Path, pixels: np.ndarray, kind: bytes
) -> None:
    data, path = _file(pixels), tmp_path / "x.png"
    path.write_bytes(data[:33] + _chunk(kind, bytes(8)) + data[33:])
    assert png.decode(path, MAX_PIXELS) is None


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA"])
def test_other_modes_and_sizes_are_left_to_pillow(
    tmp_path: Path, pixels: np.ndarray, mode: str
) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(pixels).convert(mode).save(path)
    assert png.decode(path, MAX_PIXELS) is None
    path.write_bytes(_file(pixels))
    assert png.decode(path, 23) is None
    assert png.decode(path, 24) is not None
    assert png.decode(tmp_path / "gone.png", MAX_PIXELS) is None
