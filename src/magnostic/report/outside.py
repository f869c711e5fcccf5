"""A run folder, with its report, for predictions that were made elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

from magnostic import __version__, audit
from magnostic.data import summary
from magnostic.data.images import Images, Task, targets
from magnostic.errors import BadInput
from magnostic.evaluate import named, outside
from magnostic.evaluate.summary import summarize
from magnostic.files import read_object, write_json, write_text
from magnostic.report.page import write_report

#: Figures that mean nothing where only classes were given.
_OF_PROBABILITIES = ("macro_auc", "log_loss", "auc", "mean_probability_accuracy")
_NO_PROBABILITIES = "the file gives classes, no probabilities"


def write_outside(
    source: Path,
    images: Images,
    out: Path,
    *,
    task: Task | None = None,
    trained_on: Path | None = None,
    prevalence: float | None = None,
) -> Path:
    """Judge a table of predictions (:mod:`magnostic.evaluate.outside`) and write its report.

    Args:
        source: CSV or Parquet.
        images: the images that were predicted, with their patients.
        out: a new or empty folder, or one of an earlier such report.
        task: what was asked; by default told by the names of the classes.
        trained_on: names of the images that the system was trained on, for the audit.
        prevalence: as in :func:`magnostic.report.page.write_report`.

    Returns:
        The path of report.html.

    Raises:
        TableError: the predictions cannot be used; BadInput: the folder cannot.
    """
    _refuse_other(out)
    found = outside.read(source, images, task)
    taught = None if trained_on is None else named.read_ids(trained_on, images)
    not_estimable = outside.not_estimable(found.predictions)
    recipe = {"name": source.stem, "task": found.task, "seed": 0}
    evaluate = {"resamples": 1000, "confidence": 0.95}
    metrics = summarize(
        found.predictions,
        resamples=1000,
        confidence=0.95,
        seed=0,
        not_estimable=not_estimable,
    )
    if found.decisions_only:
        _forget_probabilities(metrics)
    y = targets(images.table, found.task).set_axis(images.table["image_id"])
    used = int(found.predictions.table["image_id"].nunique())
    dropped = {"duplicates": 0, "double_labels": 0}
    data = {**summary.summarize(images), "dropped_by_policy": dropped, "n_used": used}
    findings = audit.audit_outside(found.predictions, images, y, taught)
    about = {
        "version": 1,
        "written_by": __version__,
        "kind": "outside",
        "task": found.task,
        "classes": found.predictions.classes,
        "source": source.name,
        "decisions_only": found.decisions_only,
        "trained_on": None if taught is None else len(taught),
        "children": [],
    }
    write_json(out / "run.json", about)  # first: by it the folder is known to be ours
    found.predictions.write(out / "predictions.parquet")
    write_text(out / "recipe.yaml", yaml.safe_dump({**recipe, "evaluate": evaluate}))
    write_json(out / "metrics.json", metrics)
    write_json(out / "data.json", data)
    audit.write_audit(out, findings)
    return write_report(out, prevalence=prevalence)


def _refuse_other(out: Path) -> None:
    """Raise BadInput where writing would mix with or destroy something else."""
    if not out.exists() or not any(out.iterdir()):
        return
    run = out / "run.json"
    if not run.is_file() or read_object(run).get("kind") != "outside":
        raise BadInput(f"--out {out}: exists and is not such a report; name another folder")


def _forget_probabilities(metrics: dict[str, object]) -> None:
    """Take out, in place, every figure that needs probabilities."""
    stack: list[object] = [metrics]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            value.pop("probabilities", None)
            for key in _OF_PROBABILITIES:
                if isinstance(value.get(key), dict):
                    value[key] = {
                        **dict.fromkeys(("estimate", "low", "high")),
                        "reason": _NO_PROBABILITIES,
                    }
            stack += value.values()
