"""The audit's findings in the order of the report."""

from __future__ import annotations

from typing import Any

from magnostic.report.findings import grouped


def _finding(code: str, status: str, scope: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "title": f"title {code}", "status": status, "scope": scope,
            "message": f"{scope}: see /data/machine/x.png", "ids": [], **more}  # fmt: skip


def test_issues_first_and_one_entry_for_many_folds() -> None:
    entries = [
        _finding("MG001", "passed", "patient"),
        *[_finding("MG005", "issue", f"patient/r0f{k}", ids=["A", k]) for k in range(6)],
        _finding("MG003", "tip", "images"),
    ]
    found = grouped(entries)
    assert [(f.code, f.sign) for f in found["list"]] == [
        ("MG005", "✕ issue"), ("MG003", "! tip"), ("MG001", "✓ passed"),
    ]  # fmt: skip
    assert found["numbers"] == {"issue": 1, "tip": 1, "passed": 1}
    assert found["list"][0].scopes.endswith("and 3 more")
    assert found["list"][0].found[1].ids == ["A", "1"]
    assert len(found["table"].records) == 8
    assert "/data" not in found["table"].to_csv()


def test_no_findings() -> None:
    assert grouped([])["list"] == []
