"""Plain progress, where there is no terminal."""

from __future__ import annotations

import pytest

from magnostic import progress


def test_plain_lines_come_now_and_then_and_end_with_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(progress.track("abcde", "work", 5)) == list("abcde")
    assert capsys.readouterr().err.splitlines()[-1] == "work: 5/5"


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(range(3), "work", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_bytes_are_told_with_their_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with progress.meter("file", 4_000_000_000, 1_000_000) as advance:
        for _ in range(3):
            advance(6_000_000)
    told = capsys.readouterr().err.splitlines()
    assert told == ["file: 13.0 MB of 4.00 GB, 1.00 MB/s"]


def test_amounts() -> None:
    sizes = (0, 999, 1000, 12_345, 999_700, 4_273_000_000, 10**12, 10**16)
    told = ["0 bytes", "999 bytes", "1.00 kB", "12.3 kB", "1.00 MB", "4.27 GB", "1.00 TB"]
    assert [progress.amount(size) for size in sizes] == [*told, "10000 TB"]
