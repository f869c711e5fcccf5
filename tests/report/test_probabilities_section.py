"""The section on probabilities: there where there are figures, and right in what it says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from magnostic.errors import BadInput
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import assess
from magnostic.evaluate.thresholds import at_prevalence
from magnostic.files import read_json, write_json
from magnostic.report import probability_figures, style, write_report
from magnostic.report.cells import Table
from magnostic.report.folder import read
from magnostic.report.probabilities import section

MakeRun = Callable[..., Path]
SMALL: dict[str, Any] = {"folds": 3, "images_per_slide": 3, "resamples": 20}


@pytest.fixture(scope="module")
def run(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("p") / "run", ("random", "patient"), **SMALL)
    write_report(folder, prevalence=0.02)
    return folder


def _text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def _rows(run: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((run / f"tables/{name}.csv").open()))


def test_every_protocol_has_tables_and_new_patients_have_drawings(run: Path) -> None:
    text = _text(run)
    assert text.count("<h4>Probabilities and abstention</h4>") == 2
    for name in ("random", "patient"):
        for table in ("probabilities", "operating_points", "sets", "sets_by_class"):
            assert f'id="table-{table}_{name}"' in text
    drawn = {path.stem for path in (run / "figures").glob("*.pdf")}
    assert {"reliability_patient", "risk_coverage_patient", "set_sizes_patient"} <= drawn
    assert not [stem for stem in drawn if stem.startswith("reliability_random")]
    assert "the models know the tested patients" in text
    assert "all images of a new patient" in text
    assert "all images of a known patient" in text
    assert "<dt>Conformal set</dt>" in text


def test_predictive_values_at_a_given_prevalence(run: Path) -> None:
    points = read_json(run / "metrics.json")["protocols"]["patient"]["probabilities"]["binary"]
    rows = _rows(run, "operating_points_patient")
    for row, point in zip(rows, points["points"], strict=True):
        expected = at_prevalence(point, 0.02)["ppv"]
        assert float(row["ppv_given"]) == pytest.approx(expected["estimate"])
        assert float(row["ppv_given_high"]) == pytest.approx(expected["high"])
        assert float(row["ppv_given"]) < float(row["ppv_test"])
    assert "PPV at .020" in _text(run)


def test_a_prevalence_beyond_0_and_1_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="above 0 and below 1"):
        write_report(run, tmp_path / "out", prevalence=1.5)
    assert not (tmp_path / "out").exists()


def _section(folder: Path, pictures: Path) -> dict[str, Any] | None:
    return section(read(folder), "patient", pictures, None)


def _said(table: Table) -> str:
    return " ".join(f"{c.main} {c.sub}" for row in table.rows for c in row)


def test_metrics_of_older_runs_have_no_section(run: Path, tmp_path: Path) -> None:
    metrics = read_json(run / "metrics.json")
    for result in metrics["protocols"].values():
        del result["probabilities"]
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    write_json(tmp_path / "metrics.json", metrics)
    assert _section(tmp_path, tmp_path) is None


def test_nothing_to_fit_on_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    metrics = make_run(tmp_path, ("patient",), **{**SMALL, "folds": 1}) / "metrics.json"
    result = read_json(metrics)
    predictions = Predictions.read(tmp_path / "predictions.parquet").where(part="test")
    found = assess(predictions, "patient", Sampling(0))
    result["protocols"]["patient"]["probabilities"] = found
    write_json(metrics, result)
    shown = _section(tmp_path, tmp_path)
    assert shown is not None
    assert shown["how"][0].startswith("Nothing was calibrated: no validation part was set aside")
    assert "nothing to lock it on" in _said(shown["points"])
    assert "Temperature" not in _said(shown["scores"])
    assert shown["sets"] is None
    assert shown["abstention"] == ""
    assert [p.name for p in shown["pictures"]] == ["reliability_patient", "risk_coverage_patient"]


def test_too_few_patients_are_not_certified(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path, ("patient",), task="label", **SMALL)
    metrics = read_json(folder / "metrics.json")
    found = metrics["protocols"]["patient"]["probabilities"]
    for entry in found["conformal"]:
        entry |= {"certifiable": False, "n_calibration": [3, 4]}
    found["selective"]["abstention"] = {"target": 0.1, "certifiable": False, "thresholds": []}
    write_json(folder / "metrics.json", metrics)
    shown = _section(folder, tmp_path)
    assert shown is not None
    assert "3 to 4 not certifiable full sets; 19 needed" in " ".join(_said(shown["sets"]).split())
    assert "Abstention is not certifiable" in shown["abstention"]
    assert shown["points"] is None, "three classes of one's own"
    assert shown["subsets"] == []
    assert "set_sizes_patient" not in [p.name for p in shown["pictures"]]


def test_nothing_drawn_is_cut_off(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Figure] = []
    saved = style.save

    def keep(drawn: Figure, *arguments: Any) -> style.Picture:
        seen.append(drawn)
        return saved(drawn, *arguments)

    monkeypatch.setattr(probability_figures, "save", keep)
    metrics = read_json(run / "metrics.json")
    for draw in (
        probability_figures.reliability,
        probability_figures.risk_coverage,
        probability_figures.set_sizes,
    ):
        draw(metrics, "patient", tmp_path)
    assert len(seen) == 3
    for drawn in seen:
        axes = drawn.axes[0]
        legend = axes.get_legend()
        texts = [axes.xaxis.label, axes.yaxis.label, *(legend.get_texts() if legend else [])]
        for text in texts:
            box = text.get_window_extent()
            assert min(box.x0, box.y0) >= -1
            assert box.x1 <= drawn.bbox.x1 + 1
            assert box.y1 <= drawn.bbox.y1 + 1
