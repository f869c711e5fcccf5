"""controls.json of a run: written where it can say something, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic import recipe_file
from magnostic.data import Images, read_images
from magnostic.files import read_json
from magnostic.train import controls
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="module")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


def start(tiny: Images, out: Path, name: str, *changes: str) -> Path:
    changes = ("--evaluate.resamples", "0", *changes)
    return run(recipe_file.load(CONF / f"{name}.yaml", changes), tiny, out)


def test_a_probe_has_all_controls_and_the_page_shows_them(tiny: Images, tmp_path: Path) -> None:
    out = start(tiny, tmp_path / "run", "probe-lite0", "--split.protocols", "random,patient")
    found = read_json(out / "controls.json")
    assert found["statistics_of"] is None
    assert set(found["colour"]["protocols"]) == {"random", "patient"}
    assert found["slides"]["n"] + found["slides"]["n_unknown"] == 48
    assert found["neighbours"]["features"]["patient"]["slide"]["estimate"] == 0
    assert found["equal"]["draws"] == 3
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "Control, colours alone:" in text
    # Each type of the tiny set has its own colour.
    assert found["colour"]["protocols"]["patient"]["accuracy"]["estimate"] > 0.5


@pytest.mark.usefixtures("no_page")
def test_statistics_of_the_training_part_are_those_of_one_fold(
    tiny: Images, tmp_path: Path
) -> None:
    out = start(
        tiny, tmp_path / "run", "probe-lite0", "--split.protocols", "random,patient",
        "--preprocess.normalize", "train", "--split.repeats", "2",
    )  # fmt: skip
    found = read_json(out / "controls.json")
    assert found["statistics_of"] == "random/r0f0"
    assert found["colour"]["protocols"]["random"]["n_images"] == 48


@pytest.mark.usefixtures("no_page")
def test_a_fine_tuned_network_has_no_frozen_features(tiny: Images, tmp_path: Path) -> None:
    out = start(
        tiny, tmp_path / "run", "finetune-folds", "--split.protocols", "random,patient",
        "--train.epochs", "1",
    )  # fmt: skip
    found = read_json(out / "controls.json")
    assert found["equal"] is None
    assert found["slides"]["features"] is None
    assert found["slides"]["colour"] is not None


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    "changes",
    [
        ("--split.protocols", "patient,accession"),
        ("--split.protocols", "random"),
        ("--split.protocols", "random,patient", "--evaluate.controls", "false"),
    ],
)
def test_no_controls_without_a_gap_or_where_they_are_not_asked_for(
    changes: tuple[str, ...], tiny: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(controls, "write", lambda *_: pytest.fail("controls were measured"))
    out = start(tiny, tmp_path / "run", "probe-lite0", *changes)
    assert not (out / "controls.json").exists()
