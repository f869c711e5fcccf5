"""``magnostic cache`` as a user types it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from magnostic import recipe_file
from magnostic.cli import main, options
from magnostic.data import Wanted, read_images
from magnostic.data.derived import derived
from magnostic.data.pixels import open_pixels


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


@pytest.fixture
def filled(tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    monkeypatch.setattr("magnostic.data.known._SETTLED", 0)
    read_images(tiny_breakhis, keep=[Wanted(32, "pad")])
    derived("features", "a", 3, lambda: np.zeros((3, 1280), np.float32))
    return tmp_path


def test_list_and_prune(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("cache") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["kind", "photographs", "size", "fit", "MiB", "last", "used"]
    assert lines[1] == ["features", "3", "1280", "0.0", "0", "min", "ago"]
    assert lines[2][:2] == ["index", "48"]
    assert lines[3][:7] == ["pixels", "48", "32", "x", "32", "pad", "0.1"]
    assert lines[4][:2] == ["3", "entries,"]
    assert lines[5] == ["in", str(filled)]
    [features] = (filled / "features").iterdir()
    os.utime(features, (time.time() - 40 * 86400,) * 2)
    assert call("cache", "prune", "--older-than", "30") == 0
    assert "40 days ago" in (told := capsys.readouterr().out)
    assert "removed 1 entry, 0.0 MiB" in told
    assert not features.exists()
    assert call("cache", "prune", "--all") == 0
    assert "removed 2 entries" in capsys.readouterr().out
    assert call("cache", "list") == 0
    assert capsys.readouterr().out.startswith("0 entries")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["prune"], "say what to remove"),
        (["list", "--all"], "are for: magnostic cache prune"),
        (["prune", "--limit", "-1"], "--limit -1: give a number of 0 or more"),
    ],
)
def test_bad_input(
    filled: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("cache", *arguments) == 2
    assert told in capsys.readouterr().err
    assert list((filled / "pixels").rglob("*.u8"))


def test_a_second_index_decodes_nothing_unless_told(
    tiny_breakhis: Path, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.is_dir()
    monkeypatch.setattr(
        "magnostic.data.scan.decode", lambda path, _: pytest.fail(f"decoded {path}")
    )
    assert call("index", tiny_breakhis) == 0
    with pytest.raises(pytest.fail.Exception, match="decoded"):
        main(["index", str(tiny_breakhis), "--rescan"])


def test_a_verb_that_trains_decodes_once(
    tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path))
    recipe = recipe_file.load(Path("probe-lite0"), ["--preprocess.size=32"])
    images = options.read([tiny_breakhis], "auto", "stop", (), None, recipes=[recipe, recipe])
    monkeypatch.setattr(
        "magnostic.data.pixels.decode", lambda path, _: pytest.fail(f"again: {path}")
    )
    assert len(open_pixels(images.table, 32, recipe.preprocess.fit).array) == 48
