"""Cells that a spreadsheet would take for a formula, in every CSV file that is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.csv_text import guarded, plain
from magnostic.deploy import output
from magnostic.evaluate.named import load
from magnostic.report.cells import Table

EVIL = '=HYPERLINK("http://127.0.0.1/?"&A1)'


@given(st.text(max_size=20) | st.from_regex(r"'*[=+@\t\r-].{0,5}", fullmatch=True))
def test_what_is_written_is_read_again_and_begins_no_formula(text: str) -> None:
    written = guarded(text)
    assert isinstance(written, str)
    assert plain(written) == text
    if written.startswith(("=", "@", "\t", "\r", "+", "-")):
        float(written)  # a number is no formula


@pytest.mark.parametrize("value", [None, -1.5, 3, True, "-1.5", "+3", "DC", "", "a=b"])
def test_numbers_and_plain_texts_stay_as_they_are(value: object) -> None:
    assert guarded(value) is value


def test_predictions_and_tables(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    output.write(out, [{"path": EVIL, "confidence": -0.5, "review": True}],
                 ["path", "confidence", "review"])  # fmt: skip
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == [f"'{EVIL}", "-0.5", "true"]
    table = Table("t", "", ["a"], [], [{"patient": EVIL, "@share": 0.5}])
    assert list(csv.reader(table.to_csv().splitlines())) == [
        ["patient", "'@share"], [f"'{EVIL}", "0.5"]
    ]  # fmt: skip


def test_guarded_names_are_matched_when_predictions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    output.write(path, [{"path": "-a.png", "y_pred": "DC"}, {"path": "b.png", "y_pred": "DC"}],
                 ["path", "y_pred"])  # fmt: skip
    assert path.read_text().splitlines()[1] == "'-a.png,DC"
    assert load(path)["path"].tolist() == ["-a.png", "b.png"]
