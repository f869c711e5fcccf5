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
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "faults"))

from _processes import of_rank

from magnostic import recipe_file as recipes
from magnostic.data import Images
from magnostic.train import finetune
from magnostic.train.checkpoint import Progress
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf" / "finetune-oversample.yaml"


SETTINGS = ["--evaluate.resamples=10", "--train.precision=fp32"]


def _start(processes: int, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m"]
    words += ["torch.distributed.run", f"--nproc-per-node={processes}", "-m"] * (processes > 1)
    words += ["magnostic", "train", str(CONF), "--data", str(data), "--out", str(out)]
    words += [*SETTINGS, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def _require_devices(processes: int) -> None:
    if 0 < torch.cuda.device_count() < processes:
        pytest.skip(f"{processes} processes take as many GPUs; this machine has fewer")


def _alone(images: Images, out: Path, *more: str) -> None:
    """The same in this process, which has torch loaded already."""
    run(recipes.load(CONF, [*SETTINGS, *more]), images, out)


def _losses(out: Path) -> list[float]:
    lines = (out / "history.jsonl").read_text().splitlines()
    return [json.loads(line)["train_loss"] for line in lines]


@pytest.mark.slow
def test_three_processes_train_as_one(
    tiny_breakhis: Path, tiny_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that is drawn for a batch, of which the last leaves a process without a share."""
    _require_devices(3)
    more = ["--model.dropout=0.3", "--model.args={drop_path_rate: 0.2}", "--augment.flips=true"]
    more += ["--balance.method=none", "--train.batch_size=11", "--train.epochs=2"]
    process = _start(3, tiny_breakhis, tmp_path / "3", *more)
    monkeypatch.setattr("magnostic.train.run.write_report", lambda _: None)
    _alone(tiny_images, tmp_path / "1", *more)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    parts = pd.read_parquet(tmp_path / "1" / "split.parquet")["part"]
    assert (parts == "train").sum() % 11 == 2
    one, three = (_losses(tmp_path / name) for name in "13")
    assert three == pytest.approx(one, abs=1e-4)
    tables = [pd.read_parquet(tmp_path / name / "predictions.parquet") for name in "13"]
    assert tables[1]["image_id"].is_unique
    assert tables[0]["image_id"].tolist() == tables[1]["image_id"].tolist()


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_one_goes_on(
    tiny_breakhis: Path, tiny_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _require_devices(2)
    out, whole = tmp_path / "run", tmp_path / "whole"
    process = _start(2, tiny_breakhis, out, "--train.epochs=2000")
    resumed = None
    try:
        while not (out / "checkpoint" / "state.json").is_file():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        os.kill(of_rank(1, out), signal.SIGKILL)
        told, _ = process.communicate(timeout=30)
        assert process.returncode != 0
        said = [line for line in told.splitlines() if line.startswith("error: ")]
        assert len(said) == 1
        assert said[0].startswith("error: process 1 of 2 ended without a word")
        assert "--resume" in said[0]
        resumed = _start(1, tiny_breakhis, out, "--train.epochs=2000", "--resume")
        assert resumed.stdout is not None
        told = next(line for line in resumed.stdout if line.startswith("resuming after epoch "))
        epochs = int(told.split()[3].strip(",")) + 2
        while len(_losses(out)) < epochs:
            assert resumed.poll() is None
            time.sleep(0.1)
    finally:
        for each in (process, *([resumed] if resumed else [])):
            each.kill()
            each.communicate()

    def enough(progress: Progress, _: object) -> None:
        if progress.epoch > epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(finetune, "_report", enough)
    with pytest.raises(KeyboardInterrupt):
        _alone(tiny_images, whole, "--train.epochs=2000")
    assert _losses(out)[:epochs] == pytest.approx(_losses(whole)[:epochs], abs=1e-4)
