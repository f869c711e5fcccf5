"""Sections of a study about magnifications and shifts: there where the rows allow them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.robustness import Shifted, summarize
from magnostic.files import read_json, write_json, write_text
from magnostic.report import write_report, write_study
from magnostic.report.study import folder, robustness

ABOUT = {
    "eosin-more": {"title": "More eosin", "strongest": "amount times 2"},
    "made-up": {"title": "Made up", "strongest": "very much"},
}
SETTINGS: dict[str, list[int]] = {"alone": [40], "but": [100, 200, 400], "all": []}


def _entry(key: str) -> dict[str, object]:
    return {
        "key": key, "label": f"{key} <x>", "group": "", "settings": {}, "seed": 0,
        "task": "binary", "recipe": "mine", "published": [], "path": f"runs/{key}",
        "status": "done", "reason": "",
    }  # fmt: skip


def _shift(run: Path) -> None:
    own = Predictions.read(run / "predictions.parquet")
    test = own.table[own.table["part"] == "test"]
    flipped = test.assign(y_pred=test["y_pred"].to_numpy()[::-1])
    frames = [
        side.assign(shift=name, severity=s)
        for name, side in (("eosin-more", flipped), ("made-up", test))
        for s in (0.5, 1.0)
    ]
    table = pd.concat(frames, ignore_index=True).astype({"severity": "float32"})
    found = summarize(own, Shifted(table), ABOUT, Sampling(30, 0.95, 0))
    write_json(run / "robustness.json", found)


@pytest.fixture(scope="module")
def study(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("magnifications") / "study"
    for key, only in SETTINGS.items():
        run = make_run(
            root / "runs" / key, ("random", "patient"), task="binary", folds=2,
            images_per_slide=4, resamples=20, name=key,
        )  # fmt: skip
        recipe = yaml.safe_load((run / "recipe.yaml").read_text())
        recipe["data"]["train_magnifications"] = only
        write_text(run / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
        if key != "but":
            _shift(run)
    entries = [_entry(key) for key in SETTINGS]
    write_json(root / "study.json", {"version": 1, "name": "m", "entries": entries})
    return root


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return write_study(study).read_text()


def test_rows_that_differ_in_magnifications_alone_are_shown_together(
    study: Path, page: str
) -> None:
    assert 'id="magnification"' in page
    assert "Left out" not in page
    assert "decided alike at every magnification" in page
    assert "<x>" not in page, "labels are escaped"
    assert (study / "figures" / "magnification_binary_patient.pdf").is_file()
    assert not (study / "figures" / "magnification_binary_random.pdf").is_file()
    lines = (study / "tables" / "magnification_binary_patient.csv").read_text().splitlines()
    assert len(lines) == 1 + len(SETTINGS)
    assert lines[0].startswith("key,label,trained_at,worst_at,accuracy_at_40,accuracy_at_40_low")


def test_falls_of_all_rows_stand_in_one_picture(study: Path, page: str) -> None:
    assert 'id="robustness"' in page
    assert (study / "figures" / "robustness_binary.png").is_file()
    lines = (study / "tables" / "robustness_binary.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2, "two rows were tested, under two shifts"
    assert "Made up" in page
    assert "made up: very much" in page
    assert (study / "figures" / "robustness_curves_binary.png").is_file()
    assert "Alone &lt;x&gt;: accuracy " in page
    assert "Falls with an interval above zero: 1 of 2 shifts." in page


def test_decisions_on_patients_are_those_of_the_runs(study: Path, page: str) -> None:
    assert 'id="patients"' in page
    with (study / "tables" / "patients_binary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == list(SETTINGS)
    for row in rows:
        metrics = read_json(study / "runs" / row["key"] / "metrics.json")
        found = metrics["protocols"]["patient"]["patients"]
        assert row["protocol"] == "patient"
        for key in ("recognition_rate", "mean_probability_accuracy", "majority_vote_accuracy"):
            assert float(row[key]) == found[key]["estimate"]
            assert float(row[f"{key}_low"]) == found[key]["low"]


def test_rows_with_another_seed_are_not_compared(study: Path, tmp_path: Path) -> None:
    """Their test images need not be the same, and something else differs."""
    runs = tmp_path / "runs"
    runs.mkdir()
    for key in SETTINGS:
        (runs / key).mkdir()
        for file in (study / "runs" / key).iterdir():
            if file.is_file() and file.name != "recipe.yaml":
                (runs / key / file.name).symlink_to(file)
        recipe = yaml.safe_load((study / "runs" / key / "recipe.yaml").read_text())
        recipe["seed"] = 1 if key == "all" else list(SETTINGS).index(key)
        write_text(runs / key / "recipe.yaml", yaml.safe_dump(recipe))
    about = json.loads((study / "study.json").read_text())
    about["entries"] = [e for e in about["entries"] if e["key"] != "all"]
    write_json(tmp_path / "study.json", about)
    page = write_study(tmp_path).read_text()
    assert 'id="magnification"' not in page
    assert 'id="robustness"' in page
    (tmp_path / "runs" / "alone" / "robustness.json").unlink()
    assert robustness.table(folder.read(tmp_path, tmp_path), "binary") is None


def test_a_run_says_what_lets_it_fall_most(study: Path) -> None:
    page = write_report(study / "runs" / "alone").read_text()
    assert "accuracy falls most under more eosin" in page
    assert "for 1 of 2 shifts: more eosin" in page
    assert "Severity" in page
