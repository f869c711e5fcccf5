"""``magnostic report``: the report of a run or a study, written again."""

from __future__ import annotations

from pathlib import Path


def report(run: Path, *, out: Path | None = None, prevalence: float | None = None) -> None:
    """Write report.html, figures (PNG and PDF) and tables (CSV) of a run or study folder.

    Parameters
    ----------
    run
        A run folder, parent or child, or a study's folder.
    out
        Where to write; the folder itself unless given.
    prevalence
        Share of malignant images, above 0 and below 1, for which predictive values are given too;
        for runs.
    """
    from magnostic.errors import BadInput
    from magnostic.report import write_report, write_study

    if (run / "study.json").is_file():
        if prevalence is not None:
            raise BadInput(f"{run}: is a study; give --prevalence with one of its runs")
        print(write_study(run, out))
    else:
        print(write_report(run, out, prevalence=prevalence))
