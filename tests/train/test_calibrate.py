"""What is fitted on predictions is stored beside the run and named in fitted_on.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic import recipe_file as recipes
from magnostic.audit import audit_run
from magnostic.data import Images, read_images
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import fit_for_use
from magnostic.files import read_json, write_json
from magnostic.splits.table import Parts
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are drawn in other tests."""
    monkeypatch.setattr("magnostic.train.run.write_report", lambda _: None)


@pytest.fixture(scope="module")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


def test_a_single_run_is_calibrated_on_validation_and_the_audit_sees_a_cheat(
    tiny: Images, tmp_path: Path
) -> None:
    out = run(recipes.load(CONF / "finetune-oversample.yaml"), tiny, tmp_path / "run")
    stored, fitted = read_json(out / "calibration.json"), read_json(out / "fitted_on.json")
    parts = Parts.read(out)
    assert stored["fitted_on"] == sorted(parts.ids("val"))
    assert fitted["calibration"] == fitted["thresholds"]
    assert fitted["thresholds"]["ids"] == stored["fitted_on"]
    codes = {f.code: f.status for f in audit_run(out, tiny)}
    assert codes["MG006"] == "passed"

    predictions = Predictions.read(out / "predictions.parquet")
    turned = predictions.table["part"].map({"test": "val", "val": "test"})
    cheat = fit_for_use(Predictions(predictions.table.assign(part=turned)), "random")
    assert cheat is not None
    entry = {"ids": cheat["fitted_on"]}
    write_json(out / "fitted_on.json", {**fitted, "thresholds": entry})
    finding = next(f for f in audit_run(out, tiny) if f.code == "MG006")
    assert finding.status == "issue"
    assert "the thresholds" in finding.message
    assert set(finding.ids) == set(parts.ids("test"))


def test_without_validation_nothing_is_stored(tiny: Images, tmp_path: Path) -> None:
    recipe = recipes.load(CONF / "finetune-oversample.yaml", ["--split.val_fraction=0"])
    out = run(recipe, tiny, tmp_path / "run")
    assert not (out / "calibration.json").exists()
    fitted = read_json(out / "fitted_on.json")
    assert fitted["calibration"] is fitted["thresholds"] is None


def test_a_refitted_probe_names_all_out_of_fold_predictions(tiny: Images, tmp_path: Path) -> None:
    overrides = ["--split.protocols=patient,accession", "--split.repeats=1"]
    out = run(recipes.load(CONF / "probe-svm.yaml", overrides), tiny, tmp_path / "run")
    stored = read_json(out / "calibration.json")
    fitted = read_json(out / "final" / "fitted_on.json")
    assert stored["source"] == "out-of-fold"
    assert stored["protocol"] == "accession", "the strictest, as the model for use"
    assert fitted["calibration"]["ids"] == stored["fitted_on"] == sorted(tiny.table["image_id"])
    child = read_json(out / "accession" / "r0f0" / "fitted_on.json")
    assert child["calibration"] is None, "a child's own test images play no part in it"
    assert {f.status for f in audit_run(out, tiny) if f.code == "MG006"} == {"passed"}


def test_an_ensemble_names_them_beside_the_run(tiny: Images, tmp_path: Path) -> None:
    out = run(recipes.load(CONF / "finetune-folds.yaml"), tiny, tmp_path / "run")
    stored = read_json(out / "calibration.json")
    fitted = read_json(out / "fitted_on.json")
    assert set(fitted) == {"calibration", "thresholds"}
    assert fitted["thresholds"]["ids"] == stored["fitted_on"]
