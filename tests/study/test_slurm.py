"""The job array of a study, carried out by bash with SLURM's commands replaced."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.cli import main
from magnostic.cluster import Place
from magnostic.study.slurm import script

WriteStudy = Callable[[str], Path]
#: sbatch keeps each job and gives its number; srun runs, or ends as it is told to; scontrol notes.
FAKES = {
    "sbatch": 'n=$(($(ls "$JOBS" | wc -l) + 1)); cat > "$JOBS/$n"; echo "$@" >> "$SAID"; echo "$n"',
    "srun": 'echo "$SRUN_CPUS_PER_TASK" >> "$CORES"; test -z "$ENDS" || exit "$ENDS"; exec "$@"',
    "scontrol": 'echo "$@" >> "$SAID"',
}


class Slurm:
    """Submitted jobs, in order, and what sbatch and scontrol were told."""

    def __init__(self, folder: Path) -> None:
        self._jobs, self._said, self._cores = (folder / name for name in ("jobs", "said", "cores"))
        self._jobs.mkdir()
        for name, body in FAKES.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
            (folder / name).chmod(0o755)
        self._environment = {
            **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "JOBS": str(self._jobs),
            "SAID": str(self._said), "SLURM_CPUS_PER_TASK": "1", "SLURM_ARRAY_JOB_ID": "77",
            "SLURM_JOB_ID": "78", "CORES": str(self._cores),
        }  # fmt: skip

    def submit(self, text: str) -> list[str]:
        assert self._bash(text, {}) == 0
        return [path.read_text() for path in sorted(self._jobs.iterdir())]

    def run(self, job: str, index: int = 0, ends: str = "") -> int:
        return self._bash(job, {"SLURM_ARRAY_TASK_ID": str(index), "ENDS": ends})

    @property
    def cores(self) -> list[str]:
        return self._cores.read_text().splitlines()

    @property
    def said(self) -> str:
        return self._said.read_text()

    def _bash(self, text: str, more: dict[str, str]) -> int:
        done = subprocess.run(
            ["bash"], input=text, text=True, env={**self._environment, **more}, check=False
        )
        return done.returncode


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    (tmp_path / "slurm").mkdir()
    return Slurm(tmp_path / "slurm")


def test_the_script_says_which_index_is_which_run_and_what_each_gets(slurm: Slurm) -> None:
    asked = ("it's.yaml", "--data=a b")
    text = script("mine", ["first", "second"], asked, Path("out"), Place("slurm", 8, 1))
    assert "#     1  first\n#     2  second\n" in text
    array, report = slurm.submit(text)
    for option in (
        "--array=1-2", "--cpus-per-task=8", "--gpus-per-task=1", "--requeue", "--signal=USR1@120",
    ):  # fmt: skip
        assert f"#SBATCH {option}\n" in array
        assert option.startswith("--array") or f"#SBATCH {option}\n" in report
    assert "--array" not in report
    assert slurm.said.splitlines() == ["--parsable", "--dependency=afterany:1"]
    assert "'it'\"'\"'s.yaml' '--data=a b' --out=out" in array


@pytest.mark.parametrize(("code", "requeued"), [("138", ["requeue 77_2"]), ("1", []), ("143", [])])
def test_a_job_whose_time_was_up_is_queued_again(
    code: str, requeued: list[str], slurm: Slurm
) -> None:
    array, report = slurm.submit(script("mine", ["a", "b"], (), Path("out"), Place("slurm")))
    assert slurm.run(array, 2, ends=code) == int(code)
    assert slurm.said.splitlines()[2:] == requeued
    assert slurm.run(report, ends=code) == int(code), "it carries out what is left"
    assert slurm.said.splitlines()[2 + len(requeued) :] == ["requeue 78"] * len(requeued)
    assert slurm.cores == ["1"] * 2, "srun is told"


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_the_jobs_carry_out_the_study(
    slurm: Slurm,
    write_study: WriteStudy,
    tiny_breakhis: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_study("name: two\nrows: [{recipe: quick.yaml, grid: {train.c: [0.1, 1.0]}}]")
    words = ["study", "study.yaml", "--data", str(tiny_breakhis), "--on", "slurm"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--dry-run"])
    assert ended.value.code in (0, None)
    array, report = slurm.submit(capsys.readouterr().out)
    out = tmp_path / "runs" / "two"
    assert slurm.run(array, 2) == 0
    (run,) = (out / "runs").iterdir()
    assert run.name.startswith("quick-1-0-")
    assert not (out / "study.json").exists()
    model = next(run.rglob("model.safetensors"))
    written = model.stat().st_mtime_ns
    assert slurm.run(report) == 0
    assert (out / "report.html").is_file()
    assert len(list((out / "runs").glob("*/run.json"))) == 2
    assert model.stat().st_mtime_ns == written, "not done again"
    for wrong in ([], ["--dry-run", "--plan"], ["--dry-run", "--task", "1"]):
        with pytest.raises(SystemExit) as ended:
            main([*words, *wrong])
        assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main([*words[:-2], "--task", "3"])
    assert ended.value.code == 2
    assert "--task 3: the study has runs 1 to 2" in capsys.readouterr().err
