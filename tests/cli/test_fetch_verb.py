"""``magnostic fetch`` as a user types it, with the fetching replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnostic.data import download

Call = Callable[..., tuple[int, str, str]]


def test_what_is_printed(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def fetch(folder: Path, **options: Any) -> download.Fetched:
        given.update(options, folder=folder)
        root, folds = folder / "BreaKHis_v1", folder / "folds"
        return download.Fetched(root, folds, 7909, False, tuple(f"f{n}" for n in range(6)))

    monkeypatch.setattr(download, "fetch_breakhis", fetch)
    code, out, err = call(
        "fetch", "breakhis", tmp_path, "--url", "http://host/a", "--sha256", "00", "--keep-archive"
    )
    assert code == 0
    assert given == {
        "folder": tmp_path,
        "source": "ufpr",
        "url": "http://host/a",
        "sha256": "00",
        "folds_url": None,
        "keep_archive": True,
    }
    assert "10.1109/TBME.2015.2496264" in out
    assert "CC BY 4.0" in out
    assert "all 7,909 photographs" in out
    assert f"magnostic index {tmp_path / 'BreaKHis_v1'}" in out
    assert "6 files (f0, f1, f2, f3, f4, …)" in err


def test_an_interrupt_says_how_it_goes_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "fetch_breakhis", fetch)
    code, _, err = call("fetch", "breakhis", tmp_path)
    assert (code, err) == (130, "interrupted; the same command goes on from here\n")


def test_exit_codes(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    code, _, err = call("fetch", "breakhis", tmp_path / "a", "--url", "gopher://host/a")
    assert code == 2
    assert err.startswith("error: --url 'gopher://host/a'")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "BreaKHis_v1.tar.gz").write_bytes(b"\x1f\x8bno archive")
    code, _, err = call("fetch", "breakhis", tmp_path / "b")
    assert code == 2
    assert "damaged" in err
    assert "Traceback" not in err
