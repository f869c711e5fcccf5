"""Opening slides, finding tissue and cutting tiles, against independent crops."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from magnostic.errors import BadInput, DataError, MissingExtra
from magnostic.slides import scale, source, tiles, tissue


def resized(crop: np.ndarray, width: int, height: int) -> np.ndarray:
    """Antialiased bilinear by another implementation."""
    given = torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].double()
    out = torch.nn.functional.interpolate(given, (height, width), mode="bilinear", antialias=True)
    return out[0].permute(1, 2, 0).round().clamp(0, 255).numpy().astype(np.uint8)


def cut(slide: source.Slide, wanted: float, mpp: float, pixels: tuple[int, int]) -> scale.Tiling:
    return scale.tiling((mpp, mpp), wanted, pixels, slide.downsamples)


def test_openslide_reads_the_scale_and_the_levels(mosaic: Any) -> None:
    slide = source.open_slide(mosaic.path)
    assert slide.size == mosaic.pixels.shape[1::-1]
    np.testing.assert_allclose(slide.downsamples, [(1, 1), (2, 2), (4, 4)], rtol=1e-2)
    mpp, said = source.scale_of(slide, None, None)
    assert mpp == pytest.approx((0.96, 0.96))
    assert "file" in said
    assert source.scale_of(slide, 0.5, None)[0] == (0.5, 0.5)
    assert source.scale_of(slide, None, 20)[0] == (0.5, 0.5)
    with pytest.raises(BadInput, match="give one"):
        source.scale_of(slide, 0.5, 20)


def test_at_its_own_scale_a_tile_is_the_photograph_to_the_last_bit(mosaic: Any) -> None:
    slide = source.open_slide(mosaic.path)
    tiling = cut(slide, 0.96, 0.96, (700, 460))
    assert (tiling.level, tiling.enlarged) == (0, 1)
    found = tiles.choose(slide, tiling, tissue.find(slide, tiling.step), 0.25)
    where = [
        (column * 700, row * 460, 700, 460)
        for row, line in enumerate(mosaic.layout)
        for column, which in enumerate(line)
        if which >= 0
    ]
    assert [tuple(box) for box in found.boxes] == where
    assert found.in_grid == 6
    for pixels, photograph in zip(
        tiles.read_all(slide, tiling, found.boxes, workers=2), mosaic.photographs, strict=True
    ):
        np.testing.assert_array_equal(pixels, photograph)


def test_a_coarser_tile_is_an_antialiased_crop(mosaic: Any) -> None:
    """Three times coarser: read from the level of 2, reduced by 1.5."""
    slide = source.open_slide(mosaic.path)
    tiling = cut(slide, 2.88, 0.96, (350, 230))
    assert tiling.level == 1
    assert tiling.reduced == pytest.approx(1.5, rel=1e-3)
    boxes = tiles.grid(slide.size, tiling.step)
    assert [tuple(b) for b in boxes] == [(0, 0, 1050, 690), (1050, 0, 1050, 690)]
    # The level has been rounded to whole pixels, and so has the test's: one grey level each way.
    height, width = (n // 2 * 2 for n in mosaic.pixels.shape[:2])
    halves = mosaic.pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    half = np.floor(halves + 0.5).astype(np.uint8)
    expected = resized(half[0:345, 525:1050], 350, 230)
    off = np.abs(tiles.read(slide, tiling, boxes[1]).astype(int) - expected)
    assert off.max() <= 3
    assert (off <= 1).mean() > 0.99


def test_a_slide_that_is_not_fine_enough_is_enlarged_and_says_so(mosaic: Any) -> None:
    slide = source.open_slide(mosaic.path)
    tiling = cut(slide, 0.48, 0.96, (700, 460))
    assert tiling.enlarged == pytest.approx(2)
    box = tiles.grid(slide.size, tiling.step)[0]
    assert tuple(box) == (0, 0, 350, 230)
    expected = resized(mosaic.pixels[:230, :350], 700, 460).astype(int)
    assert np.abs(tiles.read(slide, tiling, box) - expected).max() <= 1


def test_shares_of_tissue_are_exact_for_boxes_between_mask_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((9, 13)) < 0.5
    found = tissue.Tissue(mask, 4.0, 0.05)
    whole = mask.repeat(4, 0).repeat(4, 1)
    boxes = np.array([[0, 0, 52, 36], [3, 5, 17, 11], [1, 1, 1, 1], [40, 30, 12, 6]])
    expected = [whole[y : y + h, x : x + w].mean() for x, y, w, h in boxes]
    np.testing.assert_allclose(found.share(boxes), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("colour", "share"),
    [((244, 244, 246), 0), ((225, 150, 190), 1), ((120, 80, 140), 1), ((8, 9, 8), 0),
     ((190, 190, 190), 1)],
)  # fmt: skip
def test_plain_slides_are_all_tissue_or_none(
    colour: tuple[int, int, int], share: int, tmp_path: Path
) -> None:
    """Glass, eosin, haematoxylin, pen, grey: whatever Otsu makes of one colour."""
    noise = np.random.default_rng(0).normal(0, 2, (200, 300, 1))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    slide = source.PlainSlide(tmp_path, pixels, "array")
    found = tissue.find(slide, (64, 64))
    assert found.mask.mean() == pytest.approx(share, abs=0.05)  # the rim is half outside


def test_blocks_of_an_overview_fit_together(mosaic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = source.open_slide(mosaic.path)
    at_once = tissue.overview(slide, 5.5)
    monkeypatch.setattr(tissue, "_BLOCK", 64)
    in_blocks = tissue.overview(slide, 5.5)
    # A block's own edge has no neighbours to be smoothed with.
    assert np.abs(at_once.astype(int) - in_blocks).mean() < 1.5
    assert at_once.shape == in_blocks.shape


def test_plain_images_need_to_be_told_their_scale(photographs: list[Any], tmp_path: Path) -> None:
    pixels = photographs[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", pixels, photometric="rgb")  # strips: not for OpenSlide
    rgba = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    rgba[:10, :10, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "c.png")
    for name in ("a.png", "b.tif", "c.png"):
        slide = source.open_slide(tmp_path / name)
        with pytest.raises(BadInput, match=r"--slide-mpp .* --objective"):
            source.scale_of(slide, None, None)
        whole = np.array(slide.read(-2, -3, 0, 706, 465))
        expected = np.full((465, 706, 3), 255, np.uint8)
        expected[3:463, 2:702] = pixels
        if name == "c.png":
            expected[3:13, 2:12] = 255
        np.testing.assert_array_equal(whole, expected)


def test_a_pyramid_without_scale_needs_to_be_told(
    pyramid: Any, mosaic: Any, tmp_path: Path
) -> None:
    slide = source.open_slide(pyramid(tmp_path / "no.tif", mosaic.pixels, None))
    assert slide.mpp is None
    with pytest.raises(BadInput, match="neither micrometres a pixel nor objective power"):
        source.scale_of(slide, None, None)
    print_size = source.open_slide(pyramid(tmp_path / "dpi.tif", mosaic.pixels, 1e4 / 28.3))
    assert print_size.mpp is None  # 72 dpi


def test_what_is_no_slide_is_named(tmp_path: Path, mosaic: Any) -> None:
    (tmp_path / "text.svs").write_text("no slide")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    whole = mosaic.path.read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 3])
    tifffile.imwrite(tmp_path / "grey.tif", np.zeros((40, 40), np.uint16))
    Image.new("L", (30, 30)).save(tmp_path / "grey.png")
    for name in (
        "text.svs",
        "empty.tif",
        "text.png",
        "cut.tif",
        "grey.tif",
        "grey.png",
        "none.svs",
    ):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            source.open_slide(tmp_path / name)


def test_without_openslide_the_extra_is_named(mosaic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingExtra, match=r"magnostic\[wsi\]"):
        source.open_slide(mosaic.path)


def test_smaller_than_a_tile(mosaic: Any) -> None:
    slide = source.open_slide(mosaic.path)
    tiling = cut(slide, 9.6, 0.96, (700, 460))
    with pytest.raises(BadInput, match="less than one tile"):
        tiles.choose(slide, tiling, tissue.find(slide, tiling.step), 0.25)
