"""Training, predicting and serving again and again in one process: nothing may grow.

    python bench/faults/soak.py [--cycles 20] [--data DIR] [--json FILE]

A cycle trains a probe and fine-tunes a small network on the photographs of ``--data`` (a drawn set
unless given), writes their reports, predicts to a file, and starts a server on loopback, sends it
photographs that are right and wrong, and stops it. After each, resident memory, open file handles,
threads and child processes are counted. The first third of the cycles warms up; over the others
handles, threads and children must not grow, and memory by less than 1 MiB a cycle (the slope of a
straight line). Exit code 1 if they do.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
from _table import Row, finish  # noqa: E402

#: MiB that resident memory may grow by in a cycle, after warming up.
SLOPE = 1.0
COMMON = [
    "--model.backbone=test_resnet", "--model.weights=none", "--preprocess.size=32",
    "--split.protocols=patient", "--split.folds=2", "--evaluate.resamples=20",
]  # fmt: skip
TUNED = [*COMMON, "--split.val_fraction=0.3", "--train.epochs=2", "--balance.method=none"]


@dataclass(frozen=True)
class Counted:
    """Of this process: resident memory in MiB, open handles, threads, children."""

    memory: float
    handles: int
    threads: int
    children: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.cycles < 6:
        parser.error("--cycles: give 6 or more, a third of which warms up")
    found: list[Counted] = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["MAGNOSTIC_CACHE"] = str(Path(name, "cache"))
        data = asked.data or drawn(Path(name, "data"))
        print("cycle  seconds  memory, MiB  handles  threads  children", flush=True)
        for number in range(1, asked.cycles + 1):
            started = time.monotonic()
            with contextlib.redirect_stderr(io.StringIO()):
                cycle(data, Path(name, "cycle"))
            found.append(counted())
            f, seconds = found[-1], time.monotonic() - started
            print(f"{number:5}  {seconds:7.1f}  {f.memory:11.1f}  {f.handles:7}  {f.threads:7}  "
                  f"{f.children:8}", flush=True)  # fmt: skip
    rows = verdict(found)
    finish("faults/soak", rows, asked.json)
    sys.exit(not all(row.met for row in rows if row.met is not None))


def verdict(found: list[Counted]) -> list[Row]:
    """What grew after the first third."""
    after = found[len(found) // 3 :]
    memory = [f.memory for f in after]
    slope = float(np.polyfit(np.arange(len(memory)), memory, 1)[0])
    rows = [
        Row("cycles", len(found), ""),
        Row("memory, slope", slope, "MiB a cycle", f"below {SLOPE:g}", slope < SLOPE),
        Row("memory at the end", memory[-1], "MiB"),
    ]
    for name in ("handles", "threads", "children"):
        values = [getattr(f, name) for f in after]
        grown = max(values[len(values) // 2 :]) - max(values[: len(values) // 2])
        rows.append(Row(f"{name}, growth", grown, "", "none", grown <= 0))
    return rows


def counted() -> Counted:
    """After what nobody refers to is gone."""
    gc.collect()
    told = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    fields = {line.partition(":")[0]: line.split()[1] for line in told if len(line.split()) > 1}
    children = sum(
        len((task / "children").read_text(encoding="ascii").split())
        for task in Path("/proc/self/task").iterdir()
        if (task / "children").exists()
    )
    handles = len(list(Path("/proc/self/fd").iterdir()))
    return Counted(int(fields["VmRSS"]) / 1024, handles, int(fields["Threads"]), children)


def cycle(data: Path, folder: Path) -> None:
    """Two trainings, a prediction of the same photographs by each, and a server of the first."""
    shutil.rmtree(folder, ignore_errors=True)
    probe, tuned = folder / "probe", folder / "tuned"
    call("train", "probe-lite0", *COMMON, "--train.batch_size=8", "--data", data, "--out", probe)
    call("train", "nishio2024-resnet50-subtype", *TUNED, "--data", data, "--out", tuned)
    for run in (probe, tuned):
        call("predict", run, data, "--engine", "torch", "-o", run / "predicted.csv")
    call("audit", probe, "--data", data)
    call("compare", probe, tuned)
    serve(probe, sorted(data.rglob("*.png"))[:12])


def call(*arguments: object) -> None:
    """A command as it is typed, in this process."""
    from magnostic.cli import main as command

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            command([str(a) for a in arguments])
    except SystemExit as end:
        if end.code not in (None, 0):
            raise RuntimeError(f"{arguments[0]} ended with {end.code}") from None


def serve(run: Path, photographs: list[Path]) -> None:
    """Start a server, ask it for right and wrong things, stop it."""
    from _answering import answering

    from magnostic.deploy.server import Settings, create_app, load_models

    with answering(create_app(load_models(run, engine="torch"), Settings())) as address:
        for path in photographs:
            asked(f"{address}/v1/predict", path.read_bytes(), 200)
        asked(f"{address}/v1/predict", photographs[0].read_bytes()[:100], 422)
        asked(f"{address}/v1/predict", b"not a photograph", 415)
        asked(f"{address}/v1/explain", photographs[0].read_bytes(), 200, field="image")
        for page in ("/", "/v1/model", "/metrics"):
            with urllib.request.urlopen(address + page, timeout=30) as answer:
                answer.read()


def asked(url: str, content: bytes, status: int, field: str = "images") -> None:
    """Send one file; RuntimeError for another answer than the one that must come."""
    edge = "boundary-of-the-soak"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="{field}"; filename="x.png"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(url, body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={edge}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            told = answer.status
    except urllib.error.HTTPError as refused:
        with refused:
            refused.read()
            told = refused.code
    if told != status:
        raise RuntimeError(f"{url} answered {told} where {status} was due")


def drawn(root: Path) -> Path:
    """A BreakHis tree of 48 made-up photographs of 40x32 pixels."""
    from PIL import Image

    from magnostic.taxonomy import TUMOUR_TYPES

    rng: Any = np.random.default_rng(0)
    for kind, tumour in enumerate(TUMOUR_TYPES):
        for n in range(6):
            slide, magnification = divmod(n, 2)
            name = f"SOB_{tumour.letter}_{tumour.code}-14-3{kind}00{slide}"
            colour = np.array([kind & 1, kind >> 1 & 1, kind >> 2 & 1]) * 150 + 50
            pixels = np.clip(rng.normal(colour, 40, (32, 40, 3)), 0, 255).astype(np.uint8)
            path = root / tumour.code / f"{name}-{(40, 400)[magnification]}-001.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


if __name__ == "__main__":
    main()
