"""Figures as text, and texts without the machine they were made on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.report.words import class_name, interval, level, ordered, points, share
from magnostic.report.words import without_machine as clean


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4123, ".412"), (1.0, "1.000"), (0.0, ".000"), (None, "–"), (1.8479, "1.848"),
     (0.9996, "1.000"), (-0.25, "−.250"), (-0.0001, ".000")],
)  # fmt: skip
def test_share(value: float | None, text: str) -> None:
    assert share(value) == text


@given(st.floats(0, 1))
def test_share_reads_back(value: float) -> None:
    assert float(share(value)) == pytest.approx(value, abs=0.00051)


def test_points_and_intervals() -> None:
    assert points(-1.26) == "−1.3"
    assert points(None) == "–"
    assert interval({"low": 0.33, "high": 0.5}) == "(.330–.500)"
    assert interval({"low": None, "high": None}) == ""
    assert (level(0.95), level(0.995)) == ("95%", "99.5%")


def test_protocols_from_honest_to_random() -> None:
    assert ordered({"random": 0, "zoom": 0, "accession": 0, "patient": 0}) == [
        "patient", "accession", "zoom", "random",
    ]  # fmt: skip


def test_class_names() -> None:
    assert class_name("DC") == "ductal carcinoma (DC)"
    assert class_name("stage one") == "stage one"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("/data/set/x.png", "…/x.png"),
        ("in '/a/b/c d.png' now", "in '…/c d.png' now"),
        ("see https://a.org/b/c and tables/x.csv", "see https://a.org/b/c and tables/x.csv"),
        ("[/a/b.txt, ./c/d.txt]", "[…/b.txt, ./c/d.txt]"),
        ("random/r0f0 and/or 3 / 4", "random/r0f0 and/or 3 / 4"),
    ],
)
def test_machine_paths_go(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
