"""What is taken up again of a file on its way, and what isn't."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from magnostic.data.download.answers import Version
from magnostic.data.download.part import Part

URL = "http://host/file"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    part = Part(tmp_path / "file", URL)
    part.begin(Version(10, '"a"', None))
    with part.appending() as out:
        out.write(b"12345")
    return tmp_path / "file"


def test_taken_up(target: Path) -> None:
    part = Part(target, URL)
    assert (part.have, part.version, part.pieces, part.whole) == (5, Version(10, '"a"'), 1, False)
    part.go_on(Version())
    part.finish()
    part = Part(target, URL)
    assert (part.version.total, part.pieces, part.whole) == (10, 2, True)
    part.keep_as(target)
    assert target.read_bytes() == b"12345"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_of_another_address(target: Path) -> None:
    assert Part(target, URL + "2").have == 0
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"url": 1},
        {"version": {"total": "10", "etag": None, "modified": None}},
        {"version": {"total": True, "etag": None, "modified": None}},
        {"version": {"total": 10, "etag": 5, "modified": None}},
        {"version": {"total": 4, "etag": None, "modified": None}},
        {"version": {"size": 4}},
        {"version": None},
        {"pieces": None},
        {"pieces": 0},
        {"pieces": 1.5},
        {"whole": 2},
    ],
)
def test_a_note_that_does_not_fit(target: Path, change: dict[str, object]) -> None:
    note = target.with_name("file.part.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | change))
    assert Part(target, URL).have == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "\xff"])
def test_a_note_that_is_broken(target: Path, text: str) -> None:
    target.with_name("file.part.json").write_bytes(text.encode("latin-1"))
    assert Part(target, URL).have == 0
    assert not target.with_name("file.part").exists()


def test_bytes_without_a_note(target: Path) -> None:
    target.with_name("file.part.json").unlink()
    assert Part(target, URL).have == 0
