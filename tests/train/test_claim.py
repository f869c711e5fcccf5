"""Which folders a run may be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic.errors import BadInput
from magnostic.files import UNFINISHED, write_json
from magnostic.lock import locked
from magnostic.train.run import _claim, _finished


def test_a_folder_of_a_run_killed_before_it_had_begun_is_as_good_as_new(tmp_path: Path) -> None:
    (tmp_path / f".identity.json.abc{UNFINISHED}").write_text("{")
    with locked(tmp_path):
        _claim(tmp_path, "this", resume=False)
        _claim(tmp_path, "this", resume=True)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "identity.json", {"identity": "that"})
    with pytest.raises(BadInput, match="not empty"):
        _claim(tmp_path, "this", resume=False)
    with pytest.raises(BadInput, match="another recipe or other data"):
        _claim(tmp_path, "this", resume=True)
    _claim(tmp_path, "that", resume=True)


@pytest.mark.parametrize("text", ["{ broken", "[]", "[" * 5000])
def test_a_damaged_identity_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(BadInput, match=r"identity\.json: .*run the recipe again"):
        _claim(tmp_path, "this", resume=True)


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ({"version": 99, "not_estimable": []}, "of version 99"),
        ({"version": 1}, "KeyError: 'not_estimable'"),
        ({"version": 1, "not_estimable": 3}, "not_estimable is no list"),
        ({"version": 1, "not_estimable": [], "c": "large"}, "could not convert"),
        ([], "expected a JSON object"),
    ],
)
def test_a_finished_child_that_this_version_has_not_written_is_named(
    tmp_path: Path, described: object, says: str
) -> None:
    write_json(tmp_path / "run.json", described)
    with pytest.raises(BadInput, match=rf"run\.json: .*{says}"):
        _finished(tmp_path)


def test_a_finished_child_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"version": 1, "not_estimable": ["ductal"], "c": 0.1})
    assert _finished(tmp_path) == (0.1, ["ductal"])
    write_json(tmp_path / "run.json", {"version": 1, "not_estimable": [], "c": None})
    assert _finished(tmp_path) == (None, [])
