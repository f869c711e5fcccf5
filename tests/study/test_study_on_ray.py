"""A study on Ray: a process is killed, its run goes on, and all is as if it had been done here."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic import cluster
from magnostic.data import Images
from magnostic.study import schema
from magnostic.study.execute import Record, execute
from magnostic.study.expand import expand
from magnostic.study.on_ray import OnRay

WriteStudy = Callable[[str], Path]
STUDY = """
rows:
  - {recipe: slow.yaml, set: {split: {protocols: [patient]}, train: {epochs: 25}}}
  - {recipe: quick.yaml, label: one}
  - {recipe: quick.yaml, label: the same}
  - {recipe: quick.yaml, label: no such, set: {data: {magnifications: [7]}}}
"""


def carry_out(path: Path, images: Images, out: Path, engine: OnRay | None) -> list[Record]:
    study, beside = schema.load(path)
    return execute(study, expand(study, beside), images, out, engine=engine)


def kill_once(out: Path, killed: list[int]) -> None:
    """End the process of the long run as soon as that has a checkpoint."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        for state in out.glob("runs/slow-*/checkpoint/state.json"):
            lock = state.parents[1] / ".lock"
            found = re.match(r"process (\d+) ", lock.read_text() if lock.exists() else "")
            if found:
                os.kill(int(found[1]), signal.SIGKILL)
                killed.append(int(found[1]))
                return
        time.sleep(0.005)


def contents(folder: Path) -> dict[str, object]:
    """Every file but pictures and the pages that hold them; history without seconds."""
    return {
        str(path.relative_to(folder)): _history(path)
        if path.suffix == ".jsonl"
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".png", ".pdf", ".html")
    }


def _history(path: Path) -> list[dict[str, float]]:
    lines = map(json.loads, path.read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.slow
@pytest.mark.usefixtures("no_page")  # of the study carried out here
def test_a_killed_process_costs_its_run_alone(
    ray_address: str,
    write_study: WriteStudy,
    tiny: Images,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path, here, there = write_study(STUDY), tmp_path / "here", tmp_path / "there"
    killed: list[int] = []
    killer = threading.Thread(target=kill_once, args=(there, killed))
    killer.start()
    records = carry_out(path, tiny, there, OnRay(cluster.Place(ray_address, cpus=1)))
    killer.join()
    assert len(killed) == 1
    assert [record.status for record in records] == ["done", "done", "done", "refused"]
    said = capsys.readouterr().err
    assert "3 runs on 1 node with 2 cores; each run has 1 core" in said
    assert said.count(" is done") == 2, "each once"
    assert "not carried out" in said
    carry_out(path, tiny, here, None)
    mine, theirs = contents(here), contents(there)
    pages = {name for name in theirs if "/tables/" in name}  # of reports that no_page leaves out
    assert mine == {name: theirs[name] for name in theirs.keys() - (pages - mine.keys())}
    assert (there / "report.html").is_file()
