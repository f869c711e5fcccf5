"""The audit's findings on the terminal: what is wrong first, what passed in one line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from magnostic.audit import Finding
from magnostic.data.summary import counted

_COLOUR = {"issue": "bold red", "tip": "yellow"}
_SHOWN_IDS = 6


def print_findings(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    for status, colour in _COLOUR.items():
        for finding in (f for f in findings if f.status == status):
            console.print(
                f"[{colour}]{status:5}[/] [bold]{finding.code}[/] {escape(finding.title)} "
                f"({escape(finding.scope)}): {escape(finding.message)}"
            )
            if finding.ids:
                more = len(finding.ids) - _SHOWN_IDS
                shown = ", ".join(finding.ids[:_SHOWN_IDS]) + (
                    f", … {more} more" if more > 0 else ""
                )
                console.print(f"      [dim]{escape(shown)}[/]")
    passed = [f for f in findings if f.status == "passed"]
    if passed:
        names = ", ".join(f"{f.code} ({f.scope})" for f in passed)
        console.print(f"[green]passed[/] {escape(names)}")
    issues = sum(f.status == "issue" for f in findings)
    tips = sum(f.status == "tip" for f in findings)
    print(f"{counted(issues, 'issue')}, {counted(tips, 'tip')}, {len(passed)} passed")
