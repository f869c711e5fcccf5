"""Reporting checklists: what is answered comes from the run's files, the rest is the author's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.report.cells import Value
from magnostic.report.checklists import checklists
from magnostic.report.folder import read


@pytest.fixture(scope="module")
def run(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("checklists") / "run", ("patient", "random"), folds=2,
                    images_per_slide=2, resamples=20)  # fmt: skip


def _answers(folder: Path) -> dict[str, dict[str, Value]]:
    tables = checklists(read(folder))
    return {t.name: {str(r["item"]): r["answer"] for r in t.records} for t in tables}


def test_items_are_numbered_as_in_their_sources(run: Path) -> None:
    found = _answers(run)
    assert list(found["checklist_claim"]) == [str(n) for n in range(1, 45)]
    items = list(found["checklist_tripod_ai"])
    assert len(items) == 52
    assert [i for i in items if i.startswith("12")] == [f"12{letter}" for letter in "abcdefg"]


def test_answers_are_the_files(run: Path) -> None:
    found = _answers(run)
    accuracy = json.loads((run / "metrics.json").read_text())["protocols"]["patient"]["overall"][
        "accuracy"
    ]
    told = f"accuracy {accuracy['estimate']:.3f}".replace("0.", ".")
    assert told in str(found["checklist_claim"]["38"])
    assert told in str(found["checklist_tripod_ai"]["23a"])
    assert "MG001 patient on both sides (random)" in str(found["checklist_claim"]["40"])
    assert "patient: patients apart" in str(found["checklist_claim"]["20"])
    assert "numpy 2.4.6" in str(found["checklist_claim"]["23"])
    assert "resnet50" in str(found["checklist_tripod_ai"]["12c"])
    assert "/data/machine" not in json.dumps(found)


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("checklist_tripod_ai", ("1", "2", "3a", "5b", "6b", "14", "17", "18a", "25", "27c")),
        ("checklist_claim", ("1", "2", "3", "8", "11", "14", "18", "36", "41", "44")),
    ],
)
def test_what_no_file_can_know_is_the_authors(run: Path, name: str, items: tuple[str, ...]) -> None:
    found = _answers(run)[name]
    assert [found[item] for item in items] == [""] * len(items)


def test_counts_of_the_caption_are_of_the_rows(run: Path) -> None:
    for table in checklists(read(run)):
        filled = sum(bool(record["from_run"]) for record in table.records)
        assert 0 < filled < len(table.records)
        assert f"{filled} of {len(table.records)} items" in table.caption
        assert len(table.rows) == len(table.records)
