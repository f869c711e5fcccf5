"""The pixel cache: shared, whole, and never of another photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magnostic.data import read_images
from magnostic.data.pixels import Fit, fit_image, open_pixels
from magnostic.errors import DataError, RunFailed


def test_rows_are_the_photographs(tiny_breakhis: Path, tmp_path: Path) -> None:
    table = read_images(tiny_breakhis).table
    pixels = open_pixels(table, 32, "squeeze", tmp_path)
    rows = pixels.rows(table["pixel_hash"])
    for place in (0, 17, 47):
        expected = fit_image(Image.open(table["path"].iloc[place]), 32, "squeeze")
        assert np.array_equal(pixels.array[rows[place]], expected)
    assert not hasattr(pixels.array, "__setitem__")


def test_a_second_start_decodes_nothing(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_images(tiny_breakhis).table
    first = open_pixels(table, 32, "crop", tmp_path)
    monkeypatch.setattr("magnostic.data.pixels.decode", lambda *_: pytest.fail("decoded again"))
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    again = open_pixels(shuffled, 32, "crop", tmp_path)
    assert np.array_equal(first.array, again.array)


def test_crop_takes_the_centre_and_squeeze_the_whole() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 200
    image = Image.fromarray(wide)
    assert fit_image(image, 20, "crop").mean() > 190
    assert 50 < fit_image(image, 20, "squeeze").mean() < 80


@given(width=st.integers(1, 90), height=st.integers(1, 90), size=st.integers(32, 48))
def test_pad_keeps_the_whole_image_between_equal_black_bars(
    width: int, height: int, size: int
) -> None:
    white = Image.new("RGB", (width, height), (255, 255, 255))
    square = fit_image(white, size, "pad")
    assert square.shape == (size, size, 3)
    assert set(np.unique(square)) <= {0, 255}
    inside = square[:, :, 0] > 0
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    assert inside[np.ix_(rows, columns)].all(), "one rectangle"
    assert max(rows.sum(), columns.sum()) == size
    assert abs(columns.sum() * height - rows.sum() * width) <= max(width, height)
    for side in (rows, columns):
        before, after = side.argmax(), side[::-1].argmax()
        assert 0 <= after - before <= 1


def test_pad_keeps_a_round_field_of_view_round() -> None:
    y, x = np.mgrid[:200, :300]
    field = (y - 99.5) ** 2 + (x - 149.5) ** 2 < 95**2
    image = Image.fromarray(np.where(field[:, :, None], 200, 0).repeat(3, 2).astype(np.uint8))
    extent = {}
    fits: tuple[Fit, ...] = ("squeeze", "pad")
    for fit in fits:
        bright = fit_image(image, 90, fit)[:, :, 0] > 100
        extent[fit] = (bright.any(axis=0).sum(), bright.any(axis=1).sum())
    assert abs(np.subtract(*extent["pad"])) <= 1
    assert np.subtract(*extent["squeeze"]) < -20


def test_a_photograph_that_changed_is_refused(tiny_breakhis: Path, tmp_path: Path) -> None:
    table = read_images(tiny_breakhis).table.iloc[:2].copy()
    other = tmp_path / "other.png"
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(other)
    table.loc[0, "path"] = other.as_posix()
    with pytest.raises(DataError, match=r"other\.png: changed since it was indexed"):
        open_pixels(table, 32, "squeeze", tmp_path)
    other.unlink()
    with pytest.raises(DataError, match=r"other\.png.*index the data again"):
        open_pixels(table, 32, "squeeze", tmp_path)
    assert not list(tmp_path.rglob("*.tmp")), "nothing half-written"


def test_hashes_of_a_manifest_do_not_give_old_pixels(tmp_path: Path) -> None:
    photo, manifest = tmp_path / "a.png", tmp_path / "m.csv"
    manifest.write_text("path,label,pixel_hash,width,height\na.png,x,1,8,8\n")
    seen = []
    for grey in (10, 200):
        Image.fromarray(np.full((8 + grey, 8, 3), grey, dtype=np.uint8)).save(photo)
        pixels = open_pixels(read_images(manifest).table, 32, "squeeze", tmp_path)
        seen.append(np.asarray(pixels.array).mean())
    assert seen == [10, 200]


def test_a_full_disk_names_the_space_needed(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(RunFailed, match=r"cannot write .* MiB.*MAGNOSTIC_CACHE"):
        open_pixels(read_images(tiny_breakhis).table, 32, "squeeze", tmp_path)


@pytest.mark.parametrize(
    ("fit", "left", "right"),
    [("squeeze", False, False), ("crop", False, False), ("pad", True, True)],
)
def test_height_and_width_may_differ(fit: Fit, left: bool, right: bool) -> None:
    """A white square of 60 px in 20 x 40: only ``pad`` leaves black at its sides."""
    found = fit_image(Image.new("RGB", (60, 60), "white"), (20, 40), fit)
    assert found.shape == (20, 40, 3)
    assert (found[:, 0].max() == 0) == left
    assert (found[:, -1].max() == 0) == right
    assert found[:, 20].min() == 255
