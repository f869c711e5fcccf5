"""Real processes under torchrun: the same training as by one, and what the loss of one comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "faults"))

from _processes import of_rank

CONF = Path(__file__).parents[1] / "conf" / "finetune-oversample.yaml"


def _start(processes: int, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m"]
    words += ["torch.distributed.run", f"--nproc-per-node={processes}", "-m"] * (processes > 1)
    words += ["magnostic", "train", str(CONF), "--data", str(data), "--out", str(out)]
    words += ["--evaluate.resamples=10", "--train.precision=fp32", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def _losses(out: Path) -> list[float]:
    lines = (out / "history.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


@pytest.mark.slow
def test_two_processes_train_as_one(tiny_breakhis: Path, tmp_path: Path) -> None:
    started = [_start(n, tiny_breakhis, tmp_path / str(n)) for n in (1, 2)]
    for process in started:
        told, _ = process.communicate(timeout=120)
        assert process.returncode == 0, told
    one, two = (_losses(tmp_path / name) for name in "12")
    assert two == pytest.approx(one, abs=1e-4)
    tables = [pd.read_parquet(tmp_path / name / "predictions.parquet") for name in "12"]
    assert tables[1]["image_id"].is_unique
    assert tables[0]["image_id"].tolist() == tables[1]["image_id"].tolist()


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_one_goes_on(tiny_breakhis: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = _start(2, tiny_breakhis, out, "--train.epochs=2000")
    try:
        while not (out / "checkpoint" / "state.json").is_file():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        os.kill(of_rank(1, out), signal.SIGKILL)
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode != 0
    said = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].startswith("error: process 1 of 2 ended without a word")
    assert "--resume" in said[0]
    resumed = _start(1, tiny_breakhis, out, "--train.epochs=2000", "--resume")
    assert resumed.stdout is not None
    assert any(line.startswith("resuming after epoch ") for line in resumed.stdout)
    resumed.kill()
    resumed.wait()
