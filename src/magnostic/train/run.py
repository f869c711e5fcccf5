"""From a recipe and photographs to a run folder: children, pooled predictions, audit, report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from magnostic import __version__, audit, splits
from magnostic.data import summary
from magnostic.data.images import Images
from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.summary import summarize
from magnostic.files import read_object, sweep, write_json, write_text
from magnostic.lock import locked
from magnostic.progress import say
from magnostic.recipe import Finetune, Probe, Recipe
from magnostic.report import write_card, write_report
from magnostic.splits.table import Folds, Parts
from magnostic.stored import as_written
from magnostic.train import (
    calibrate,
    checkpoint,
    child,
    colours,
    controls,
    device,
    drops,
    fit,
    memory,
    ranks,
    reference,
)
from magnostic.train.environment import environment
from magnostic.train.experiment import Experiment, load_source, resolve

#: From the strictest protocol down: whose models are meant for use.
_STRICTNESS = ("accession", "patient", "source", "official", "random")


@dataclass(frozen=True)
class Fold:
    """One child: its place in the split, and its folder below the parent."""

    protocol: str
    repeat: int
    fold: int

    @property
    def path(self) -> str:
        return f"{self.protocol}/r{self.repeat}f{self.fold}"


def run(
    recipe: Recipe, images: Images, out: Path, *, resume: bool = False, patience: float = 0.0
) -> Path:
    """Carry out a recipe; returns the run folder.

    Args:
        recipe: as loaded; ``auto`` fields are resolved here.
        images: the images table.
        out: the run folder; must be new or empty unless ``resume``.
        resume: go on with an interrupted run of the same recipe and data; finished children stay.
        patience: seconds to wait for a process that is still at work in the folder.

    Raises:
        BadInput: a folder in use, a protocol or task that the data cannot bear, missing weights
            or reference photograph.
        RunFailed: training diverged, the disk is full, or memory ran out.
    """
    ranks.require_connected()
    recipe = resolve(recipe)
    drops.require_shared(recipe, ranks.current().size)
    device.threads()
    experiment = Experiment(recipe, images, load_source(recipe))
    colours.require_reference(recipe.preprocess)
    folds, jobs, prepared = prepare(experiment)  # before the first hour of training, not after it
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; give a folder for the run (--out)")
    with locked(out, patience), memory.told():
        _run(experiment, folds, jobs, prepared, out, resume)
    return out


def _run(
    experiment: Experiment,
    folds: Folds,
    jobs: list[Fold],
    prepared: list[Parts],
    out: Path,
    resume: bool,
) -> None:
    recipe, identity = experiment.recipe, experiment.identity(folds)
    _claim(out, identity, resume)
    sweep(out)
    write_json(out / "identity.json", {"identity": identity})
    write_text(out / "recipe.yaml", recipe.to_yaml())
    single = len(jobs) == 1
    strictest = min((job.protocol for job in jobs), key=_STRICTNESS.index)
    chosen: dict[Fold, float | None] = {}
    # One frozen encoder serves all children; a run folder of its own holds its own.
    frozen = not isinstance(recipe.train, Finetune)
    shared = out / "encoder.safetensors" if frozen and not single else None
    for job, parts in zip(jobs, prepared, strict=True):
        folder = out if single else out / job.path
        for_use = single or (job.protocol == strictest and not isinstance(recipe.train, Probe))
        chosen[job] = _child(experiment, job, parts, folder, single, shared, for_use)
        if not (frozen or single):
            memory.free()  # mixed precision ties a network into a cycle
    if single:
        write_card(out)
        write_report(out)
    else:
        models = [job for job in jobs if job.protocol == strictest]
        _parent(experiment, folds, jobs, prepared, models, chosen, out)


def prepare(experiment: Experiment) -> tuple[Folds, list[Fold], list[Parts]]:
    """All folds, its children in their order, and the parts of each; nothing is written.

    Raises SplitError, DataError or TableError for what the data cannot bear.
    """
    recipe = experiment.recipe
    experiment.require_two_classes()
    folds = splits.make(experiment.selection, recipe, experiment.y)
    jobs = [Fold(*key) for key in _keys(folds, recipe.split.protocols)]
    prepared = [_parts(experiment, folds, job) for job in jobs]
    for parts in prepared:
        splits.check_trainable(
            parts, experiment.selection, experiment.y, strict=recipe.split.strict
        )
        fit.require_validation(recipe.train, parts)
    return folds, jobs, prepared


def _keys(folds: Folds, protocols: Sequence[str]) -> list[tuple[str, int, int]]:
    table = folds.table[folds.table["fold"] >= 0]
    unique = table[["protocol", "repeat", "fold"]].drop_duplicates()
    keys = [(str(p), int(r), int(f)) for p, r, f in unique.itertuples(index=False)]
    return sorted(keys, key=lambda key: (protocols.index(key[0]), *key[1:]))


def _claim(out: Path, identity: str, resume: bool) -> None:
    if all(path.name.startswith(".") for path in out.iterdir()):  # killed before it had begun, too
        return
    if not resume:
        raise BadInput(f"{out}: exists and is not empty; choose another --out, or --resume")
    stored = out / "identity.json"
    if not stored.is_file() or read_object(stored).get("identity") != identity:
        raise BadInput(f"{out}: holds a run of another recipe or other data; choose another --out")


def _parts(experiment: Experiment, folds: Folds, job: Fold) -> Parts:
    parts = splits.parts(
        folds, experiment.selection, experiment.y, job.protocol, job.repeat, job.fold
    )
    if experiment.recipe.balance.when == "after-val":
        return parts
    # Copies of a photograph stand in both, so no photograph is validation alone.
    merged = parts.table.assign(part=parts.table["part"].replace("val", "train"))
    return Parts(merged, parts.provenance)


def _child(
    experiment: Experiment,
    job: Fold,
    parts: Parts,
    folder: Path,
    single: bool,
    shared: Path | None,
    for_use: bool,
) -> float | None:
    """Train one child unless it is there already. Returns the probe's chosen c."""
    if (folder / "run.json").is_file():
        checkpoint.discard(folder / "checkpoint")  # of a process that was killed before it could
        return _finished(folder)[0]
    say(f"training {job.path}" if not single else f"training ({job.protocol})")
    predictions, fitted = child.train_child(experiment, parts, folder, shared)
    if for_use:
        reference.write(experiment, fitted, folder)
    if single:
        calibrate.store(experiment, predictions, job.protocol, folder, folder)
    missing = splits.not_estimable(parts, experiment.y)
    write_json(folder / "data.json", _data(experiment))
    write_json(folder / "environment.json", environment(_precision(experiment)))
    evaluate = experiment.recipe.evaluate
    metrics = summarize(
        predictions,
        resamples=evaluate.resamples if single else 0,
        confidence=evaluate.confidence,
        seed=experiment.recipe.seed,
        not_estimable={(job.protocol, job.repeat, job.fold): missing},
    )
    write_json(folder / "metrics.json", metrics)
    description: dict[str, Any] = {
        "version": 1,
        "written_by": __version__,
        "kind": "child",
        "task": experiment.recipe.task,
        "classes": list(experiment.classes),
        "not_estimable": missing,
        "model_for_use": ["."],
        "model_for_use_note": "The model in this folder, fitted on the training part alone.",
        "c": fitted.c,
        **vars(job),
    }
    audit.write_audit(folder, audit.audit_run(folder, experiment.images, description))
    write_json(folder / "run.json", description)
    checkpoint.discard(folder / "checkpoint")  # until here an interrupted child goes on from it
    return fitted.c


def _finished(folder: Path) -> tuple[float | None, list[str]]:
    """Of a finished child: the probe's chosen c, and the classes that are not estimable.

    Raises BadInput for a ``run.json`` that this version has not written.
    """
    path = folder / "run.json"
    with as_written(path):
        described = read_object(path)
        c, missing = described.get("c"), described["not_estimable"]
        if not isinstance(missing, list):
            raise TypeError("not_estimable is no list")
        return None if c is None else float(c), [str(name) for name in missing]


def _parent(
    experiment: Experiment,
    folds: Folds,
    jobs: list[Fold],
    prepared: list[Parts],
    models: list[Fold],
    chosen: dict[Fold, float | None],
    out: Path,
) -> None:
    recipe = experiment.recipe
    folds.write(out)
    pooled = pool(out, jobs)
    pooled.write(out / "predictions.parquet")
    runs = [{**vars(job), "path": job.path} for job in jobs]
    for entry in runs:
        entry["not_estimable"] = _finished(out / str(entry["path"]))[1]
    if isinstance(recipe.train, Probe):
        values = Counter(chosen[job] for job in models)
        use, note = _refit(experiment, values.most_common(1)[0][0], out)
    else:
        use = [job.path for job in models]
        note = (
            f"For use, average the probabilities of the {len(use)} models of protocol "
            f"{models[0].protocol}. The pooled figures describe each of them alone, on the fold "
            "that it did not see."
        )
    model = out / "final" if use == ["final"] else out
    calibrate.store(experiment, pooled, models[0].protocol, out, model)
    write_json(out / "data.json", _data(experiment))
    write_json(out / "environment.json", environment(_precision(experiment)))
    metrics = summarize(
        pooled,
        resamples=recipe.evaluate.resamples,
        confidence=recipe.evaluate.confidence,
        seed=recipe.seed,
        not_estimable={(e["protocol"], e["repeat"], e["fold"]): e["not_estimable"] for e in runs},
    )
    write_json(out / "metrics.json", metrics)
    if controls.wanted(experiment, prepared):
        controls.write(experiment, prepared, out)
    description = {
        "version": 1,
        "written_by": __version__,
        "kind": "parent",
        "task": recipe.task,
        "classes": list(experiment.classes),
        "children": runs,
        "model_for_use": use,
        "model_for_use_note": note,
    }
    audit.write_audit(out, audit.audit_run(out, experiment.images, description))
    write_json(out / "run.json", description)
    write_card(out)
    write_report(out)


def pool(out: Path, jobs: list[Fold]) -> Predictions:
    """All children's predictions in one table."""
    tables = [Predictions.read(out / job.path / "predictions.parquet").table for job in jobs]
    return Predictions(pd.concat(tables, ignore_index=True))


def _refit(experiment: Experiment, c: float | None, out: Path) -> tuple[list[str], str]:
    """Fit the probe on every image, for use; its figures are those of the folds' models."""
    recipe = experiment.recipe
    assert isinstance(recipe.train, Probe)
    fixed = recipe.train.model_copy(update={"c": recipe.train.c if c is None else (c,)})
    taught = splits.may_train(experiment.selection)
    only = recipe.data.train_magnifications
    which = f" at {', '.join(f'{m}X' for m in only)}" if only else ""
    parts = Parts(
        pd.DataFrame(
            {
                "image_id": experiment.table["image_id"][taught],
                "protocol": "all",
                "repeat": 0,
                "fold": 0,
                "part": "train",
            }
        ),
        {
            "protocol": "all",
            "note": f"every image{which} is a training image; nothing is held out",
            "left_out": int((~taught).sum()),
        },
    )
    folder = out / "final"
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    parts.write(folder)
    fitted = fit.fit(experiment, parts, folder, train=fixed)
    if len(recipe.train.c) > 1:  # c was chosen in the folds, on their validation parts
        pooled = Predictions.read(out / "predictions.parquet").where(part="val").table
        fitted = replace(fitted, selection=sorted(set(pooled["image_id"])))
    child.write_fitted(experiment, fitted, folder)
    reference.write(experiment, fitted, folder)
    note = (
        f"For use: the model in final/, fitted on every image{which}. Nothing was held out from "
        "it: the pooled figures describe the folds' models and are an estimate for it."
    )
    return ["final"], note


def _data(experiment: Experiment) -> dict[str, Any]:
    return {
        **summary.summarize(experiment.images),
        "dropped_by_policy": experiment.selection.dropped,
        "n_used": len(experiment.table),
        "colour": experiment.fell_back(),
    }


def _precision(experiment: Experiment) -> device.Precision:
    return device.precision(experiment.recipe.train.precision)
