"""The audit's findings as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from magnostic.audit import Finding

_COLOUR = {"issue": "bold red", "tip": "yellow", "passed": "green"}


def print_findings(findings: Sequence[Finding]) -> None:
    table = Table(show_lines=True)
    for heading in ("check", "status", "where", "what"):
        table.add_column(heading)
    for finding in findings:
        shown = ", ".join(finding.ids[:6]) + (" …" if len(finding.ids) > 6 else "")
        what = finding.message + (f" [dim]({len(finding.ids)}: {shown})[/]" if shown else "")
        status = f"[{_COLOUR[finding.status]}]{finding.status}[/]"
        table.add_row(f"{finding.code} {finding.title}", status, finding.scope, what)
    Console().print(table)
    issues = sum(f.status == "issue" for f in findings)
    tips = sum(f.status == "tip" for f in findings)
    print(f"{issues} issues, {tips} tips, {len(findings) - issues - tips} passed")
