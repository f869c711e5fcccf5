"""``magnostic report``: the report of a run or a study, written again."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, *, out: Path | None = None) -> None:
    """Write report.html, figures (PNG and PDF) and tables (CSV) of a run or study folder.

    Parameters
    ----------
    run
        A run folder, parent or child, or a study's folder.
    out
        Where to write; the folder itself unless given.
    """
    from magnostic.report import write_report, write_study

    write = write_study if (run / "study.json").is_file() else write_report
    print(write(run, out))
