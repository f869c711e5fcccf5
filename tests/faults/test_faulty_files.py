"""Whole files at every fault: the library of bench/faults/writes.py lets each operation fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "bench" / "faults" / "_faulty.c"
#: Writes a file that is there already, in a process of its own for every operation and fault.
_CODE = """
import ctypes, json, os, shutil, sys
from pathlib import Path
from magnostic.errors import DiskFull
from magnostic.files import read_json, sweep, write_json
from magnostic.lock import locked

OLD, NEW = {"old": list(range(2000))}, {"new": list(range(3000))}
root = Path(sys.argv[1])
arm = ctypes.CDLL(None).faulty_arm

def work():
    with locked(root / "run"):
        sweep(root / "run")
        write_json(root / "run" / "file.json", NEW)
        assert read_json(root / "run" / "file.json") == NEW

def trial(kind, at, log=b""):
    shutil.rmtree(root, ignore_errors=True)
    write_json(root / "run" / "file.json", OLD)
    pid = os.fork()
    if not pid:
        arm(str(root).encode(), ctypes.c_long(at), kind, 3 if kind in (0, 2) else 2, log)
        try:
            work()
            code = 0
        except DiskFull:
            code = 3
        except OSError as error:
            code = 4 if error.errno in (5, 28) else 5
        except BaseException:
            code = 6
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    found = read_json(root / "run" / "file.json")
    state = "old" if found == OLD else "new" if found == NEW else "torn"
    work()
    left = sorted(p.name for p in (root / "run").iterdir())
    return {"kind": kind, "at": at, "code": code, "state": state, "left": left}

told = Path(sys.argv[2])
print(json.dumps([trial(0, 0, str(told).encode())]))
n = len(told.read_text().splitlines())
print(json.dumps([trial(kind, at) for kind in (1, 2, 3) for at in range(1, n + 1)]))
"""


def test_a_file_is_the_old_one_or_the_new_one_whatever_fails(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, or no /proc")
    library = tmp_path / "faulty.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run([compiler, *flags], check=True)
    log = tmp_path / "log"
    said = subprocess.run(
        [sys.executable, "-c", _CODE, str(tmp_path / "root"), str(log)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    undisturbed, trials = map(json.loads, said)
    assert [(t["code"], t["state"]) for t in undisturbed] == [(0, "new")]
    done = [line.split()[1] for line in log.read_text().splitlines()]
    assert {"create", "write", "sync", "rename", "remove"} <= set(done)
    assert len(trials) == 3 * len(done)
    for trial in trials:
        assert trial["state"] in ("old", "new"), trial
        assert trial["left"] == ["file.json"], trial
        assert trial["code"] in ({1: (0, 3, 4), 2: (0, 4), 3: (0, -9)}[trial["kind"]]), trial
        if trial["code"] == 0:
            assert trial["state"] == "new", trial
    assert {(t["kind"], t["code"]) for t in trials} >= {(1, 3), (2, 4), (3, -9)}
    assert {t["state"] for t in trials if t["kind"] == 3} == {"old", "new"}
