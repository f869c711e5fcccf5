"""What a check found, and ``audit.json``, where the findings of a run lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from magnostic.errors import BadInput
from magnostic.files import read_json, write_json

Status = Literal["passed", "tip", "issue"]

TITLES: Final[dict[str, str]] = {
    "MG001": "Patient on both sides",
    "MG002": "Same pixels on both sides",
    "MG003": "One slide with two labels",
    "MG004": "Accession siblings on both sides",
    "MG005": "Class absent from a part",
    "MG006": "Selection on test data",
    "MG007": "No better than the majority class",
    "MG008": "Statistics beyond the training part",
    "MG009": "Test images not scored once",
}
_WORST: Final = {"passed": 0, "tip": 1, "issue": 2}


@dataclass(frozen=True)
class Finding:
    """One check's result.

    Attributes:
        code: ``MG001`` to ``MG009``.
        status: ``passed``; ``tip``: worth knowing, or the check can't be made; ``issue``.
        scope: ``images``, a protocol, or ``<protocol>/r<repeat>f<fold>``.
        message: one or two sentences with the next step.
        ids: what it is about (images, patients, slides, accessions or classes), sorted.
    """

    code: str
    status: Status
    scope: str
    message: str
    ids: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        return TITLES[self.code]


def per_scope(findings: Iterable[Finding]) -> list[Finding]:
    """The worst finding of each code and scope (a code may have several checks)."""
    worst: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        known = worst.setdefault((finding.code, finding.scope), finding)
        if _WORST[finding.status] > _WORST[known.status]:
            worst[finding.code, finding.scope] = finding
    return list(worst.values())


def per_protocol(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each code and protocol: the worst of its folds, with the ids of all such."""
    merged: dict[tuple[str, str], list[Finding]] = {}
    for finding in per_scope(findings):
        merged.setdefault((finding.code, finding.scope.partition("/")[0]), []).append(finding)
    return [_over_folds(group, scope) for (_, scope), group in merged.items()]


def write_audit(folder: Path, findings: Iterable[Finding]) -> None:
    """Write ``audit.json`` into a run's folder."""
    told = [
        {
            "code": f.code,
            "title": f.title,
            "status": f.status,
            "scope": f.scope,
            "message": f.message,
            "ids": list(f.ids),
        }
        for f in findings
    ]
    write_json(folder / "audit.json", {"findings": told})


def read_audit(folder: Path) -> list[Finding]:
    """The findings in a run's folder; BadInput where there are none to read."""
    path = folder / "audit.json"
    try:
        return [
            Finding(f["code"], f["status"], f["scope"], f["message"], tuple(f["ids"]))
            for f in read_json(path)["findings"]
        ]
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run magnostic audit {folder.name}") from None
    except (ValueError, KeyError, TypeError):
        raise BadInput(f"{path}: not an audit's findings; run the audit again") from None


def _over_folds(group: Sequence[Finding], scope: str) -> Finding:
    worst = max(group, key=lambda f: _WORST[f.status])
    hits = [f for f in group if f.status == worst.status]
    ids = tuple(sorted({i for f in hits for i in f.ids}))
    message = worst.message
    if worst.status != "passed" and len(group) > 1:
        message = f"In {len(hits)} of {len(group)} folds, e.g. {worst.scope}: {message}"
    return replace(worst, scope=scope, ids=ids, message=message)
