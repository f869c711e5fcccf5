"""``magnostic study`` as a user types it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.cli.study import duration

Call = Callable[..., tuple[int, str, str]]

RECIPE = """
name: small
task: binary
split: {protocols: [random, patient], folds: 2, val_fraction: 0}
preprocess: {size: 32, normalize: imagenet}
model: {backbone: test_resnet, weights: none}
train: {method: probe, precision: fp32}
evaluate: {resamples: 10}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECIPE)
    path = tmp_path / "mine.yaml"
    path.write_text("rows: [{recipe: small.yaml, label: One, grid: {train.c: [0.1, 1.0]}}]")
    return path


def test_plan_then_run_then_nothing_left(
    call: Call, study: Path, tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = call("study", study, "--data", tiny_breakhis, "--plan")
    assert code == 0
    assert "small-0-1" in out
    assert "2 runs to do, 0 done" in out
    assert not (tmp_path / "runs").exists()
    code, out, _ = call("study", study, "--data", tiny_breakhis)
    assert code == 0
    assert "2 done, 0 refused, 0 failed, 0 not started" in out
    assert "accuracy, patient" in out
    assert re.search(r"^small-0-1 +binary +[\d.]+ \(", out, re.MULTILINE)
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    (broken,) = (tmp_path / "runs" / "mine").glob("runs/small-0-1-*/metrics.json")
    broken.write_bytes(broken.read_bytes()[:-9])
    code, out, error = call("study", study, "--data", tiny_breakhis)
    assert code == 0, error
    assert re.search(r"^small-1-0 +binary +[\d.]+ \(", out, re.MULTILINE), "the others are shown"
    assert f"cannot be read: small-0-1: {broken.relative_to(tmp_path)}: not valid JSON" in out
    code, out, _ = call("study", "mine.yaml", "--data", tiny_breakhis, "--plan")
    assert "0 runs to do, 2 done" in out
    assert "about 0 s left" in out


def test_exit_codes(call: Call, study: Path, tiny_breakhis: Path, tmp_path: Path) -> None:
    place = ("--data", tiny_breakhis, "--out", tmp_path / "out")
    code, out, _ = call("study", study, *place, "--data.magnifications", "100")
    assert code == 0, "what the data cannot bear is no failure"
    assert "refused: small-0-1" in out
    code, out, _ = call("study", study, *place, "--only", "small-1-0", "--model.weights=no.pth")
    assert code == 1
    assert "failed: small-1-0: no.pth" in out


def test_the_record_of_a_study_that_was_changed(
    call: Call, tiny_breakhis: Path, tmp_path: Path
) -> None:
    for entries in ("[{}]", "[[]]", "3", '[{"status": "done", "path": []}]'):
        (tmp_path / "study.json").write_text(f'{{"name": "mine", "entries": {entries}}}')
        code, _, error = call("robustness", tmp_path, "--data", tiny_breakhis)
        assert code == 2
        assert f"error: {tmp_path / 'study.json'}: not as this version" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tabel2",), "did you mean 'table2'"),
        (("mine.yaml", "--only", "nothing"), "small-0-1, small-1-0"),
        (("mine.yaml", "--train.epochs", "3"), "no row"),
        (("mine.yaml", "--dry-run"), "add that, or take --plan"),
        (("mine.yaml", "--on", "slurm"), "submits nothing: add --dry-run"),
        (("mine.yaml", "--on", "ray", "--plan"), "leave out --on ray"),
        (("mine.yaml", "--on-bad", "skip", "--taks", "label"), "did you mean 'task'"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...],
    says: str,
    call: Call,
    study: Path,
    tiny_breakhis: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(study.parent)
    code, _, error = call("study", *arguments, "--data", tiny_breakhis, "--out", tmp_path / "out")
    assert code == 2
    assert error.startswith("error: ")
    assert says in error
    assert not (tmp_path / "out").exists()


def test_the_verb_has_help_without_torch() -> None:
    code = "import sys; from magnostic.cli import main\ntry: main(['study', '--help'])\n"
    code += "finally: assert not {'torch', 'sklearn', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--plan" in done.stdout


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 89, 600, 9000, 2e5)] == [
        "0 s",
        "89 s",
        "10 min",
        "2.5 h",
        "2.3 days",
    ]
