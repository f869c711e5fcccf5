"""magnostic beside other software: same photographs, same backbone, same machine.

    python bench/peers/run.py [--tasks probe …] [--peers eva …] [--json FILE]

Every peer runs in an environment of its own, made on the first call below
``$MAGNOSTIC_CACHE/peers`` (a few GiB), in one process a job; magnostic runs the same job before and
after them, and the slower of the two counts. A peer that cannot be installed or that fails is named
with the reason. ``docs/peers.md`` says what is compared and what is not.

``--wrap COMMAND`` is put before each measured command, for instance one that waits until the
machine is idle. Figures of single jobs can be gathered with ``--keep FOLDER``: what lies there is
not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

import _material  # noqa: E402
from _environments import Environment, NotInstalledError  # noqa: E402
from _table import Row, finish  # noqa: E402

from magnostic.data.place import default_folder  # noqa: E402

TIMM = "timm==1.0.31"
LITE0, RESNET50 = "tf_efficientnet_lite0", "resnet50"
PACKAGE = "package:efficientnet-lite0"


@dataclass(frozen=True)
class Peer:
    """One script of this folder.

    Attributes:
        title: as the rows name it, before its version.
        options: of the script (``--option``).
    """

    title: str
    script: str
    jobs: tuple[str, ...]
    environment: Environment
    options: tuple[str, ...] = ()


LOOP = ("probe", "finetune", "predict")
PEERS = {
    "plain": Peer(
        "plain PyTorch loop",
        "plain.py",
        LOOP,
        Environment("plain", (TIMM, "scikit-learn==1.9.1")),
    ),
    "fastai": Peer(
        "fastai", "fastai_loop.py", LOOP, Environment("fastai", ("fastai==2.8.12", TIMM))
    ),
    "eva": Peer(
        "kaiko-eva",
        "eva_probe.py",
        ("probe",),
        Environment("eva", ("kaiko-eva[vision]==0.4.5", TIMM)),
    ),
    "tiatoolbox": Peer(
        "TIAToolbox",
        "tiatoolbox_predict.py",
        ("predict",),
        Environment("tiatoolbox", (), "tiatoolbox==2.1.3"),
        ("compile=default",),
    ),
}


@dataclass(frozen=True)
class Task:
    """One comparison.

    Attributes:
        name: of the files that hold its records, and for ``--tasks``.
        copies: of each photograph (``_material``).
        seconds: of one record, what is compared.
        aim: how many times faster magnostic is meant to be.
    """

    name: str
    job: str
    title: str
    backbone: str
    copies: int
    epochs: int
    seconds: Callable[[dict[str, Any]], float]
    aim: float


def _total(record: dict[str, Any]) -> float:
    return float(record["seconds"]["total"])


def _epoch(record: dict[str, Any]) -> float:
    """Median of the epochs after the first."""
    return float(statistics.median(record["epochs"][1:]))


TASKS = (
    Task("probe", "probe", "probe", LITE0, 6, 0, _total, 3.0),
    Task("finetune-lite0", "finetune", "fine-tuning epoch, Lite0", LITE0, 2, 3, _epoch, 1.5),
    Task(
        "finetune-resnet50", "finetune", "fine-tuning epoch, ResNet50", RESNET50, 1, 2, _epoch, 1.5
    ),
    Task("predict", "predict", "prediction", LITE0, 6, 0, _total, 1.5),
)


class Failed(Exception):
    """A measured process that ended with an error; the message is its last line."""


@dataclass(frozen=True)
class Bench:
    """Where things lie, and what all measured processes share."""

    sample: Path
    place: Path
    keep: Path
    wrap: list[str]

    def measure(self, name: str, task: Task, peer: Peer | None) -> dict[str, Any]:
        """The record of one job by one software; ``name`` tells it from the others."""
        stored = self.keep / f"{name}.json"
        if stored.is_file():
            return dict(json.loads(stored.read_text(encoding="utf-8")))
        python = Path(sys.executable) if peer is None else peer.environment.python(self.place)
        script = "ours.py" if peer is None else peer.script
        with tempfile.TemporaryDirectory(dir=self.place) as work:
            command = [
                *self.wrap,
                *[str(python), str(HERE / script), task.job],
                *self.inputs(task, peer is None),
                *["--out", str(stored), "--work", work],
                *[f"--option={option}" for option in (peer.options if peer else ())],
            ]
            environment = {**os.environ, "MAGNOSTIC_CACHE": f"{work}/cache"}
            if peer is not None:
                environment.pop("PYTHONPATH", None)
            print(f"-- {name}", flush=True)
            done = subprocess.run(
                command, check=False, env=environment, text=True, capture_output=True
            )
        if done.returncode:
            lines = (done.stderr.strip() or "no message").splitlines()
            print("\n".join(lines[-15:]), file=sys.stderr)
            raise Failed(f"exit code {done.returncode}: {lines[-1][:200]}")
        return dict(json.loads(stored.read_text(encoding="utf-8")))

    def inputs(self, task: Task, ours: bool) -> list[str]:
        """Photographs, split and weights, the same for all."""
        images, split = _material.photographs(
            self.sample, self.place, task.copies, one_size=task.job == "predict"
        )
        arguments = ["--images", str(images), "--split", str(split), "--backbone", task.backbone]
        arguments += ["--epochs", str(task.epochs)]
        if task.job == "predict":
            model = self.model()
            weights = _material.trained_weights(self.place, model)
            return [*arguments, "--weights", str(weights), f"--option=model={model}"]
        if task.backbone != LITE0:
            return [*arguments, "--weights", "none"]
        weights = _material.backbone_weights(self.place, PACKAGE, task.backbone)
        named = [f"--option=weights={PACKAGE}"] if ours else []
        return [*arguments, "--weights", str(weights), *named]

    def model(self) -> Path:
        """The model that predicts: a probe of magnostic's on the sample, trained once."""
        folder = self.place / "model"
        if not (folder / "model.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            images, split = _material.photographs(self.sample, self.place, 1)
            command = [sys.executable, str(HERE / "ours.py"), "probe"]
            command += ["--images", str(images), "--split", str(split), "--weights", "none"]
            command += [f"--option=weights={PACKAGE}", "--option=recipe=probe-lite0"]
            command += ["--work", str(folder)]
            command += ["--out", str(self.place / "model.json")]
            subprocess.run(command, check=True, capture_output=True)
        return folder


def compare(bench: Bench, task: Task, peers: dict[str, Peer], ran: set[str]) -> list[Row]:
    """Rows of one comparison: magnostic, then each peer and how many times longer it takes."""
    records: dict[str, dict[str, Any]] = {}
    rows = []
    first = bench.measure(f"{task.name}-magnostic-before", task, None)
    for key, peer in peers.items():
        try:
            records[key] = bench.measure(f"{task.name}-{key}", task, peer)
        except (NotInstalledError, Failed) as reason:
            rows.append(Row(f"{task.title}: {peer.title} did not run ({reason})", 0, ""))
    last = bench.measure(f"{task.name}-magnostic-after", task, None)
    ours = max(first, last, key=task.seconds)
    unit = "s"
    rows.insert(0, Row(_described(task, "magnostic", ours), task.seconds(ours), unit))
    for key, record in records.items():
        ran.add(key)
        title = f"{peers[key].title} {record['version']}" if key != "plain" else peers[key].title
        ratio = task.seconds(record) / task.seconds(ours)
        told = _beside(task, ours, record)
        aim, met = f">= {task.aim:g}{told[0]}", ratio >= task.aim and told[1]
        rows += [
            Row(_described(task, title, record), task.seconds(record), unit),
            Row(f"{task.title}: {title} / magnostic", ratio, "x", aim, met),
        ]
        if "features" in record["seconds"]:
            features = record["seconds"]["features"]
            rows.append(Row(f"{task.title}: {title}, of which features", features, unit))
    return rows


def _described(task: Task, title: str, record: dict[str, Any]) -> str:
    count = sum(record["images"].values())
    if task.job == "finetune":
        images = f"{record['images']['train']} + {record['images']['val']} photographs"
        return f"{task.title} ({images}): {title}"
    if task.job == "predict":
        return f"{task.title} ({count} photographs): {title}"
    return f"{task.title} ({count} photographs, test accuracy {record['accuracy']:.3f}): {title}"


def _beside(task: Task, ours: dict[str, Any], peer: dict[str, Any]) -> tuple[str, bool]:
    """What else the target asks for, and whether it is so."""
    least = peer["accuracy"]
    if task.job == "finetune":
        return f"; test accuracy {ours['accuracy']:.3f} and {least:.3f}", True
    told, met = f", accuracy at least {least:.3f}", ours["accuracy"] >= least
    if task.job == "predict":
        same = [peer["predicted"][name] == k for name, k in ours["predicted"].items()]
        told += f"; here {ours['accuracy']:.3f}, same class on {sum(same) / len(same):.1%}"
    return told, met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    names = [task.name for task in TASKS]
    parser.add_argument("--tasks", nargs="+", choices=names, default=names)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--place", type=Path, help="by default $MAGNOSTIC_CACHE/peers")
    parser.add_argument("--keep", type=Path, help="folder of what single jobs measured")
    parser.add_argument("--wrap", type=shlex.split, default=[])
    parser.add_argument("--prepare", action="store_true", help="install and write, measure nothing")
    chosen = parser.parse_args()
    shared = Path(os.environ.get("MAGNOSTIC_SHARED", HERE.parents[2] / "shared"))
    sample = shared / "breakhis-sample" / "BreaKHis_v1"
    if not sample.is_dir():
        sys.exit(f"no genuine sample at {sample}; set MAGNOSTIC_SHARED to its parent folder")
    place = (chosen.place or default_folder() / "peers").absolute()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as fresh:
        keep = (chosen.keep or Path(fresh)).absolute()
        keep.mkdir(parents=True, exist_ok=True)
        bench = Bench(sample, place, keep, chosen.wrap)
        chosen_peers = {key: PEERS[key] for key in chosen.peers}
        tasks = [task for task in TASKS if task.name in chosen.tasks]
        if chosen.prepare:
            prepare(bench, tasks, chosen_peers)
            return
        ran: set[str] = set()
        rows = []
        for task in tasks:
            able = {key: peer for key, peer in chosen_peers.items() if task.job in peer.jobs}
            rows += compare(bench, task, able, ran)
    if len(tasks) == len(TASKS) and len(chosen_peers) == len(PEERS):
        beside = len(ran - {"plain"})
        met = beside >= 2 and "plain" in ran
        rows.append(Row("peers beside the plain loop that ran", beside, "", ">= 2", met))
    finish("peers/run", rows, chosen.json)


def prepare(bench: Bench, tasks: list[Task], peers: dict[str, Peer]) -> None:
    """Everything that needs a network or time but no clock."""
    for task in tasks:
        bench.inputs(task, ours=False)
    for peer in peers.values():
        try:
            peer.environment.python(bench.place)
        except NotInstalledError as reason:
            print(f"{peer.title}: {reason}")


if __name__ == "__main__":
    main()
