"""Stored models on shifted photographs: the same models, other photographs, nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from magnostic import recipe_file as recipes
from magnostic.cli import main
from magnostic.data import Images, read_images
from magnostic.data.pixels import open_pixels
from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.robustness import Shifted
from magnostic.files import read_json, write_json
from magnostic.models import classifier
from magnostic.preprocess import colour, shifts
from magnostic.report import write_report
from magnostic.train.robustness import is_measured, measure_run
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf"
KEYS = ("statistics", "finetune")
SMALL = ["--split.folds=2", "--split.repeats=1", "--preprocess.size=32"]
SETTINGS = {
    "probe": ("probe-svm", [*SMALL, "--split.protocols=random,patient",
                            "--preprocess.normalize=imagenet", "--evaluate.controls=false"]),
    "statistics": ("probe-svm", [*SMALL, "--split.protocols=patient"]),
    "finetune": ("finetune-folds", ["--preprocess.colour=macenko"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


@pytest.fixture(scope="module")
def runs(tiny: Images, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for key, (name, given) in SETTINGS.items():
        recipe = recipes.load(CONF / f"{name}.yaml", given)
        made[key] = run(recipe, tiny, tmp_path_factory.mktemp(key) / "run")
    return made


@pytest.fixture
def no_blur(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blur that leaves photographs as they are."""
    same = replace(shifts.SHIFTS["blur"], apply=lambda images, _: images)
    monkeypatch.setitem(shifts.SHIFTS, "blur", same)


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.usefixtures("no_blur")
def test_without_a_change_the_predictions_are_the_runs_own(
    key: str, tiny: Images, runs: dict[str, Path]
) -> None:
    measure_run(runs[key], tiny, ["blur"], [1.0])
    again = Shifted.read(runs[key] / "robustness.parquet").at("blur", 1.0)
    own = Predictions.read(runs[key] / "predictions.parquet").where(part="test")
    order = ["protocol", "repeat", "fold", "image_id"]
    one, other = (p.table.sort_values(order, ignore_index=True) for p in (own, again))
    assert other[one.columns].astype(one.dtypes).equals(one)
    for result in read_json(runs[key] / "robustness.json")["protocols"].values():
        assert result["curves"]["blur"][0]["fall"]["accuracy"]["estimate"] == 0


def test_colours_are_described_after_the_shift(tiny: Images, runs: dict[str, Path]) -> None:
    """As if the photograph had been taken so: Macenko's vectors are those of the shifted one."""
    folder = runs["finetune"]
    measure_run(folder, tiny, ["eosin-less"], [0.7])
    stored = Shifted.read(folder / "robustness.parquet").at("eosin-less", 0.7).table
    model, spec = classifier.load(folder / "patient" / "r0f0")
    here = stored[stored["fold"] == 0]
    table = tiny.table.set_index("image_id").loc[here["image_id"]].reset_index()
    pixels = open_pixels(tiny.table, spec.size, spec.fit)
    images = shifts.shifted(
        torch.from_numpy(pixels.array[pixels.rows(table["pixel_hash"])]), "eosin-less", 0.7
    )
    described = torch.from_numpy(colour.describe("macenko", images.numpy()))
    images = colour.apply(colour.Colour.from_dict(spec.colour), images, described)
    with torch.inference_mode():
        expected = torch.softmax(model(images), dim=1).numpy()
    given = here[[f"p_{c}" for c in spec.classes]].to_numpy()
    assert np.abs(given - expected).max() < 1e-2 if spec.precision != "fp32" else 1e-5


def test_the_report_shows_curves_and_falls(tiny: Images, runs: dict[str, Path]) -> None:
    folder = runs["probe"]
    (folder / "robustness.json").unlink(missing_ok=True)
    assert 'id="robustness"' not in write_report(folder).read_text()
    measure_run(folder, tiny, ["jpeg", "eosin-more", "eosin-less"], [1.0, 0.5], ["patient"])
    page = write_report(folder).read_text()
    assert 'id="robustness"' in page
    assert "quality 10 of 100" in page
    assert (folder / "figures" / "robustness_patient.png").is_file()
    lines = (folder / "tables" / "robustness.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 2
    assert is_measured(folder, ["eosin-less", "jpeg", "eosin-more"], [0.5, 1.0], ["patient"])
    assert not is_measured(folder, ["jpeg"], [0.5, 1.0], ["patient"])
    assert not is_measured(folder, ["eosin-less", "jpeg", "eosin-more"], [0.5, 1.0], [])


def test_what_cannot_be_tested_is_told(tiny: Images, runs: dict[str, Path]) -> None:
    folder = runs["probe"]
    with pytest.raises(BadInput, match="did you mean 'blur'"):
        measure_run(folder, tiny, ["blr"])
    with pytest.raises(BadInput, match="severity 0: is the photograph itself"):
        measure_run(folder, tiny, ["blur"], [0.0, 1.0])
    with pytest.raises(BadInput, match="has only random, patient"):
        measure_run(folder, tiny, ["blur"], [1.0], ["official"])
    flipped = tiny.table["malignancy"].map({"benign": "malignant", "malignant": "benign"})
    with pytest.raises(BadInput, match="not the data of"):
        measure_run(folder, Images(tiny.table.assign(malignancy=flipped)), ["blur"], [1.0])
    with pytest.raises(BadInput, match=r"holds no run\.json"):
        measure_run(folder.parent, tiny)


def test_the_verb_goes_on_where_it_stopped_in_a_study(
    tiny_breakhis: Path, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    (study / "runs").mkdir(parents=True)
    entries = []
    for key in KEYS:
        (study / "runs" / key).symlink_to(runs[key])
        entries.append(
            {"key": key, "label": key, "task": "binary", "path": f"runs/{key}", "status": "done"}
        )
    write_json(study / "study.json", {"version": 1, "name": "s", "entries": entries})
    given = ["--data", str(tiny_breakhis), "--shifts", "blur,darker", "--severities", "1"]
    with pytest.raises(SystemExit) as done:
        main(["robustness", str(study), *given])
    assert not done.value.code
    stored = [runs[key] / "robustness.parquet" for key in KEYS]
    before = [path.stat().st_mtime_ns for path in stored]
    with pytest.raises(SystemExit):
        main(["robustness", str(study), *given])
    assert [path.stat().st_mtime_ns for path in stored] == before
    assert "report:" in capsys.readouterr().out
    assert "Robustness" in (study / "report.html").read_text()


@pytest.mark.parametrize("told", ["{}", '{"shifts": 3}', '{"shifts": [], "severities": []}'])
def test_a_result_that_was_changed(told: str, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"protocol": "patient"})
    (tmp_path / "robustness.json").write_text(told)
    with pytest.raises(BadInput, match=r"robustness\.json: not as this version .* measured again"):
        is_measured(tmp_path, ["jpeg"], [1.0], [])
