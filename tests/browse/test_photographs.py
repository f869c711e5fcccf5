"""Photographs beside predictions: which data set, what is sent, what is refused, what is kept."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magnostic.browse.photographs import (
    DataSet,
    Gallery,
    NotAtHand,
    Source,
    at_hand,
    source_of,
)
from magnostic.data import Images, read_images


def _asked(images: Images) -> pd.DataFrame:
    return images.table[["image_id", "slide_id", "magnification"]]


def test_the_very_set_of_the_run_is_taken_before_a_namesake(tiny_images: Images) -> None:
    other = Images(tiny_images.table.assign(pixel_hash="0" * 32))
    sets = [DataSet("namesake", other), DataSet("the one", tiny_images)]
    found = source_of(sets, _asked(tiny_images), tiny_images.data_hash, False)
    assert found.data is sets[1]
    assert found.note == ""


def test_a_subset_is_matched_by_name_and_says_so(tiny_images: Images) -> None:
    part = DataSet("part", Images(tiny_images.table.iloc[:30].reset_index(drop=True)))
    found = source_of([part], _asked(tiny_images), tiny_images.data_hash, False)
    assert found.data is part
    assert "30 of 48" in found.note


def test_other_slides_or_synthetic_namesakes_are_not_shown(tiny_images: Images) -> None:
    table = tiny_images.table
    others = DataSet("others", Images(table.assign(slide_id="x" + table["slide_id"])))
    phantom = DataSet("phantom", Images(table, synthetic=True))
    found = source_of([others, phantom], _asked(tiny_images), "00", False)
    assert found.data is None
    assert "hold no image" in found.note
    assert "--data" in source_of([], _asked(tiny_images), "00", False).note


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Source]:
    """Four photographs of 700x460 in a folder of their own."""
    rng = np.random.default_rng(0)
    for name in "abcd":
        pixels = rng.integers(0, 255, (460, 700, 3), dtype=np.uint8)
        path = tmp_path / "set" / "class" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    Image.fromarray(pixels).save(tmp_path / "secret.png")
    images = read_images(tmp_path / "set")
    return tmp_path / "set/class", Source(DataSet("copies", images), "")


def test_small_pictures_are_small_and_large_ones_are_the_pixels(
    copies: tuple[Path, Source],
) -> None:
    folder, source = copies
    small = Image.open(io.BytesIO(Gallery().small(source, "class/a.png")))
    assert (small.format, small.size) == ("JPEG", (400, 263))
    large = Image.open(io.BytesIO(Gallery().large(source, "class/a.png")))
    assert large.format == "PNG"
    assert np.array_equal(np.asarray(large), np.asarray(Image.open(folder / "a.png")))


def test_what_is_no_longer_that_photograph_is_not_sent(copies: tuple[Path, Source]) -> None:
    folder, source = copies
    gallery = Gallery()
    Image.new("RGB", (700, 460)).save(folder / "a.png")
    (folder / "b.png").write_text("root:x:0:0")
    (folder / "c.png").unlink()
    (folder / "d.png").unlink()
    os.mkfifo(folder / "d.png")
    for name, why in (
        ("a", "changed"), ("b", "not an image"), ("c", "missing"), ("d", "no regular file"),
        ("e", "not in copies"),
    ):  # fmt: skip
        with pytest.raises(NotAtHand, match=why):
            gallery.small(source, f"class/{name}.png")
        with pytest.raises(NotAtHand, match=why):
            gallery.large(source, f"class/{name}.png")
    assert "missing" in at_hand(source, "class/c.png")
    assert at_hand(source, "class/a.png") == ""


def test_kept_pictures_are_bounded_and_the_last_used_stay(copies: tuple[Path, Source]) -> None:
    _, source = copies
    one = len(Gallery().small(source, "class/a.png"))
    gallery = Gallery(int(2.5 * one))
    for name in ("a", "b", "a", "c", "d", "a"):
        gallery.small(source, f"class/{name}.png")
        assert gallery.kept <= 2.5 * one
    before = gallery.kept
    assert before > one
    # "a" and "d" were used last: they need no file any more, "b" does.
    for name in ("a", "b", "d"):
        Path(source.data.rows.loc[f"class/{name}.png", "path"]).unlink()  # type: ignore[union-attr, arg-type]
    gallery.small(source, "class/a.png")
    gallery.small(source, "class/d.png")
    with pytest.raises(NotAtHand):
        gallery.small(source, "class/b.png")
