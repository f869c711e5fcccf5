"""``magnostic report``: the report of a run, written again."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, *, out: Path | None = None) -> None:
    """Write report.html, figures (PNG and PDF) and tables (CSV) of a run folder.

    Parameters
    ----------
    run
        A run folder, parent or child.
    out
        Where to write; the run folder itself unless given.
    """
    from magnostic.report import write_report

    print(write_report(run, out))
