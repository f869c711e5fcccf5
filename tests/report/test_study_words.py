"""A study's verdict, ranking, claims and checks say what the runs' numbers bear."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from magnostic.evaluate.predictions import Predictions
from magnostic.files import read_json
from magnostic.report import published
from magnostic.report.study import checks, claims, folder, tables, verdict
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.ranking import rankings


@pytest.fixture(scope="module")
def study(study_folder: Path) -> Study:
    return folder.read(study_folder, study_folder)


def _of(study: Study, key: str) -> Entry:
    return next(entry for entry in study.entries if entry.key == key)


def _metrics(entry: Entry) -> dict[str, Any]:
    return dict(read_json(entry.path / "metrics.json")["protocols"])


def test_protocols_stand_from_published_to_strict(study: Study) -> None:
    assert study.protocols == ["random", "patient", "accession"]
    assert study.main == "patient"
    assert folder.by_rigour(["source", "accession", "new", "official", "random"]) == [
        "random", "official", "accession", "source", "new",
    ]  # fmt: skip


def test_names_tell_grid_values_and_seeds_apart(study: Study) -> None:
    assert _of(study, "probe").name == "Lite0 (c 0.1+1, head svm, seed 0)"
    assert _of(study, "plain").detail == "seed 1"


def test_ranking_compares_rows_on_the_same_images_alone(study: Study) -> None:
    found = rankings(study)
    assert [(r.task, len(r.places)) for r in found] == [("binary", 1), ("subtype", 2)]
    first, second = found[1].places
    accuracies = [p.figures["accuracy"]["estimate"] for p in (first, second)]
    assert accuracies == sorted(accuracies, reverse=True)
    assert first.behind is None
    assert second.behind is not None
    rows = [
        Predictions.read(p.entry.path / "predictions.parquet").where(
            part="test", protocol="patient"
        )
        for p in (first, second)
    ]
    right = [(r.table["y_true"] == r.table["y_pred"]).mean() for r in rows]
    assert second.behind["estimate"] == pytest.approx(100 * (right[0] - right[1]))
    assert second.resolved == (second.behind["low"] > 0)


def test_verdict_repeats_the_runs_numbers(study: Study) -> None:
    best = rankings(study)[1]
    says = " ".join(verdict.sentences(study, "subtype", best))
    low, high = sorted((93.97, 87.20))
    assert f"({low:.1f} to {high:.1f})" in says
    estimate = 100 * best.places[0].figures["accuracy"]["estimate"]
    assert f"Highest accuracy, patient-disjoint: {best.places[0].entry.name}, {estimate:.1f}%" in (
        says
    )
    assert ("not resolved" in says) != best.places[1].resolved
    assert "picked on these same images" in says
    gaps = [read_json(e.path / "metrics.json")["gap"]["patient"] for e in study.of("subtype")[:2]]
    above = sum(g["accuracy"]["low"] > 0 for g in gaps)
    assert f"the gap's interval lies above zero in {above} of 2" in says
    alone = " ".join(verdict.sentences(study, "binary", rankings(study)[0]))
    assert "no other row tested the same images" in alone


def test_summary_takes_medians_over_rows(study: Study) -> None:
    table = tables.summary(study, "subtype")
    assert table is not None
    rows = {str(record["protocol"]): record for record in table.records}
    done = [_metrics(_of(study, key)) for key in ("probe", "plain")]
    accuracies = [100 * m["patient"]["overall"]["accuracy"]["estimate"] for m in done]
    assert rows["patient"]["accuracy_median"] == pytest.approx(sum(accuracies) / 2)
    assert rows["published"]["accuracy_median"] == pytest.approx((87.20 + 93.97) / 2)
    assert rows["patient"]["published_minus_ours_median"] == pytest.approx(
        (87.20 + 93.97 - sum(accuracies)) / 2
    )


def test_loss_gap_is_of_the_last_epoch(study: Study) -> None:
    entry = _of(study, "plain")
    assert entry.run is not None
    last = [c.history[-1] for c in entry.run.children if c.protocol == "accession"]
    gap = claims.loss_gap(entry, "accession")
    assert gap is not None
    assert gap.models == 2
    assert gap.gap == pytest.approx(sum(h["val_loss"] - h["train_loss"] for h in last) / 2)
    assert gap.low <= gap.gap <= gap.high
    assert claims.loss_gap(_of(study, "probe"), "accession") is None


def test_paper_gap_stands_beside_the_row_that_repeats_it(study: Study) -> None:
    table = claims.losses(study)
    assert table is not None
    assert {r["key"]: r["paper"] for r in table.records} == {"binary": None, "plain": 0.05}
    assert table.header[-1] == "Paper"


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("preprocess", {"normalize": "none"}),
        ("preprocess", {"normalize": "imagenet"}),
        ("preprocess", {"normalize": "image"}),
        ("preprocess", {"colour": "macenko"}),
        ("augment", {"flips": True}),
        ("augment", {"colour": 0.5}),
        ("augment", {"stain": 0.5}),
        ("train", {"method": "dense"}),
        ("train", {"trainable": 2}),
        ("train", {"trainable": 0}),
        ("data", {"magnifications": [200]}),
        ("data", {"train_magnifications": [40]}),
        ("balance", {"method": "class-weights"}),
    ],
)
def test_paper_gap_is_not_beside_what_the_paper_did_not_do(
    study: Study, section: str, change: dict[str, Any]
) -> None:
    assert _paper_gap(study, section, change) is None


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("preprocess", {"normalize": "train+val", "colour": "none"}),
        ("augment", {"flips": False, "colour": 0.0, "stain": 0.0}),
        ("train", {"trainable": "all"}),
        ("data", {"magnifications": [], "train_magnifications": []}),
    ],
)
def test_paper_gap_is_beside_either_reading_of_the_paper(
    study: Study, section: str, change: dict[str, Any]
) -> None:
    assert _paper_gap(study, section, change) == 0.05


def _paper_gap(study: Study, section: str, change: dict[str, Any]) -> object:
    """The paper's gap beside the row "plain", were its recipe another."""
    entry = _of(study, "plain")
    assert entry.run is not None
    recipe = entry.run.recipe
    recipe = {**recipe, section: {**recipe.get(section, {}), **change}}
    row = replace(entry, run=replace(entry.run, recipe=recipe))
    table = claims.losses(replace(study, entries=[row]))
    assert table is not None
    assert (table.header[-1] == "Paper") == (table.records[0]["paper"] is not None)
    return table.records[0]["paper"]


def test_confusions_are_shares_of_the_true_type(study: Study) -> None:
    found = claims.confusions(study)
    assert found is not None
    assert [entry.key for entry, _ in found.rows] == ["probe", "plain"]
    assert found.heads == ["DC as LC", "LC as DC", "PT as F", "DC as MC"]
    table = Predictions.read(_of(study, "plain").path / "predictions.parquet").table
    test = table[(table["protocol"] == "patient") & (table["part"] == "test")]
    true = test[test["y_true"] == "LC"]
    record = found.csv.records[1]
    assert record["LC_as_DC_patient"] == (true["y_pred"] == "DC").sum()
    assert record["LC_as_DC_patient_of"] == len(true)


def test_checks_count_issues_and_fall_backs(study: Study) -> None:
    table = checks.checks(study)
    assert table is not None
    rows = {record["key"]: record for record in table.records}
    assert rows["plain"]["issues_random"] == "MG001"
    assert rows["plain"]["fell_back"] == 3
    assert rows["probe"]["fell_back"] is None
    assert "3 of 164" in [cell.main for cell in table.rows[2]]
    assert rows["plain"]["not_learnable"] == "A (accession-disjoint)"


def test_settings_show_what_differs_and_what_all_share(study: Study) -> None:
    table, common = checks.settings(study)
    assert table is not None
    shared = dict(common)
    assert shared["preprocess.size"] == "224"
    assert shared["model.weights"] == "…/resnet50.safetensors"
    assert "description" not in shared
    probe = next(row for row in table.rows if row[0].main == "Lite0")
    assert "train.method probe" in probe[1].main


def test_keys_of_published_rows_are_well_formed() -> None:
    count = len(published.TABLE_II) + len(published.TABLE_III) + len(published.TEXT)
    assert len(published.ROWS) == count
    for key, row in published.ROWS.items():
        assert key == row.key
        assert key.startswith(("table2-", "table3-", "text-"))
        assert (row.magnification == "40X") == key.endswith("-40x")
    assert published.ROWS["text-sharma2020-vgg16-svm-400x"].values[0] == 91.79
    assert published.ROWS["text-agaba2022-handcrafted-dnn-200x"].values[0] == 96.10
    assert published.ROWS["text-patil2022-densenet201-200x"].values[0] == 81.0
    assert published.ROWS["text-kanavos2023-resnet"].values == (94.1, None, None, 94.4)
