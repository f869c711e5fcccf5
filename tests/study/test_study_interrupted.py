"""A study killed twice, as a user's terminal and a cluster do it, ends as if it never had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from magnostic.cli import main

WriteStudy = Callable[[str], Path]
PATIENCE = 120.0


def start(study: Path, data: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "magnostic", "study", study, "--data", data, "--out", out],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # As in a terminal, also where the tests run as a shell's background job, deaf to SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for_epoch(folder: Path, epoch: int) -> None:
    """Until a checkpoint of this epoch or a later one stands in a child of a run below."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        for state in folder.glob("runs/slow-*/" + "*/r0f0/checkpoint/state.json"):
            try:
                reached = json.loads(state.read_text())["progress"]["epoch"]
            except FileNotFoundError:  # finished and removed meanwhile
                continue
            if reached >= epoch:
                return
        time.sleep(0.005)
    pytest.fail(f"no epoch {epoch} within {PATIENCE} s")


def snapshot(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures", "no_page")  # of other processes, and of this one
def test_sigint_and_sigkill_lose_nothing_that_was_done(
    write_study: WriteStudy,
    tiny_breakhis: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = write_study("rows: [{recipe: quick.yaml}, {recipe: slow.yaml}]")
    out = tmp_path / "out"

    process = start(study, tiny_breakhis, out)
    wait_for_epoch(out, 3)
    with pytest.raises(SystemExit) as refused:
        main(["study", str(study), "--data", str(tiny_breakhis), "--out", str(out)])
    assert refused.value.code == 2
    assert f"{out}: in use by process {process.pid} on" in capsys.readouterr().err
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    entries = json.loads((out / "study.json").read_text())["entries"]
    assert [entry["status"] for entry in entries] == ["done", "planned"]
    quick, slow = (out / entry["path"] for entry in entries)
    finished = snapshot(quick)
    begun = json.loads(next(slow.glob("*/r0f0/checkpoint/state.json")).read_text())

    process = start(study, tiny_breakhis, out)
    # Wherever the first child stood, the second one's checkpoint is younger.
    ends = time.monotonic() + PATIENCE
    while not (slow / "patient/r0f0/checkpoint/state.json").is_file():
        assert time.monotonic() < ends
        time.sleep(0.005)
    first_child = snapshot(slow / "random")
    process.kill()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    within = f", step {step}" if (step := begun["progress"]["step"]) else ""
    assert f"resuming after epoch {begun['progress']['epoch']}{within} of 40" in said
    entries = json.loads((out / "study.json").read_text())["entries"]
    assert [entry["status"] for entry in entries] == ["done", "running"]

    process = start(study, tiny_breakhis, out)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "resuming after epoch" in said
    assert "training random" not in said, "the first child was finished"
    assert snapshot(quick) == finished, "not a file of a finished run was touched"
    assert snapshot(slow / "random") == first_child
    entries = json.loads((out / "study.json").read_text())["entries"]
    assert [entry["status"] for entry in entries] == ["done", "done"]
    assert (out / "report.html").is_file()

    monkeypatch.setattr("magnostic.report.study.write_study", lambda _: None)
    whole = tmp_path / "whole"
    with pytest.raises(SystemExit) as ended:
        main(["study", str(study), "--data", str(tiny_breakhis), "--out", str(whole)])
    assert not ended.value.code
    for entry in entries:
        for name in ("predictions.parquet", "metrics.json", "recipe.yaml"):
            uninterrupted = (whole / entry["path"] / name).read_bytes()
            if not torch.cuda.is_available():  # whose kernels may add in another order each time
                assert (out / entry["path"] / name).read_bytes() == uninterrupted
