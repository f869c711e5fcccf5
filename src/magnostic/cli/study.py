"""``magnostic study``: many recipes on one data set, resumed where it stopped, one report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    from magnostic.study.execute import Record
    from magnostic.study.plan import Planned


def study(
    study: Path,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True)],
    data: options.DataPaths,
    out: Path | None = None,
    plan: Annotated[bool, Parameter(negative="")] = False,
    only: str = "",
    on_bad: options.OnBad | None = None,
    format: options.Format = "auto",  # noqa: A002
    column: options.Columns = (),
    label_map: options.LabelMap = None,
    rescan: options.Rescan = False,
    on: options.On = "local",
    cpus: options.Cpus = 0,
    gpus: options.Gpus = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    task: int | None = None,
) -> None:
    """Carry out every run of a study and write one report of all, beside the published figures.

    Started again, it skips what is done and goes on with what was interrupted. Any field of the
    recipes can be overridden, as for train: --split.protocols random,patient --train.epochs 4

    Parameters
    ----------
    study
        A YAML file, or the name of a study that comes along (table2, table3, sample).
    overrides
        --section.field value, as many as wanted, for every row that has the field.
    out
        The study's folder; runs/NAME by default.
    plan
        Only list the runs, with an estimate of their time on this device from a few steps of each.
    only
        Only runs whose key, label or group holds this text.
    dry_run
        With --on slurm: print the script that submits a job array, a run each, and then the report.
    task
        Carry out the run of this number alone, from 1, and leave study.json and the report to the
        last command: what a job of an array does.
    """
    from magnostic import cluster
    from magnostic.errors import BadInput
    from magnostic.study import schema
    from magnostic.study.execute import carry_out_one, execute, select
    from magnostic.study.expand import expand

    place = cluster.place(on, cpus, gpus, slurm=True)
    if dry_run and on != cluster.SLURM:
        raise BadInput("--dry-run prints a script for --on slurm: add that, or take --plan")
    if on == cluster.SLURM and not dry_run:
        raise BadInput("--on slurm submits nothing: add --dry-run, and the script is printed")
    if on != cluster.LOCAL and (plan or task is not None):
        raise BadInput(f"--plan and --task compute in this process; leave out --on {on}")
    read, beside = schema.load(study)
    given = [*overrides, *([f"--data.on_bad={on_bad}"] if on_bad else [])]
    read = read.model_copy(update={"overrides": (*read.overrides, *given)})
    entries = expand(read, beside)
    chosen = select(entries, only)
    folder = out or Path("runs") / read.name
    if on == cluster.SLURM:
        from magnostic.study.slurm import script

        asked = (str(study), *overrides, *_given(data, on_bad, format, column, label_map, only))
        print(script(read.name, [entry.key for entry in chosen], asked, folder, place), end="")
        return
    policies = sorted({entry.recipe.data.on_bad for entry in entries})
    if len(policies) > 1:
        raise BadInput("the rows differ in data.on_bad, and share one data set; give --on-bad")
    images = options.read(
        data,
        format,
        policies[0],
        column,
        label_map,
        rescan=rescan,
        recipes=[] if plan else [entry.recipe for entry in chosen],
    )
    if plan:
        from magnostic.study.plan import plan as make_plan

        _print_plan(make_plan(read, chosen, images, folder))
        return
    if task is not None:
        status, reason = carry_out_one(chosen, task, images, folder)
        print(f"{chosen[task - 1].key}: {status}" + (f": {reason}" if reason else ""))
        if status == "failed":
            sys.exit(1)
        return
    engine = None
    if on != cluster.LOCAL:
        from magnostic.study.on_ray import OnRay

        engine = OnRay(place)
    records = execute(read, entries, images, folder, only, engine)
    _print_records(records, folder)
    if any(record.status == "failed" for record in records):
        sys.exit(1)


def _given(
    data: Sequence[Path],
    on_bad: str | None,
    format: str,  # noqa: A002
    column: Sequence[str],
    label_map: Path | None,
    only: str,
) -> list[str]:
    """The options as they were typed, for the jobs of a cluster."""
    typed = [f"--data={path}" for path in data] + [f"--column={pair}" for pair in column]
    typed += [f"--on-bad={on_bad}"] if on_bad else []
    typed += [f"--format={format}"] if format != "auto" else []
    typed += [f"--label-map={label_map}"] if label_map else []
    return typed + ([f"--only={only}"] if only else [])


def _print_plan(planned: Sequence[Planned]) -> None:
    from rich.table import Table

    from magnostic.cli.console import console
    from magnostic.data.summary import counted
    from magnostic.train import device

    table = Table(box=None, pad_edge=False)
    for heading, side in (
        ("run", "left"),
        ("task", "left"),
        ("backbone", "left"),
        ("weights", "left"),
        ("images", "right"),
        ("models", "right"),
        ("steps", "right"),
        ("time", "right"),
    ):
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for line in planned:
        recipe = line.entry.recipe
        counts = [str(n) if n else "" for n in (line.images, line.children, line.steps)]
        took = line.status if line.seconds is None or line.status != "planned" else None
        table.add_row(
            line.entry.key,
            recipe.task,
            recipe.model.backbone,
            recipe.model.weights,
            *counts,
            took or duration(line.seconds or 0.0),
        )
    console().print(table)
    for status in ("refused", "unknown"):
        _print_reasons(status, [(p.entry.key, p.note) for p in planned if p.status == status])
    left = duration(sum(p.seconds or 0.0 for p in planned))
    todo, done, shared = (
        sum(p.status == status for p in planned) for status in ("planned", "done", "shared")
    )
    print(
        f"{counted(todo, 'run')} to do, {done} done, {shared} that come to a run above, "
        f"{len(planned) - todo - done - shared} refused or not measured"
    )
    here = device.describe("fp32")
    print(f"about {left} left on this device ({here['device']}, {here['threads']} threads)")


def _print_records(records: Sequence[Record], folder: Path) -> None:
    from rich.table import Table

    from magnostic.cli.console import console
    from magnostic.errors import BadInput
    from magnostic.report import words

    results: dict[str, dict[str, str]] = {}
    unread: dict[str, str] = {}
    for record in (r for r in records if r.status == "done" and r.path not in results):
        try:
            results[record.path] = _accuracies(folder / record.path / "metrics.json")
        except BadInput as error:
            results[record.path], unread[record.path] = {}, str(error)
    protocols = words.ordered({name: None for found in results.values() for name in found})
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("task")
    for name in protocols:
        table.add_column(f"accuracy, {name}", justify="right")
    for record in (r for r in records if r.status == "done"):
        cells = (results[record.path].get(name, "") for name in protocols)
        table.add_row(record.key, record.task, *cells)
    console().print(table)
    of_unread = [(r.key, unread[r.path]) for r in records if r.path in unread]
    _print_reasons("cannot be read", of_unread)
    for status in ("refused", "failed"):
        _print_reasons(status, [(r.key, r.reason) for r in records if r.status == status])
    done, refused, failed = (
        sum(r.status == status for r in records) for status in ("done", "refused", "failed")
    )
    waiting = len(records) - done - refused - failed
    print(f"{done} done, {refused} refused, {failed} failed, {waiting} not started")
    print(f"report: {folder / 'report.html'}")


def _accuracies(path: Path) -> dict[str, str]:
    """By protocol, of a run's ``metrics.json``; BadInput where that cannot be read."""
    from magnostic.files import read_object
    from magnostic.report import words
    from magnostic.stored import as_written

    with as_written(path):
        found = read_object(path)["protocols"]
        return {n: words.with_interval(f["overall"]["accuracy"]) for n, f in found.items()}


def _print_reasons(status: str, runs: Sequence[tuple[str, str]]) -> None:
    """Each reason once, with the runs that it concerns."""
    for reason in dict.fromkeys(reason for _, reason in runs):
        print(f"{status}: {', '.join(key for key, why in runs if why == reason)}: {reason}")


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3.5 h`` or ``2.1 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
