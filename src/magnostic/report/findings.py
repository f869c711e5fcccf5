"""The audit's findings as the report lists them: faults first, equal ones of many folds as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from magnostic.report.cells import Cell, Table
from magnostic.report.words import without_machine

#: Status to sign and word; the sign repeats what the colour says.
STATUS: Final = {"issue": "✕ issue", "tip": "! tip", "passed": "✓ passed"}
_RANK: Final = {"issue": 0, "tip": 1, "passed": 2}


@dataclass(frozen=True)
class Occurrence:
    """Where one finding was made, what it says and which images or groups it names."""

    scope: str
    message: str
    ids: list[str]


@dataclass(frozen=True)
class Finding:
    """One check with one status, and all places where it came out so."""

    code: str
    title: str
    status: str
    found: list[Occurrence] = field(default_factory=list)

    @property
    def sign(self) -> str:
        return STATUS.get(self.status, self.status)

    @property
    def scopes(self) -> str:
        names = list(dict.fromkeys(o.scope for o in self.found))
        return (
            ", ".join(names)
            if len(names) <= 4
            else f"{', '.join(names[:3])} and {len(names) - 3} more"
        )


def grouped(findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``list``: findings by status, then code. ``numbers``: of each status. ``table``: for CSV."""
    by_key: dict[tuple[int, str, str, str], Finding] = {}
    for entry in findings:
        status = str(entry["status"])
        key = (_RANK.get(status, 0), str(entry["code"]), status, str(entry["title"]))
        finding = by_key.setdefault(key, Finding(key[1], key[3], status))
        ids = [str(i) for i in entry.get("ids", [])]
        message = without_machine(str(entry["message"]))
        finding.found.append(Occurrence(str(entry["scope"]), message, ids))
    ranked = [by_key[key] for key in sorted(by_key)]
    numbers = {s: sum(f.status == s for f in ranked) for s in STATUS}
    return {"list": ranked, "numbers": numbers, "table": _table(ranked)}


def _table(findings: Sequence[Finding]) -> Table:
    every = [(f, o) for f in findings for o in f.found]
    return Table(
        "audit",
        "Findings of the audit.",
        ["Code", "Title", "Status", "Scope", "Message"],
        [
            [Cell(f.code), Cell(f.title), Cell(f.sign), Cell(o.scope), Cell(o.message)]
            for f, o in every
        ],
        [
            {
                "code": f.code,
                "title": f.title,
                "status": f.status,
                "scope": o.scope,
                "message": o.message,
                "ids": " ".join(o.ids),
            }
            for f, o in every
        ],
        text=5,
    )
