"""One process at a time in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from magnostic.cli import main
from magnostic.errors import BadInput
from magnostic.lock import LOCK, locked, locked_file

_HOLD = """
import sys, time
from pathlib import Path
from magnostic.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_names_its_process_and_is_free_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    with locked(folder):
        told = rf"{folder}: in use by process {os.getpid()} on "
        with pytest.raises(BadInput, match=told), locked(folder):
            pytest.fail("entered")
        assert [p.name for p in folder.iterdir()] == [LOCK]
    assert not list(folder.iterdir())
    with locked(folder):
        pass


def test_a_killed_process_locks_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match=f"in use by process {other.pid} on"), locked(tmp_path):
            pytest.fail("entered")
        other.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).is_file()
    with locked(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / LOCK).read_text()
    assert not (tmp_path / LOCK).exists()


def test_a_folder_that_is_not_there_is_made_only_where_that_is_wanted(tmp_path: Path) -> None:
    with locked(tmp_path / "mistyped", make=False):
        assert not (tmp_path / "mistyped").exists()


def test_a_file_in_the_making_is_locked_and_its_folder_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with locked_file(out):
        told = rf"{out}: in use by process {os.getpid()} on "
        with pytest.raises(BadInput, match=told), locked_file(out):
            pytest.fail("entered")
        with locked_file(tmp_path / "other.csv"), locked(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_threads_of_one_process_keep_each_other_out(tmp_path: Path) -> None:
    entered, refused = [], []
    barrier = threading.Barrier(8)

    def enter() -> None:
        barrier.wait()
        try:
            with locked(tmp_path):
                entered.append(1)
                barrier.wait()
        except BadInput:
            refused.append(1)
            barrier.wait()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(entered), len(refused)) == (1, 7)


@pytest.mark.parametrize("verb", ["report", "card"])
def test_a_run_in_use_is_not_reported_on(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path), pytest.raises(SystemExit) as ended:
        main([verb, str(tmp_path)])
    assert ended.value.code == 2
    assert f"{tmp_path}: in use by process" in capsys.readouterr().err


def test_a_lock_file_that_cannot_be_removed_locks_nothing_and_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        with pytest.raises(ValueError, match="what went wrong"), locked(tmp_path):
            raise ValueError("what went wrong")
    with locked(tmp_path):
        pass
