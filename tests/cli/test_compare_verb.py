"""``magnostic compare``: the table, the words, the files, and bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magnostic.cli import main
from magnostic.evaluate.predictions import Predictions, make

CODES = ("A", "F", "DC", "LC")


def predictions(
    seed: int, skill: float, protocol: str = "patient", classes: tuple[str, ...] = CODES
) -> Predictions:
    """120 images of 12 patients, each of one class."""
    rng = np.random.default_rng(seed)
    patient = np.arange(120) % 12
    truth = patient % len(classes)
    p = rng.random((120, len(classes))) + skill * np.eye(len(classes))[truth]
    images = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(120)],
            "slide_id": [f"s{k}" for k in patient],
            "patient_id": [f"s{k}" for k in patient],
            "accession": [f"a{k}" for k in patient],
            "magnification": pd.array([100] * 120, dtype="Int16"),
        }
    )
    table = make(
        images,
        [classes[k] for k in truth],
        (p / p.sum(axis=1, keepdims=True)).astype(np.float32),
        classes,
        protocol=protocol,
        repeat=0,
        fold=0,
        part="test",
    )
    return Predictions(table)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Folders ``good`` and ``bad``, and a binary one."""
    for name, made in {
        "good": predictions(1, 2.0),
        "bad": predictions(2, 0.1),
        "binary": predictions(3, 0.5, classes=("benign", "malignant")),
        "random": predictions(1, 1.0, "random"),
    }.items():
        made.write(tmp_path / name / "predictions.parquet")
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the verb; exit code with standard output, or standard error where it failed."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["compare", *map(str, arguments)])
        captured = capsys.readouterr()
        code = caught.value.code
        return (code, captured.err) if isinstance(code, int) and code else (0, captured.out)

    return run


Call = Callable[..., tuple[int, str]]


def test_table_and_words(runs: Path, call: Call) -> None:
    code, out = call(runs / "good", runs / "bad", "--resamples", 300)
    assert code == 0
    assert "protocol patient, 4 classes, 120 images, 12 clusters (patient)" in out
    assert "good minus bad, in points" in out
    assert "a difference in accuracy" in out
    assert "12 patients, of which 12 differ in the predicted class" in out.replace("\n", " ")
    assert "Durkalski 2003" in out
    assert "Obuchowski 1997" in out


def test_files_of_predictions_and_json_and_csv(runs: Path, call: Call) -> None:
    files = [runs / name / "predictions.parquet" for name in ("good", "bad")]
    code, _ = call(*files, "--resamples", 100, "--out", runs / "c")
    assert code == 0
    found = json.loads((runs / "c" / "comparison.json").read_text())
    assert [system["name"] for system in found["systems"]] == ["good", "bad"]
    rows = pd.read_csv(runs / "c" / "comparison.csv")
    assert rows["figure"].tolist() == ["accuracy", "balanced_accuracy", "macro_f1", "macro_auc"]
    assert rows["estimate"][0] == pytest.approx(
        found["pairs"][0]["figures"]["accuracy"]["estimate"]
    )
    call(*files, "--resamples", 100, "--out", runs / "only.csv")
    assert (runs / "only.csv").read_text() == (runs / "c" / "comparison.csv").read_text()


def test_binary_task_of_eight_types_and_a_binary_run(runs: Path, call: Call) -> None:
    # Patients' true classes differ between the two: refused, but only once the classes agree.
    code, error = call(runs / "good", runs / "binary")
    assert code == 2
    assert "add --task binary" in error
    code, error = call(runs / "good", runs / "binary", "--task", "binary")
    assert code == 2
    assert "another true class" in error
    code, out = call(runs / "good", runs / "bad", "--task", "binary", "--resamples", 100)
    assert code == 0
    assert "sensitivity" in out
    assert "2 classes" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["good"], "two or more runs"),
        ([], "two or more runs"),
        (["good", "good"], "named twice"),
        (["good", "nowhere"], "predictions.parquet"),
        (["good", "random"], "no protocol is tested by all runs"),
        (["good", "bad", "--protocol", "accession"], "it has patient: choose with --protocol"),
        (["good", "bad", "--out", "good/predictions.parquet"], "name a .json file"),
    ],
)
def test_bad_input(
    runs: Path, call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(runs)
    code, error = call(*arguments)
    assert code == 2
    assert error.startswith("error: ")
    assert says in error
    assert len(error.strip().splitlines()) == 1
