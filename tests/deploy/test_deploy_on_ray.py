"""Prediction by Ray Data: the file of rows is the local one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.deploy.output import journal_of

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_rows_are_the_local_ones_in_order(
    ray_address: str,
    call: Call,
    tiny_run: Path,
    tiny_breakhis: Path,
    bad_files: dict[Path, str],
    tmp_path: Path,
) -> None:
    bad = [path for path in bad_files if path.suffix]
    photographs = [*bad[:4], tiny_breakhis, *bad[4:], tiny_breakhis, bad[0]]
    words = ("predict", tiny_run, *photographs, "-o")
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert call(*words, here)[0] == 0
    code, out, error = call(*words, there, "--on", ray_address, "--cpus", "1")
    assert code == 0, error
    assert f"{2 * 48 + len(bad) + 1} photographs, {len(bad) + 1} could not be read" in out
    assert "2 processes of Ray predict 8 photographs at a time" in error
    assert there.read_bytes() == here.read_bytes()

    cut = tmp_path / "cut.parquet"  # one that was interrupted, here, goes on there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("magnostic.deploy.output.Journal.finish", _interrupt)
        assert call(*words, cut)[0] == 130
    journal = journal_of(cut)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:31]))
    with pytest.MonkeyPatch.context() as patch:  # as at ray://, where Ray Data can't run here
        patch.setattr("magnostic.deploy.on_ray._is_far", lambda: True)
        code, out, error = call(*words, cut, "--on", ray_address, "--resume")
    assert code == 0, error
    assert "(30 of them before)" in out
    assert cut.read_bytes() == here.read_bytes()

    refused = tmp_path / "refused.csv"
    code, _, error = call(*words, refused, "--on", ray_address, "--cpus", "3")
    assert code == 2
    assert "no node of the cluster has 3 cores" in error
    assert not journal_of(refused).exists(), "nothing was begun"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
