"""A study on Ray: a process is killed, its run goes on, and all is as if it had been done here."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from magnostic import cluster
from magnostic.data import Images
from magnostic.errors import RunFailed
from magnostic.study import schema
from magnostic.study.execute import Record, execute
from magnostic.study.expand import expand
from magnostic.study.on_ray import RETRIES, OnRay

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


class Ray:
    """Stands in for the module: each task ends in the next outcome, or is lost with its error."""

    def __init__(self, outcomes: Sequence[Any]) -> None:
        self.exceptions = pytest.importorskip("ray.exceptions")
        self.outcomes = list(outcomes)
        self.begun = 0
        self.connected = True

    def remote(self, _: object) -> Any:
        def options(**given: object) -> Any:
            assert given["max_retries"] == 0, "counted here"
            return SimpleNamespace(remote=self._begin)

        return SimpleNamespace(options=options)

    def _begin(self, *_: object) -> int:
        self.begun += 1
        return self.begun

    def wait(self, refs: list[int], **_: object) -> Any:
        assert self.connected, "would join or start a cluster"
        return refs[:1], refs[1:]

    def get(self, _: int) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, ConnectionError):
            self.connected = False
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def cancel(self, *_: object, **__: object) -> None:
        pytest.fail("would join or start a cluster")

    def is_initialized(self) -> bool:
        return self.connected

    def put(self, given: object) -> object:
        return given

    def nodes(self) -> list[Any]:
        return []

    def cluster_resources(self) -> dict[str, float]:
        return {}


@pytest.fixture
def on_fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Ray], OnRay]:
    monkeypatch.setattr("magnostic.report.study.write_study", lambda _: None)
    monkeypatch.setattr(cluster, "share", lambda *_: {"num_cpus": 1, "num_gpus": 0})
    monkeypatch.setattr(cluster, "require_shared", lambda *_: None)
    connected = cluster.connected

    def make(ray: Ray) -> OnRay:
        @contextmanager
        def fake(on: str) -> Any:
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(sys.modules, "ray", ray)
                with connected(on) as found:
                    yield found

        monkeypatch.setattr(cluster, "connected", fake)
        return OnRay(cluster.Place("ray"))

    return make


def test_a_run_that_is_lost_is_begun_again_some_times(
    on_fake: Callable[[Ray], OnRay],
    write_study: WriteStudy,
    tiny: Images,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = pytest.importorskip("ray.exceptions")
    memory = given.OutOfMemoryError("Task was killed\nby the monitor")
    gone, crashed = given.NodeDiedError("gone"), given.WorkerCrashedError()
    path = write_study("rows: [{recipe: quick.yaml}]")
    ray = Ray([memory, gone, crashed, ("done", "")])
    (record,) = carry_out(path, tiny, tmp_path / "out", on_fake(ray))
    assert (record.status, ray.begun) == ("done", 4)
    said = capsys.readouterr().err
    assert "quick: ended by Ray since its node was short of memory; begun again" in said
    assert "quick: its node was lost; begun again" in said

    ray = Ray([memory] * 99)
    (record,) = carry_out(path, tiny, tmp_path / "never", on_fake(ray))
    assert (record.status, ray.begun) == ("failed", 1 + RETRIES)
    assert record.reason == "lost 6 times (ended by Ray since its node was short of memory)"

    ray = Ray([given.RaySystemError("odd")])
    (record,) = carry_out(path, tiny, tmp_path / "odd", on_fake(ray))
    assert (record.status, ray.begun) == ("failed", 1), "what no second time mends"


def test_a_cluster_that_is_lost_leaves_a_true_record(
    on_fake: Callable[[Ray], OnRay], write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    path, out = write_study("rows: [{recipe: quick.yaml}, {recipe: slow.yaml}]"), tmp_path / "out"
    ray = Ray([ConnectionError("Client is shutting down.")])
    with pytest.raises(RunFailed, match=r"Ray: Client is shutting down\.; the same"):
        carry_out(path, tiny, out, on_fake(ray))
    entries = json.loads((out / "study.json").read_text())["entries"]
    assert [entry["status"] for entry in entries] == ["planned"] * 2
