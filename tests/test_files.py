"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic import files
from magnostic.errors import BadInput, DiskFull
from magnostic.files import read_json, read_object, sweep, whole_file, write_json, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "old")

    def half() -> None:
        with whole_file(target) as temporary:
            temporary.write_text("half of the new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert target.read_text() == "old"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1, 2]})
    write_json(tmp_path / "b.json", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1, 2], "b": 1}


def test_a_full_disk_names_what_is_needed_and_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(files, "free", lambda _: 17)
    told = rf"{target}: the disk is full: 3.00 kB or more needed for this file, 17 bytes free"
    with pytest.raises(DiskFull, match=told):
        write_text(target, "x" * 3000)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize(("left", "fault"), [(5000, DiskFull), (10**9, OSError)])
def test_numpy_only_says_that_not_everything_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int, fault: type[Exception]
) -> None:
    monkeypatch.setattr(files, "free", lambda _: left)
    with pytest.raises(fault), whole_file(tmp_path / "a.npy", size=8000):
        raise OSError("1000 requested and 12 written")


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    names = [
        "whole.txt",
        ".whole.txt.a1b2.unfinished",
        "run/.model.c3.unfinished",
        "run/.gitignore",
    ]
    (tmp_path / "run").mkdir()
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path, below=False)
    assert not (tmp_path / names[1]).exists()
    assert (tmp_path / names[2]).exists()
    sweep(tmp_path)
    left = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert sorted(left) == ["run/.gitignore", "whole.txt"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            {"version": 2, "written_by": "9.9"},
            "written by magnostic 9.9, and .* here reads up to 1",
        ),
        ({"version": 2}, "written by a newer magnostic"),
        ({"version": "new"}, "version 'new' is none"),
        ({"version": True, "written_by": 3}, "version True is none"),
        ({"version": -1}, "version -1 is none"),
    ],
)
def test_files_of_a_later_version_say_so(
    tmp_path: Path, value: dict[str, object], told: str
) -> None:
    path = tmp_path / "run.json"
    write_json(path, value)
    with pytest.raises(BadInput, match=rf"{path}: .*{told}"):
        read_object(path)


def test_files_of_an_earlier_version_and_of_others_are_read(tmp_path: Path) -> None:
    for name, value in (
        ("model.json", {"version": 1}),
        ("run.json", {}),
        ("x.json", {"version": 7}),
    ):
        write_json(tmp_path / name, value)
        assert read_object(tmp_path / name) == value
