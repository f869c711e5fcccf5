"""Photographs kept by the hash of their pixels: decoded once, whole, and the right ones."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magnostic.data import Wanted, pixels, read_images, rows, scan
from magnostic.data.cache import entries, prune
from magnostic.data.fit import fit_image
from magnostic.data.pixels import open_pixels
from magnostic.data.rows import open_rows
from magnostic.data.store import Store, Writer
from magnostic.errors import RunFailed


@pytest.fixture(scope="module")
def table(tiny_breakhis: Path) -> pd.DataFrame:
    return read_images(tiny_breakhis).table


def _expected(table: pd.DataFrame, size: int = 32) -> np.ndarray:
    unique = table.drop_duplicates("pixel_hash").sort_values("pixel_hash")
    return np.stack([fit_image(Image.open(path), size, "squeeze") for path in unique["path"]])


def _refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pixels, scan):
        monkeypatch.setattr(module, "decode", lambda path, _: pytest.fail(f"decoded {path}"))


def test_the_index_fills_the_cache_from_one_decoding(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    seen, true = [], scan.decode
    monkeypatch.setattr(scan, "decode", lambda path, _: seen.append(path) or true(path))
    keep = [Wanted(32, "squeeze"), Wanted((24, 40), "pad")]
    table = read_images(tiny_breakhis, keep=keep).table
    assert len(seen) == 48
    _refuse(monkeypatch)
    for size, fit in keep:
        opened = open_pixels(table, size, fit)
        again = np.stack([fit_image(Image.open(path), size, fit) for path in table["path"]])
        assert np.array_equal(opened.array[opened.rows(table["pixel_hash"])], again)


def test_a_subset_and_a_grown_set_decode_nothing_twice(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_pixels(table[:30], 32, "squeeze", tmp_path)
    seen, true = [], pixels.decode
    monkeypatch.setattr(pixels, "decode", lambda path, _: seen.append(path) or true(path))
    subset = open_pixels(table[5:15], 32, "squeeze", tmp_path)
    assert np.array_equal(subset.array, _expected(table[5:15]))
    assert not seen
    grown = open_pixels(table, 32, "squeeze", tmp_path)
    assert sorted(seen) == [Path(path) for path in sorted(table["path"][30:])]
    assert np.array_equal(grown.array, _expected(table))
    assert len({subset.key, grown.key, open_pixels(table, 33, "squeeze", tmp_path).key}) == 3


def test_it_is_indexed_as_an_array(table: pd.DataFrame, tmp_path: Path) -> None:
    open_pixels(table[:20], 32, "squeeze", tmp_path)
    array, expected = open_pixels(table, 32, "squeeze", tmp_path).array, _expected(table)
    assert len(list(tmp_path.rglob("*.u8"))) == 2, "rows of two packs"
    assert (len(array), array.shape, array.dtype) == (48, expected.shape, expected.dtype)
    some = np.array([47, 3, 3, -1, 0])
    for index in (5, -1, np.intp(7), slice(10, 40, 7), slice(None), some, some > 2, some[:0]):
        if isinstance(index, np.ndarray) and index.dtype == bool:
            index = np.resize(index, 48)
        assert np.array_equal(array[index], expected[index])
    out = np.empty((5, 32, 32, 3), np.uint8)
    np.take(array, some, axis=0, out=out, mode="wrap")
    assert np.array_equal(out, expected[some])
    assert all(np.array_equal(a, b) for a, b in zip(array, expected, strict=True))
    for wrong in (48, np.array([0, 48]), np.array([-49])):
        with pytest.raises(IndexError):
            array[wrong]


@pytest.mark.parametrize("harm", ["bits", "short", "long", "index", "no data"])
def test_a_damaged_pack_is_decoded_again(
    table: pd.DataFrame, tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_pixels(table, 32, "squeeze", tmp_path)
    [data], [index] = tmp_path.rglob("*.u8"), tmp_path.rglob("*.npz")
    content = bytearray(data.read_bytes())
    content[3 * 32 * 32 * 20 + 5] ^= 64
    if harm == "bits":
        data.write_bytes(content)
    elif harm == "index":
        index.write_bytes(index.read_bytes()[:-30])
    elif harm == "no data":
        data.unlink()
    else:
        data.write_bytes(content[:-1] if harm == "short" else content + b"\0")
    capsys.readouterr()
    array = open_pixels(table, 32, "squeeze", tmp_path).array
    assert np.array_equal(array, _expected(table))
    if harm != "no data":
        assert capsys.readouterr().err.count("is damaged") == 1
    again = open_pixels(table, 32, "squeeze", tmp_path).array  # mended on the disk
    assert np.array_equal(again, _expected(table))
    assert "damaged" not in capsys.readouterr().err


def test_no_changed_bit_of_an_index_stops_a_start(table: pd.DataFrame, tmp_path: Path) -> None:
    """Some would make it an archive of another version, or one with a password."""
    open_pixels(table, 32, "squeeze", tmp_path)
    [data], [index] = tmp_path.rglob("*.u8"), tmp_path.rglob("*.npz")
    contents, whole = data.read_bytes(), index.read_bytes()
    store = Store.of(32, "squeeze", tmp_path)
    [expected] = [list(pack.names) for pack in store.packs()]
    for bit in range(0, 8 * len(whole), 7):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        index.write_bytes(content)
        data.write_bytes(contents)
        assert all(list(pack.names) == expected for pack in store.packs())


def test_damage_that_comes_after_a_row_was_read_is_left_to_the_next_process(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checksum costs something, so each row is compared once."""
    array = open_pixels(table, 32, "squeeze", tmp_path).array
    assert np.array_equal(array[7], _expected(table)[7])
    [data] = tmp_path.rglob("*.u8")
    data.write_bytes(bytes(data.stat().st_size))
    assert not np.array_equal(array[7], _expected(table)[7])
    assert np.array_equal(array[8], _expected(table)[8])
    assert capsys.readouterr().err.count("is damaged") == 1


def test_two_processes_fill_the_same_cache(
    table: pd.DataFrame, tiny_breakhis: Path, tmp_path: Path
) -> None:
    code = """
import sys, time
from pathlib import Path
from magnostic.data import Wanted, read_images
from magnostic.data.pixels import open_pixels
from magnostic.data.rows import open_rows
from magnostic.data.store import Store, Writer
while not Path(sys.argv[2]).exists(): time.sleep(0.001)
keep = [Wanted(32, "squeeze")] if sys.argv[3] == "scan" else []
table = read_images(Path(sys.argv[1]), keep=keep).table
print(open_pixels(table, 32, "squeeze").array[:].tobytes().hex())
"""
    go = tmp_path / "go"
    environment = {**os.environ, "MAGNOSTIC_CACHE": str(tmp_path / "cache")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tiny_breakhis), str(go), how],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for how in ("scan", "open")
    ]
    time.sleep(1)
    go.touch()
    expected = _expected(table).tobytes().hex()
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out.strip() == expected
    assert not list(tmp_path.rglob("*.tmp"))
    assert np.array_equal(
        open_pixels(table, 32, "squeeze", tmp_path / "cache").array, _expected(table)
    )


def test_too_little_space_is_said_before_anything_is_decoded(
    table: pd.DataFrame, tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1, 1, 5 * 2**20))
    _refuse(monkeypatch)
    needed = r"7 MiB are needed in .* and 5 are free; .*magnostic cache prune.*MAGNOSTIC_CACHE"
    with pytest.raises(RunFailed, match=needed):
        open_pixels(table, 224, "squeeze")
    with pytest.raises(RunFailed, match=needed):
        read_images(tiny_breakhis, keep=[Wanted(224, "squeeze")], rescan=True)


def test_a_filled_cache_needs_no_space(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    keep = [Wanted(32, "squeeze")]
    read_images(tiny_breakhis, keep=keep)
    usage = namedtuple("usage", "total used free")(1, 1, 0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert len(read_images(tiny_breakhis, keep=keep, rescan=True).table) == 48


def test_an_index_that_cannot_be_read_now_is_not_thrown_away(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_pixels(table, 32, "squeeze", tmp_path)
    files = sorted((tmp_path / "pixels").rglob("*"))

    def exhausted(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.load", exhausted)
        assert Store.of(32, "squeeze", tmp_path).known() == set()
    assert sorted((tmp_path / "pixels").rglob("*")) == files
    assert len(Store.of(32, "squeeze", tmp_path).known()) == table["pixel_hash"].nunique()


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_no_pack_is_left_without_its_index(
    fault: BaseException, table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises((RunFailed, KeyboardInterrupt)):
        open_pixels(table, 32, "squeeze", tmp_path)
    assert not [path for path in (tmp_path / "pixels").rglob("*") if path.is_file()]


def test_an_interrupt_within_a_photograph_costs_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.of(32, "squeeze", tmp_path)
    row = np.full((32, 32, 3), 7, np.uint8)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Writer(store) as writer:  # noqa: PT012
        writer.add(b"a" * 32, row)
        monkeypatch.setattr("os.pwrite", interrupted)
        writer.add(b"b" * 32, row)
    monkeypatch.undo()
    rows, _ = open_rows(store, [b"a" * 32, b"b" * 32], lambda _: row + 1)
    assert rows is not None
    assert (rows[0] == 7).all()
    assert (rows[1] == 8).all(), "its checksum is that of the photograph, not of what lies there"


def test_an_interrupted_filling_goes_on(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, left = pixels.decode, iter(range(20))

    def decode(path: Path, _: object) -> np.ndarray:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return true(path)

    monkeypatch.setattr(pixels, "decode", decode)
    with pytest.raises(KeyboardInterrupt):
        open_pixels(table, 32, "squeeze", tmp_path)
    seen: list[Path] = []
    monkeypatch.setattr(pixels, "decode", lambda path, _: seen.append(path) or true(path))
    assert np.array_equal(open_pixels(table, 32, "squeeze", tmp_path).array, _expected(table))
    assert len(seen) == 28


def test_prune_spares_what_a_process_reads(table: pd.DataFrame, tmp_path: Path) -> None:
    array = open_pixels(table, 32, "squeeze", tmp_path).array
    open_pixels(table[:4], 40, "squeeze", tmp_path)
    (tmp_path / "pixels" / "notes.npy").touch()
    assert [(e.kind, e.photographs, e.size) for e in entries(tmp_path)] == [
        ("pixels", 4, "40 x 40"),
        ("pixels", 48, "32 x 32"),
    ]
    removed, kept = prune(everything=True, folder=tmp_path)
    assert [e.size for e in removed] == ["40 x 40"]
    assert [e.size for e in kept] == ["32 x 32"]
    assert np.array_equal(array, _expected(table))
    del array
    removed, kept = prune(everything=True, folder=tmp_path)
    assert [e.size for e in removed] == ["32 x 32"]
    assert not kept
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["notes.npy"]


def test_another_process_looks_again_where_packs_are_merged_meanwhile(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = pickle.dumps(open_pixels(table, 32, "squeeze", tmp_path).array)
    whole, looked = rows.open_rows, []

    def merging(store: Store, *given: Any) -> Any:
        looked.append(store)
        if len(looked) == 1:
            raise FileNotFoundError("a pack that was merged into another")
        if len(looked) == 2:
            return None, np.arange(3)
        return whole(store, *given)

    monkeypatch.setattr(rows, "open_rows", merging)
    assert np.array_equal(pickle.loads(sent), _expected(table))


def test_prune_by_age_and_by_size(table: pd.DataFrame, tmp_path: Path) -> None:
    for days, size in ((3, 32), (2, 33), (1, 34)):
        open_pixels(table, size, "squeeze", tmp_path)
        for path in (tmp_path / "pixels" / f"{size}x{size}-squeeze-v1").iterdir():
            os.utime(path, (time.time() - days * 86400,) * 2)
    left = next(tmp_path.rglob("*.u8")).with_name(f"{'0' * 32}.tmp")
    left.touch()
    os.utime(left, (0, 0))
    removed, _ = prune(older_than=2.5 * 86400, folder=tmp_path)
    assert sorted(e.kind + e.size for e in removed) == ["pixels32 x 32", "unfinished"]
    both = sum(e.bytes for e in entries(tmp_path))
    removed, _ = prune(most=both, folder=tmp_path)
    assert not removed
    removed, _ = prune(most=both - 1, folder=tmp_path)
    assert [e.size for e in removed] == ["33 x 33"]


def test_converted_models_are_listed_and_pruned(tmp_path: Path) -> None:
    name = f"{'0' * 32}-openvino-2.1-2026.1"
    for folder, days in ((name, 3), (f".{name}.abc", 1), (f".{name}.new", 0), ("mine", 3)):
        (tmp_path / "engines" / folder / "member_0").mkdir(parents=True)
        for file in ("export.json", "model.xml", "member_0/reference.parquet"):
            path = tmp_path / "engines" / folder / file
            path.write_text("12")
            os.utime(path, (time.time() - days * 86400,) * 2)
    found = entries(tmp_path)
    assert [(e.kind, e.size, e.bytes) for e in found] == [
        ("engines", "openvino", 6),
        ("unfinished", "", 6),
    ]
    removed, kept = prune(older_than=2 * 86400, folder=tmp_path)
    assert [e.kind for e in removed] == ["engines", "unfinished"]
    assert not kept
    assert sorted(p.name for p in (tmp_path / "engines").iterdir()) == [f".{name}.new", "mine"]
