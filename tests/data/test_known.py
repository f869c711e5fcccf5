"""An unchanged file is not decoded merely to index it, and a changed one always is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data import read_images, scan
from magnostic.data.images import BadFile
from magnostic.data.known import Scanned
from magnostic.data.scan import Scanner

from .conftest import Draw


class Counted:
    """Counts the files that are decoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        true = scan.decode

        def decode(path: Path, _: object) -> np.ndarray:
            self.paths.append(path.name)
            return true(path)

        monkeypatch.setattr(scan, "decode", decode)

    def take(self) -> list[str]:
        found, self.paths = sorted(self.paths), []
        return found


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counted:
    # Files of a test are always new; one test says what becomes of those.
    monkeypatch.setattr("magnostic.data.known._SETTLED", 0)
    return Counted(monkeypatch)


def test_a_second_scan_decodes_what_is_new(tmp_path: Path, photo: Draw, decoded: Counted) -> None:
    files = [photo(tmp_path / "data" / f"{n}.png", n) for n in range(3)]
    bad = tmp_path / "data" / "bad.png"
    bad.write_text("none")
    scanner = Scanner(remember=True, cache=tmp_path / "cache")
    first = scanner.scan([*files, bad])
    assert decoded.take() == ["0.png", "1.png", "2.png", "bad.png"]
    more = photo(tmp_path / "data" / "3.png", 3)
    again = scanner.scan([more, *files, bad])
    assert decoded.take() == ["3.png", "bad.png"], "a bad file may have been mended"
    assert again[1:] == first
    assert isinstance(again[0], Scanned)
    assert Scanner(remember=True, rescan=True, cache=tmp_path / "cache").scan(files) == first[:3]
    assert decoded.take() == ["0.png", "1.png", "2.png"]


def test_another_content_size_or_time_is_decoded(
    tmp_path: Path, photo: Draw, decoded: Counted
) -> None:
    path, scanner = tmp_path / "x.bmp", Scanner(remember=True, cache=tmp_path / "cache")
    photo(path, 0)
    [first] = scanner.scan([path])
    before = path.stat()
    photo(path, 1)  # as long as the other
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a careless copy would
    assert path.stat().st_size == before.st_size
    decoded.take()
    [second] = scanner.scan([path])
    assert decoded.take() == ["x.bmp"]
    assert second != first


def test_a_file_that_has_just_been_written_is_not_remembered(
    tmp_path: Path, photo: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded, path = Counted(monkeypatch), photo(tmp_path / "x.png")
    scanner = Scanner(remember=True, cache=tmp_path / "cache")
    for _ in range(2):
        scanner.scan([path])
        assert decoded.take() == ["x.png"]
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def test_a_damaged_or_unwritable_index_is_no_fault(
    tmp_path: Path, photo: Draw, decoded: Counted
) -> None:
    path, cache = photo(tmp_path / "x.png"), tmp_path / "cache"
    expected = Scanner(remember=True, cache=cache).scan([path])
    [index] = cache.rglob("*.parquet")
    index.write_bytes(index.read_bytes()[:50])
    assert Scanner(remember=True, cache=cache).scan([path]) == expected
    (tmp_path / "file").touch()
    assert Scanner(remember=True, cache=tmp_path / "file").scan([path]) == expected
    assert len(decoded.take()) == 3


def test_the_same_table_from_memory(
    tiny_breakhis: Path, tmp_path: Path, decoded: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    first = read_images(tiny_breakhis)
    assert len(decoded.take()) == 48
    second = read_images(tiny_breakhis)
    assert decoded.take() == []
    assert second.table.equals(first.table)
    assert second.data_hash == first.data_hash
    read_images(tiny_breakhis, rescan=True)
    assert len(decoded.take()) == 48


def test_an_interrupted_scan_goes_on(tmp_path: Path, photo: Draw, decoded: Counted) -> None:
    files = [photo(tmp_path / f"{n}.png", n) for n in range(6)]
    scanner = Scanner(workers=1, remember=True, cache=tmp_path / "cache")
    true, scan.decode = scan.decode, _interrupting(scan.decode, "3.png")
    try:
        with pytest.raises(KeyboardInterrupt):
            scanner.scan(files)
    finally:
        scan.decode = true
    decoded.take()
    assert not any(isinstance(found, BadFile) for found in scanner.scan(files))
    assert decoded.take() == ["3.png", "4.png", "5.png"]


def _interrupting(decode, name):
    def until(path: Path, _: object) -> np.ndarray:
        if path.name == name:
            raise KeyboardInterrupt
        return decode(path, None)

    return until


def test_a_link_is_as_new_as_what_it_points_to(
    tmp_path: Path, photo: Draw, decoded: Counted
) -> None:
    target = photo(tmp_path / "there" / "x.bmp", 0)
    link = tmp_path / "here.bmp"
    link.symlink_to(target)
    scanner = Scanner(remember=True, cache=tmp_path / "cache")
    [first] = scanner.scan([link])
    Image.open(photo(tmp_path / "y.bmp", 1)).save(target)
    [second] = scanner.scan([link])
    assert first != second
    assert len(decoded.take()) == 2
