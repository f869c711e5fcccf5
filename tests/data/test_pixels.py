"""The pixel cache: shared, whole, and never of another photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data import read_images
from magnostic.data.pixels import fit_square, open_pixels
from magnostic.errors import DataError, RunFailed


def test_rows_are_the_photographs(tiny_breakhis: Path, tmp_path: Path) -> None:
    table = read_images(tiny_breakhis).table
    pixels = open_pixels(table, 32, "squeeze", tmp_path)
    rows = pixels.rows(table["pixel_hash"])
    for place in (0, 17, 47):
        expected = fit_square(Image.open(table["path"].iloc[place]), 32, "squeeze")
        assert np.array_equal(pixels.array[rows[place]], expected)
    assert not pixels.array.flags.writeable


def test_a_second_start_decodes_nothing(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_images(tiny_breakhis).table
    first = open_pixels(table, 32, "crop", tmp_path)
    monkeypatch.setattr("magnostic.data.pixels.decode", lambda _: pytest.fail("decoded again"))
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    again = open_pixels(shuffled, 32, "crop", tmp_path)
    assert np.array_equal(first.array, again.array)


def test_crop_takes_the_centre_and_squeeze_the_whole() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 200
    image = Image.fromarray(wide)
    assert fit_square(image, 20, "crop").mean() > 190
    assert 50 < fit_square(image, 20, "squeeze").mean() < 80


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
    assert not list((tmp_path / "pixels").iterdir()), "nothing half-written"


def test_hashes_of_a_manifest_do_not_give_old_pixels(tmp_path: Path) -> None:
    photo, manifest = tmp_path / "a.png", tmp_path / "m.csv"
    manifest.write_text("path,label,pixel_hash,width,height\na.png,x,1,8,8\n")
    seen = []
    for grey in (10, 200):
        Image.fromarray(np.full((8 + grey, 8, 3), grey, dtype=np.uint8)).save(photo)
        seen.append(open_pixels(read_images(manifest).table, 32, "squeeze", tmp_path).array.mean())
    assert seen == [10, 200]


def test_a_full_disk_names_the_space_needed(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(RunFailed, match=r"cannot write .* MiB.*MAGNOSTIC_CACHE"):
        open_pixels(read_images(tiny_breakhis).table, 32, "squeeze", tmp_path)
