"""``magnostic predict``: photographs to a table of what a stored model says of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    from magnostic.deploy.predictor import Predictor
    from magnostic.deploy.to_file import Summary


def predict(
    run: Path,
    *images: options.Photographs,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    resume: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    engine: options.Engine = "auto",
    level: options.Level = 0.9,
    column: options.Columns = (),
    workers: int = 0,
    on: options.On = "local",
    cpus: options.Cpus = 0,
    gpus: options.Gpus = None,
) -> None:
    """Predict photographs with a run or an exported model; one row each, in order.

    A row holds the class, calibrated probabilities, the conformal set, and whether somebody should
    look and why. A photograph that cannot be read is a row with its error. Research use only.

    Parameters
    ----------
    run
        A run folder, one of its models (RUN/final), or the folder of an exported model.
    images
        Files, folders, quoted globs, manifests (.csv with a column path), images tables (.parquet),
        or - for paths on standard input. With patients in a manifest their decisions are written to
        NAME-patients beside the output.
    out
        A new .csv, .parquet or .json file.
    resume
        Go on with an interrupted prediction of the same photographs.
    strict
        Exit with code 2 where any photograph could not be read, not only where none could; all rows
        are written first.
    workers
        Decoding threads; 0: one a core. On a cluster there are as many as a process has cores.
    """
    from magnostic import cluster
    from magnostic.deploy import load
    from magnostic.deploy.output import check_format
    from magnostic.deploy.sources import listed
    from magnostic.deploy.to_file import predict_to_file
    from magnostic.errors import BadInput
    from magnostic.processors import check_workers

    options.refuse_unknown(images, "predict")
    check_format(out)
    place = cluster.place(on, cpus, gpus)
    check_workers(workers)
    if out.exists():
        raise BadInput(f"{out}: exists; choose another file (-o), or remove it")
    items = listed(images, options.mapping(column))
    predictor = load(run, engine=engine, level=level)
    introduce(predictor)
    with contextlib.ExitStack() as stack:
        stream, computes = None, ""
        if place.on != cluster.LOCAL:
            from magnostic.deploy import on_ray

            joined = on_ray.stream(place, run, engine, level, predictor, items)
            computes, stream = stack.enter_context(joined)
        summary = predict_to_file(
            predictor, items, out, resume=resume, workers=workers, stream=stream, engine=computes
        )
    _report(summary)
    options.refuse_unread(summary.unread, summary.images, strict, out)


def introduce(predictor: Predictor) -> None:
    from magnostic.progress import say

    about, rules = predictor.about, predictor.rules
    say(f"model {about.name}, task {about.task}: {', '.join(about.classes)}")
    say(f"engine {predictor.engine.name}")
    if about.calibration is None:
        say("no calibration was fitted for this model alone: probabilities as predicted, no sets")
        return
    say(f"calibrated with temperature {rules.temperature:.3g}")
    if not rules.certifiable:
        say(f"sets at {rules.level:g} are not certifiable (too few patients): all classes")
    elif rules.vacuous:
        say(
            f"sets at {rules.level:g} hold every class whatever the photograph, since the model "
            "errs too often: they say nothing, and are no reason for review"
        )
    if rules.answer_above is None:
        say("abstention is not certifiable (too few patients): the column answered is empty")


def _report(summary: Summary) -> None:
    from magnostic.data.summary import counted

    before = f" ({summary.resumed} of them before)" if summary.resumed else ""
    read = counted(summary.images, "photograph")
    print(f"{read}{before}, {summary.unread} could not be read")
    if summary.classes:
        print("classes: " + ", ".join(f"{c} {n}" for c, n in sorted(summary.classes.items())))
    reasons = ", ".join(f"{name} {n}" for name, n in summary.reasons.most_common())
    print(f"to review: {summary.review}" + (f" ({reasons})" if reasons else ""))
    for path, error in summary.first_errors:
        print(f"  {path}: {error}")
    if summary.unread > len(summary.first_errors):
        print(f"  and {summary.unread - len(summary.first_errors)} more, in the column error")
    print(summary.out)
    if summary.patients is not None:
        print(f"{summary.patients} ({counted(summary.n_patients, 'patient')})")
