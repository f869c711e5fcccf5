"""``magnostic train``: a recipe on photographs, to a run folder with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from magnostic.cli import options


def train(
    recipe: Path,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True)],
    data: options.DataPaths,
    out: Path,
    resume: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    on_bad: options.OnBad | None = None,
    format: options.Format = "auto",  # noqa: A002
    column: options.Columns = (),
    label_map: options.LabelMap = None,
    rescan: options.Rescan = False,
) -> None:
    """Carry out a recipe and write a run folder with model, predictions, audit and report.

    Any field of the recipe can be overridden: --model.backbone resnet18 --model.weights none
    --train.epochs 4 --split.protocols random,patient

    Parameters
    ----------
    recipe
        A YAML file, or the name of a recipe that comes along (probe-lite0).
    overrides
        --section.field value, as many as wanted.
    out
        The run folder; must be new or empty.
    resume
        Go on with an interrupted run of the same recipe and data in --out.
    strict
        Stop where a class has too few patients for every fold (same as --split.strict true).
    """
    from magnostic import recipe_file as recipes
    from magnostic.cli.table import print_results
    from magnostic.train.run import run

    given = [*overrides]
    given += ["--split.strict=true"] if strict else []
    given += [f"--data.on_bad={on_bad}"] if on_bad else []
    experiment = recipes.load(recipe, given)
    images = options.read(
        data, format, experiment.data.on_bad, column, label_map, rescan=rescan, recipes=[experiment]
    )
    print_results(run(experiment, images, out, resume=resume))
