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
