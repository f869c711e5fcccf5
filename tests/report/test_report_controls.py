"""The negative controls on the page: tables, pictures and the sentences of the verdict."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnostic.files import read_json, write_json
from magnostic.report import gap_picture, write_report
from magnostic.report.controls import remarks

M = {"estimate": 0.6, "low": 0.5, "high": 0.7}


def _gap(low: float, random: float = 0.8) -> dict[str, Any]:
    side = {"estimate": 40.0, "low": low, "high": 60.0, "random": random, "grouped": 0.4}
    sizes = {"n_images": 100, "n_clusters": 20, "cluster": "patient", "estimable": None}
    return {"accuracy": side, "macro_f1": side, **sizes}


def _controls(low: float = 5.0) -> dict[str, Any]:
    figures = {"accuracy": M, "macro_f1": M, "n_images": 100, "estimable": None}
    gaps = {"patient": _gap(low)}
    by_protocol = dict.fromkeys(("random", "patient"), figures)
    near = {**M, "chance": 0.05, "chance_in_class": 0.25, "n": 100}
    neighbours = {"n": 100, "slide": near, "accession": near, "class": None}
    return {
        "version": 1, "repeat": 0, "statistics_of": "random/r0f0",
        "colour": {"protocols": by_protocol, "gap": gaps},
        "slides": {"n": 100, "n_unknown": 3, "n_slides": 26, "chance": 0.1,
                   "colour": M, "features": M},
        "neighbours": {k: dict.fromkeys(by_protocol, neighbours) for k in ("colour", "features")},
        "equal": {"per_class": {"F": 4, "DC": 9}, "left_out": ["A"], "draws": 3, "n_train": 13,
                  "n_images": 90, "protocols": by_protocol, "gap": gaps},
    }  # fmt: skip


pytestmark = pytest.mark.whole_figures


@pytest.fixture(scope="module")
def page(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls") / "run"
    run = make_run(
        folder, ("random", "patient"), method="probe", folds=2, images_per_slide=1, resamples=20
    )
    write_json(run / "controls.json", _controls())
    return write_report(run)


def test_pictures_table_and_words_of_the_controls(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for stem in ("gap", "recognition"):
        assert (page.parent / f"figures/{stem}.png").stat().st_size > 10_000
    assert "Left out, since some fold cannot train them: A." in text
    assert "13 images in every fold (F 4, DC 9)" in text
    assert "without 3 whose slide is not in training" in text
    assert "Features as normalized for random/r0f0." in text
    assert "chance .05, in class .25" in text
    assert "Control, colours alone:" in text
    gaps = list(csv.DictReader((page.parent / "tables/gap.csv").open()))
    kinds = {row["images"] for row in gaps if row["protocol"] == "patient"}
    assert kinds >= {"all images", "control: equal training parts", "control: colours alone"}
    rows = list(csv.DictReader((page.parent / "tables/controls.csv").open()))
    named = [r for r in rows if r["figure"] == "Slide named right"]
    assert {r["protocol"] for r in named} == {"random"}
    assert all(float(r["chance"]) == 0.1 for r in named)


@pytest.mark.usefixtures("empty_figures")
def test_a_run_without_controls_still_has_its_gap_drawn(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", ("random", "patient"), folds=2, images_per_slide=1,
                   resamples=0)  # fmt: skip
    metrics = read_json(run / "metrics.json")
    drawn = gap_picture.gap(metrics, None, tmp_path)
    assert drawn is not None
    assert "colours" not in drawn.caption.lower()
    assert gap_picture.recognition(metrics, None, tmp_path) is None
    assert gap_picture.gap({**metrics, "gap": {}}, None, tmp_path) is None


def _metrics(random: float) -> dict[str, Any]:
    overall = {"accuracy": {"estimate": random, "low": None, "high": None}}
    return {"protocols": {"random": {"overall": overall}}}


@pytest.mark.parametrize(
    ("low", "system", "says"),
    [
        (5.0, 0.7, "as much as all else"),
        (5.0, 0.9, "part of what random images reward"),
        (-5.0, 0.9, "cannot be told from none"),
    ],
)
def test_what_is_said_of_colours(low: float, system: float, says: str) -> None:
    colour, slide, equal = remarks(_controls(low), _metrics(system), "patient")
    assert says in colour
    assert "one of 26, is named right in .60 from the features (naming the largest: .10)" in slide
    assert ("that part is knowing the patient" in equal) == (low > 0)
    assert ("cannot be told from no difference" in equal) == (low <= 0)


def test_what_was_not_measured_is_not_spoken_of() -> None:
    controls = _controls()
    assert remarks(None, _metrics(0.9), "patient") == []
    assert remarks(controls, _metrics(0.9), "source") == []
    network = copy.deepcopy(controls) | {"equal": None}
    network["slides"]["features"] = None
    said = remarks(network, _metrics(0.9), "patient")
    assert len(said) == 2
    assert "from its colours" in said[1]
    assert len(remarks(controls | {"slides": None, "equal": {"reason": "x"}}, _metrics(0.9),
                       "patient")) == 1  # fmt: skip


@pytest.mark.usefixtures("empty_figures")
def test_a_study_shows_the_gap_of_its_rows_with_their_controls(
    study_folder: Path, tmp_path: Path
) -> None:
    from magnostic.report.study import write_study

    run = study_folder / "runs/probe-0a1b2c3d"
    write_json(run / "controls.json", _controls())
    try:
        text = write_study(study_folder, tmp_path).read_text(encoding="utf-8")
    finally:
        (run / "controls.json").unlink()
    assert "Control: colour histograms alone reach 80.0% under random images" in text
    assert (tmp_path / "figures/gap_subtype.png").is_file()
    (row,) = csv.DictReader((tmp_path / "tables/controls.csv").open())
    assert (row["key"], float(row["equal_gap_points"])) == ("probe", 40.0)
    metrics = read_json(run / "metrics.json")
    gap = metrics["gap"]["patient"]["accuracy"]["estimate"]
    assert float(row["gap_points"]) == pytest.approx(gap)
