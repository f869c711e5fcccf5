"""Published numbers: contradictions noted, and the rows that belong to a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from magnostic.report import published


def test_contradictions_are_noted() -> None:
    by_values = {row.values[0]: row for row in published.TABLE_II}
    assert "94.73" in by_values[94.18].variants
    assert "92.85" in by_values[92.50].variants
    assert "98.90" in by_values[99.03].variants
    noted = " ".join(row.variants for row in published.TABLE_III)
    for figure in ("86.54", "94.18", "VGG16 with SVM", "1.62", "90.87"):
        assert figure in noted


@pytest.mark.parametrize("row", [r for r in published.TABLE_III if "harmonic" in r.variants])
def test_harmonic_means_that_are_claimed(row: published.Row) -> None:
    _, precision, recall, f1 = row.values
    assert precision is not None
    assert recall is not None
    mean = 2 * precision * recall / (precision + recall)
    assert f"{mean:.2f}" in row.variants
    assert f1 is not None
    assert abs(mean - f1) > 10


def _recipe(task: str, backbone: str, balance: str, name: str = "nishio2024-x") -> dict[str, Any]:
    return {
        "name": name, "task": task, "model": {"backbone": backbone}, "balance": {"method": balance}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "accuracies"),
    [
        (_recipe("subtype", "resnet50", "oversample"), [94.18]),
        (_recipe("subtype", "resnet50", "none"), [93.97]),
        (_recipe("subtype", "vgg19", "oversample"), [92.50]),
        (_recipe("binary", "vgg19_bn", "none"), [96.59]),
        (_recipe("binary", "resnet50", "oversample"), [99.03]),
        (_recipe("binary", "resnet50", "none", "mine"), []),
        (_recipe("label", "resnet50", "none"), []),
    ],
)
def test_rows_of_table_ii(recipe: dict[str, Any], accuracies: list[float]) -> None:
    assert [row.values[0] for row in published.table_ii_rows(recipe)] == accuracies
