"""One process at a time in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from magnostic.errors import BadInput
from magnostic.lock import LOCK, locked

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
        says = rf"{folder}: in use by process {os.getpid()} on "
        with pytest.raises(BadInput, match=says), locked(folder):
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
