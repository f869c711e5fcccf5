"""``magnostic report``: the report of a run or a study, or of predictions made elsewhere."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from magnostic.cli import options


def report(
    run: Path,
    *,
    out: Path | None = None,
    prevalence: float | None = None,
    images: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    trained_on: Path | None = None,
    task: Literal["binary", "subtype", "label"] | None = None,
) -> None:
    """Write report.html, figures (PNG and PDF) and tables (CSV).

    Parameters
    ----------
    run
        A run folder, parent or child, a study's folder, or a table of predictions that any system
        made (.csv, .parquet): columns image_id (or path) and p_<class>, or y_pred alone; optional
        y_true, protocol, repeat, fold, part.
    out
        Where to write; the folder itself unless given, for predictions NAME-report beside them.
    prevalence
        Share of malignant images, above 0 and below 1, for which predictive values are given too;
        for runs and predictions.
    images
        The images that a table of predictions is about: images.parquet, or any data set.
    trained_on
        For predictions: names of the images that the system was trained on, one a line or a table,
        so that the audit can tell whether it knew the patients.
    task
        For predictions: what was asked; by default told by the names of the classes.
    """
    from magnostic.errors import BadInput
    from magnostic.lock import locked
    from magnostic.report import write_outside, write_report, write_study

    if run.suffix.lower() in (".csv", ".parquet", ".pq"):
        if not images:
            raise BadInput(f"{run}: give the images that were predicted with --images")
        table = options.read(images, "auto", "stop", (), None)
        target = out or run.with_name(f"{run.stem}-report")
        page = write_outside(
            run, table, target, task=task, trained_on=trained_on, prevalence=prevalence
        )
        print(page)
        return
    if images or trained_on or task:
        raise BadInput(
            f"{run}: --images, --trained-on and --task belong to a table of predictions (.csv, "
            ".parquet); a run knows them"
        )
    is_study = (run / "study.json").is_file()
    if is_study and prevalence is not None:
        raise BadInput(f"{run}: is a study; give --prevalence with one of its runs")
    with locked(run, make=False) if out is None else nullcontext():
        page = write_study(run, out) if is_study else write_report(run, out, prevalence=prevalence)
    print(page)
