"""Killing a training at random moments: every resumed run must end bit-identical.

    python bench/faults/sigkill.py [--data DIR] [--kills 30] [--seed 0] [--json FILE]

A small network is fine-tuned on genuine photographs (``--data``; the phantom without any), two
protocols with two folds each, so that a kill may come while photographs are decoded, in an epoch,
in a checkpoint, between two models, in the evaluation or in the report. Each kill has a moment of
its own, drawn within one of as many equal parts of the time that a run takes; the same command with
--resume then runs to its end, and every file of the run folder is compared with that of a run that
was never interrupted: all bytes, but for seconds in history.jsonl. The pixel cache starts empty
each time. Exit code 1 if any run differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _table import Row, finish  # noqa: E402
from _trees import differences  # noqa: E402

SAMPLE = HERE.parents[2] / "shared" / "breakhis-sample" / "BreaKHis_v1"
SETTINGS = [
    "--model.backbone=test_resnet", "--model.weights=none", "--preprocess.size=96",
    "--train.epochs=8", "--train.batch_size=32", "--train.precision=fp32", "--model.dropout=0.2",
    "--augment.flips=true", "--augment.colour=0.2", "--split.protocols=random,patient",
    "--split.folds=2", "--evaluate.resamples=50",
]  # fmt: skip


class Trial:
    """One run folder with a cache of its own."""

    def __init__(self, data: Path, place: Path) -> None:
        self.out = place / "run"
        self.log = place / "log"
        place.mkdir()
        self._command = [
            sys.executable, "-m", "magnostic", "train", "nishio2024-resnet50-binary", *SETTINGS,
            "--data", str(data), "--out", str(self.out), "--resume",
        ]  # fmt: skip
        self._environment = {**os.environ, "MAGNOSTIC_CACHE": str(place / "cache")}

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def to_the_end(self) -> int:
        return self.start().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = given.data if given.data.is_dir() else _phantom(scratch)
        whole = Trial(data, scratch / "whole")
        started = time.monotonic()
        if whole.to_the_end() != 0:
            sys.exit(whole.log.read_text())
        took = time.monotonic() - started
        print(f"uninterrupted: {took:.1f} s", flush=True)
        survived, killed = 0, 0
        for number in range(given.kills):
            moment = (number + rng.random()) / given.kills * took
            place = scratch / f"kill{number}"
            wrong, state = _trial(Trial(data, place), moment, whole.out)
            killed += state != "had ended"
            survived += not wrong
            verdict = f"WRONG: {wrong}" if wrong else "identical"
            print(f"killed after {moment:5.1f} s ({state}): {verdict}", flush=True)
            shutil.rmtree(place)
    rows = [
        Row("kills tried", given.kills, "", "30", given.kills >= 30),
        Row("of which the process was still at work", killed, ""),
        Row("resumed to the same bytes", survived, "", "all", survived == given.kills),
    ]
    finish("faults/sigkill", rows, given.json)
    sys.exit(survived < given.kills)


def _trial(trial: Trial, moment: float, whole: Path) -> tuple[str, str]:
    """What is wrong with the resumed run, if anything, and where it stood when it was killed."""
    process = trial.start()
    try:
        process.wait(moment)
        state = "had ended"
    except subprocess.TimeoutExpired:
        state = _state(trial.out)
        os.killpg(process.pid, 9)
        process.wait()
    code = trial.to_the_end()
    if code:
        return f"exit code {code}: {trial.log.read_text().splitlines()[-1]}", state
    return ", ".join(differences(whole, trial.out)), state


def _state(out: Path) -> str:
    if not (out / "identity.json").is_file():
        return "before training"
    if (out / "run.json").is_file():
        return "card and report"
    done = len(list(out.rglob("run.json")))
    if done == 4:
        return "pooled evaluation"
    within = list(out.rglob("checkpoint/state.json"))
    return f"{done} models done, the next {'has a checkpoint' if within else 'has none'}"


def _phantom(scratch: Path) -> Path:
    data = scratch / "phantom"
    command = [sys.executable, "-m", "magnostic", "phantom", str(data)]
    command += ["--patients-per-type", "3", "--fields-per-magnification", "1"]
    subprocess.run(command, check=True)
    return data


if __name__ == "__main__":
    main()
