"""Losing a node of a Ray cluster in the middle of a study: its report must equal the local one.

    python bench/faults/cluster.py [--study FILE] [--data DIR] [--json FILE]

The study (by default six runs of some two minutes) is carried out on this machine alone, then
on a Ray cluster of two nodes with one core each, whose second node is killed once a run there has
stored a checkpoint; then photographs, three of them broken, are predicted here and on what is left.
One thread a run everywhere, since the last bits of sums depend on their number. Every file of both
study folders is compared, all bytes but seconds in history.jsonl. A run is begun as often as its
lock names another process. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _material import SAMPLE  # noqa: E402
from _table import Row, finish  # noqa: E402
from _trees import differences  # noqa: E402

STUDY = """
name: six
title: Six runs
set: {split: {folds: 2}, evaluate: {resamples: 100}}
rows:
  - recipe: nishio2024-resnet50-binary
    label: fine-tuned
    set:
      model: {backbone: test_resnet, weights: none}
      preprocess: {size: 64}
      split: {protocols: [patient]}
      train: {epochs: 30, batch_size: 32, precision: fp32}
    grid: {train.lr: [0.0003, 0.001, 0.003]}
  - recipe: probe-lite0
    label: probe
    set: {split: {protocols: [random, patient]}}
    grid: {train.c: [[0.01], [0.1], [1.0]]}
"""
#: A run and the process that has it.
Attempt = tuple[str, int]


class Command:
    """``magnostic`` in a process of its own; what it says goes to a file."""

    def __init__(self, said: Path, *words: object) -> None:
        self._said = said
        self._started = time.monotonic()
        command = [sys.executable, "-m", "magnostic", *map(str, words)]
        with said.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> str:
        code = self.process.wait()
        told = self._said.read_text()
        print(f"{told}({time.monotonic() - self._started:.0f} s)\n", flush=True)
        if code:
            sys.exit(f"exit code {code}")
        return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    os.environ |= {
        "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal",
    }  # fmt: skip
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        os.environ["MAGNOSTIC_CACHE"] = str(scratch / "cache")
        study = given.study or scratch / "six.yaml"
        if given.study is None:
            study.write_text(STUDY)
        found = _compare(scratch, study, given.data)
    finish("faults/cluster", found, given.json)
    sys.exit(not all(row.met in (None, True) for row in found))


def _compare(scratch: Path, study: Path, data: Path) -> list[Row]:
    asked = ["study", study, "--data", data, "--out"]
    local, far = scratch / "local", scratch / "cluster"
    alone = Command(scratch / "local.txt", *asked, local).end()
    cluster, second = _two_nodes(scratch)
    try:
        on = ["--on", cluster.address, "--cpus", "1"]
        command = Command(scratch / "cluster.txt", *asked, far, *on)
        attempts, lost = _watch(cluster, second, command, far)
        told = command.end()
        wrong = differences(local, far)
        predicted = _predictions(on, data, local, scratch)
    finally:
        cluster.shutdown()
    tasks, ended_alike = {run for run, _ in attempts}, _ends(told) == _ends(alone)
    again = sorted(run for run in tasks if sum(one == run for one, _ in attempts) > 1)
    print(f"lost with the second node: {', '.join(lost) or 'none'}")
    print(f"begun a second time: {', '.join(again) or 'none'}")
    print(f"files that differ: {', '.join(wrong) or 'none'}")
    return [
        Row("tasks", len(tasks), ""),
        Row("lost with the node", len(lost), "", "at least 1", bool(lost)),
        Row("redone", len(again), "", "the lost ones", again == sorted(lost)),
        Row("ends of the runs equal the local ones", ended_alike, "", "1", ended_alike),
        Row("files compared", sum(p.is_file() for p in local.rglob("*")), ""),
        Row("files that differ from the local study", len(wrong), "", "0", not wrong),
        *predicted,
    ]  # fmt: skip


def _ends(told: str) -> str:
    """Such as ``48 done, 1 refused, 0 failed, 0 not started``: data may be too few for a row."""
    found = re.search(r"^\d+ done, .*$", told, re.M)
    return found[0] if found else sys.exit("the study does not say how its runs ended")


def _two_nodes(scratch: Path) -> tuple[Any, Any]:
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    head = {**small, "include_dashboard": False, "temp_dir": str(scratch / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**small)
    cluster.wait_for_nodes()
    return cluster, second


def _watch(cluster: Any, node: Any, command: Command, out: Path) -> tuple[set[Attempt], list[str]]:
    """Kill the node once a run there has a checkpoint; all attempts, and the runs it had."""
    raylet = node.all_processes["raylet"][0].process.pid
    attempts: set[Attempt] = set()
    lost: list[str] = []
    while command.running:
        now = {
            (lock.parent.name, pid) for lock in out.glob("runs/*/.lock") if (pid := _owner(lock))
        }
        attempts |= now
        if not lost:
            there = [run for run, pid in now if pid in _below(raylet)]
            if any(list((out / "runs" / run).rglob("checkpoint/state.json")) for run in there):
                lost = there
                cluster.remove_node(node, allow_graceful=False)
                print(f"killed the second node, which had {', '.join(lost)}", flush=True)
        time.sleep(0.05)
    return attempts, lost


def _owner(lock: Path) -> int | None:
    try:
        found = re.match(r"process (\d+) ", lock.read_text())
    except OSError:  # ended meanwhile
        return None
    return int(found[1]) if found else None


def _below(pid: int) -> set[int]:
    """Processes that descend from this one."""
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found |= {child} | _below(child)
    return found


def _predictions(on: list[str], data: Path, study: Path, scratch: Path) -> list[Row]:
    broken = scratch / "broken"
    broken.mkdir()
    one = next(data.rglob("*.png")).read_bytes()
    (broken / "cut.png").write_bytes(one[:5000])
    (broken / "text.png").write_text("no photograph")
    (broken / "empty.png").touch()
    (broken / "whole.png").write_bytes(one)
    run = next(iter(sorted(study.glob("runs/probe*")) or sorted(study.glob("runs/*"))))
    made = []
    for name, more in (("here", []), ("there", on)):
        made.append(scratch / f"{name}.parquet")
        words = ["predict", run, broken, data, "-o", made[-1], *more]
        told = Command(scratch / f"{name}.txt", *words).end()
    found = re.search(r"^(\d+) photographs?, (\d+) could not be read", told, re.M)
    total, unread = map(int, found.groups()) if found else (0, 0)
    equal = made[0].read_bytes() == made[1].read_bytes()
    return [
        Row("photographs predicted", total, ""),
        Row("of them broken, a row each", unread, "", "3", unread == 3),
        Row("bytes of the predictions equal the local ones", equal, "", "1", equal),
    ]


if __name__ == "__main__":
    main()
