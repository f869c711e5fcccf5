"""Ending a training at random moments: every resumed run must end bit-identical.

    OMP_NUM_THREADS=1 python bench/faults/sigkill.py [--data DIR] [--kills 30] [--signals 10]
        [--seed 0] [--json FILE]

A small network is fine-tuned on genuine photographs (every third of ``--data``; the phantom without
any), on two protocols with two folds each and with an empty cache, so that the end may come while
photographs are decoded, in an epoch, in a checkpoint, between two models, in the evaluation or in
the report. Each trial has a moment of its own, drawn within one of as many equal parts of the time
that a run takes; every second SIGKILL then waits for the next file to be half-written, and comes
at that moment. The same command with --resume must run to its end, and every file of the run folder
is compared with that of a run that was never interrupted: all bytes, but for seconds in
history.jsonl. SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 (``--signals`` trials) must end it with their
documented codes. Exit code 1 if anything is otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _forked import Forked, load  # noqa: E402
from _material import SAMPLE, few  # noqa: E402
from _table import Row, finish  # noqa: E402
from _trees import differences  # noqa: E402

SETTINGS = [
    "--model.backbone=test_resnet", "--model.weights=none", "--preprocess.size=64",
    "--train.epochs=10", "--train.batch_size=16", "--train.precision=fp32", "--model.dropout=0.2",
    "--augment.flips=true", "--augment.colour=0.2", "--split.protocols=random,patient",
    "--split.folds=2", "--evaluate.resamples=50",
]  # fmt: skip
ENDS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGUSR2)


class Trial:
    """One run folder with a cache of its own."""

    def __init__(self, data: Path, place: Path) -> None:
        self.place, self.out, self.log = place, place / "run", place / "log"
        place.mkdir()
        self._command = ["train", "nishio2024-resnet50-binary", *SETTINGS, "--resume"]
        self._command += ["--data", str(data), "--out", str(self.out)]

    def start(self) -> Forked:
        return Forked(self._command, self.log, {"MAGNOSTIC_CACHE": str(self.place / "cache")})

    def unfinished(self) -> str:
        """The name of a file that is being written now, if any."""
        for folder, _, names in os.walk(self.place):
            for name in names:
                if name.endswith(".unfinished"):
                    below = Path(folder).relative_to(self.place).as_posix()
                    return f"{below}/{name[1:].rsplit('.', 2)[0]}"
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--signals", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    load()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = few(given.data, scratch, step=3)
        whole = Trial(data, scratch / "whole")
        started = time.monotonic()
        if whole.start().wait() != 0:
            sys.exit(whole.log.read_text())
        took = time.monotonic() - started
        print(f"uninterrupted: {took:.1f} s", flush=True)
        plan = [(signal.SIGKILL, n, given.kills) for n in range(given.kills)]
        plan += [(ENDS[n % 4], n, given.signals) for n in range(given.signals)]
        tried: Counter[str] = Counter()
        right: Counter[str] = Counter()
        phases: Counter[str] = Counter()
        for number, (sent, n, of) in enumerate(plan):
            moment = (n + rng.random()) / of * took
            place = scratch / f"trial{number}"
            trial = Trial(data, place)
            wrong, state = _try(trial, sent, moment, n % 2 == 1, whole.out)
            kind = "SIGKILL" if sent is signal.SIGKILL else "others"
            tried[kind] += 1
            right[kind] += not wrong
            if kind == "SIGKILL":
                phases[state.split(":")[0]] += 1
            verdict = f"WRONG: {wrong}" if wrong else "identical"
            print(f"{sent.name} after {moment:4.1f} s ({state}): {verdict}", flush=True)
            shutil.rmtree(place)
    for phase, count in phases.most_common():
        print(f"  {count:3d} SIGKILLs: {phase}")
    kills, others = tried["SIGKILL"], tried["others"]
    ended = phases["had ended"]
    rows = [
        Row("SIGKILLs tried", kills, "", "30", kills >= 30),
        Row("of which the process was still at work", kills - ended, ""),
        Row("resumed to the same bytes", right["SIGKILL"], "", "all", right["SIGKILL"] == kills),
        Row("SIGTERM, SIGINT, SIGUSR1, SIGUSR2 tried", others, ""),
        Row("ended as documented and resumed to the same bytes", right["others"], "", "all",
            right["others"] == others),
    ]  # fmt: skip
    finish("faults/sigkill", rows, given.json)
    sys.exit(right != tried)


def _try(
    trial: Trial, sent: signal.Signals, moment: float, in_write: bool, whole: Path
) -> tuple[str, str]:
    """What is wrong with the resumed run, if anything, and where it stood when it was ended."""
    process = trial.start()
    code = process.wait(moment)
    writing = ""
    while code is None and sent is signal.SIGKILL and in_write and not writing:
        writing = trial.unfinished()
        code = None if writing else process.ended()
    if code is None:
        process.send(sent)
        code = process.wait()
        # What was asked for may also have come to an end before it was asked.
        expected = (-sent,) if sent is signal.SIGKILL else (128 + sent, 0)
        if code not in expected:
            return f"exit code {code}: {trial.log.read_text()[-300:]}", "?"
        state = f"writing: {writing}" if writing else _state(trial.out)
        last = trial.log.read_text().splitlines()[-1:]
        if code > 0 and "--resume goes on" not in "".join(last):
            return f"does not say how to go on: {last}", state
    else:
        state = "had ended"
    code = trial.start().wait()
    if code:
        return f"exit code {code}: {trial.log.read_text()[-300:]}", state
    return ", ".join(differences(whole, trial.out)), state


def _state(out: Path) -> str:
    if not (out / "identity.json").is_file():
        return "before training"
    if (out / "run.json").is_file():
        return "card and report"
    done = len(list(out.rglob("run.json")))
    if done == 4:
        return "pooled evaluation"
    steps = [path.name.split(".")[0] for path in out.rglob("checkpoint/epoch*.model.safetensors")]
    return f"training: {done} models done, checkpoints of the next {sorted(steps)}"


if __name__ == "__main__":
    main()
