"""Which folders a run may be written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic.errors import BadInput
from magnostic.files import UNFINISHED, write_json
from magnostic.lock import locked
from magnostic.train.run import _claim


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
