"""Training by several processes beside training by one, and losing a process.

    python bench/faults/ranks.py [--data DIR] [--json FILE]

On genuine photographs in float32: (1) 20 steps of a pretrained EfficientNet-Lite0, whose batch
normalization keeps its statistics, by 1 and 2 processes, every step's loss compared; (2) those of a
ResNet18, whose batch statistics are of the whole batch on any number of processes; (3) three epochs
of a small vision transformer, which has no batch statistics, by 1, 2 and 4; (4) process 1 of 2 is
killed in an epoch: how long the other takes to end, what it says, and whether one process goes on
from the checkpoint. Exit code 1 if any of it fails.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _material import SAMPLE  # noqa: E402
from _processes import of_rank  # noqa: E402
from _table import Row, finish  # noqa: E402

COMMON = [
    "--model.weights=none", "--preprocess.size=64", "--train.precision=fp32",
    "--split.protocols=patient", "--split.folds=1", "--evaluate.resamples=20",
    "--evaluate.controls=false",
]  # fmt: skip
#: One step an epoch, so that the loss of an epoch is that of a step.
STEPS = ["--train.batch_size=512", "--train.epochs=20"]
FROZEN = [*STEPS, "--model.backbone=tf_efficientnet_lite0"]
FROZEN += ["--model.weights=package:efficientnet-lite0", "--train.freeze_batch_norm=true"]
#: At the paper's 3e-4 the first step of the whole training part at once takes the loss from 0.74 to
#: 1.21, and from there the last digits of sums grow to 1e-3 within 20 steps, as they also do
#: between one thread and two.
FROZEN += ["--train.lr=3e-5"]
LIVE = [*STEPS, "--model.backbone=resnet18"]
EPOCHS = ["--model.backbone=test_vit", "--preprocess.size=160", "--train.batch_size=16"]
EPOCHS += ["--train.epochs=3", "--model.dropout=0.2", "--augment.flips=true"]
LONG = ["--model.backbone=test_resnet", "--train.batch_size=16", "--train.epochs=400"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        os.environ["MAGNOSTIC_CACHE"] = str(scratch / "cache")
        rows = [*_alike("frozen statistics, 20 steps", FROZEN, (2,), given.data, scratch)]
        rows += _alike("live statistics, 20 steps", LIVE, (2,), given.data, scratch)
        rows += _alike("no statistics, 3 epochs", EPOCHS, (2, 4), given.data, scratch)
        rows += _killed(given.data, scratch)
    finish("faults/ranks", rows, given.json)
    sys.exit(not all(row.met in (None, True) for row in rows))


def _start(processes: int, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m"]
    words += ["torch.distributed.run", f"--nproc-per-node={processes}", "-m"] * (processes > 1)
    words += ["magnostic", "train", "nishio2024-resnet50-binary", "--data", str(data)]
    words += ["--out", str(out), *COMMON, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _done(process: subprocess.Popen[str]) -> None:
    told, _ = process.communicate()
    if process.returncode:
        sys.exit(told)


def _alike(
    what: str, settings: list[str], sizes: tuple[int, ...], data: Path, scratch: Path
) -> list[Row]:
    found, rows = {}, []
    for size in (1, *sizes):
        out = scratch / f"{what.split()[0]}-{size}"
        _done(_start(size, data, out, *settings))
        lines = map(json.loads, (out / "history.jsonl").read_text().splitlines())
        found[size] = [line["train_loss"] for line in lines]
        table = pd.read_parquet(out / "predictions.parquet")
        twice = len(table) - table["image_id"].nunique()
        if size == 1:
            one = set(table["image_id"])
            continue
        apart = max(abs(a - b) for a, b in zip(found[1], found[size], strict=True))
        rows.append(Row(f"{what}, {size} processes: largest difference of a loss", apart, "",
                        "<= 1e-4", apart <= 1e-4))  # fmt: skip
        odd = twice + len(one ^ set(table["image_id"]))
        rows.append(Row(f"{what}, {size} processes: photographs not predicted once", odd, "",
                        "0", odd == 0))  # fmt: skip
    print(f"{what}, losses of one process: {', '.join(f'{x:.5f}' for x in found[1])}", flush=True)
    return rows


def _killed(data: Path, scratch: Path) -> list[Row]:
    out = scratch / "killed"
    process = _start(2, data, out, *LONG)
    while not (out / "checkpoint" / "state.json").is_file():
        if process.poll() is not None:
            sys.exit(process.communicate()[0])
        time.sleep(0.1)
    os.kill(of_rank(1, out), signal.SIGKILL)
    started = time.monotonic()
    told, _ = process.communicate()
    took = time.monotonic() - started
    says = [line for line in told.splitlines() if line.startswith("error: process 1 of 2")]
    print("\n".join(says) or told, flush=True)
    resumed = _start(1, data, out, *LONG, "--resume")
    assert resumed.stdout is not None
    goes_on = any(line.startswith("resuming after epoch") for line in resumed.stdout)
    resumed.kill()
    resumed.wait()
    return [
        Row("a process killed: the job ends after", took, "s", "<= 30", took <= 30),
        Row("with a nonzero exit code and one clear line", len(says), "", "1",
            process.returncode != 0 and len(says) == 1),
        Row("and one process goes on from its checkpoint", goes_on, "", "1", goes_on),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
