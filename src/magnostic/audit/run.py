"""The audit of images, of parts, and of a whole run folder: recomputed, never a declared flag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from magnostic.audit import checks, fitted, refitted, scored
from magnostic.audit.findings import Finding, per_protocol, per_scope
from magnostic.data.images import Images, targets
from magnostic.data.summary import counted
from magnostic.evaluate.predictions import Predictions
from magnostic.files import read_object
from magnostic.splits.table import Folds, Parts
from magnostic.stored import as_written, inside

_CONTEXT: Final = [
    *("image_id", "label", "slide_id", "patient_id", "accession", "pixel_hash", "source")
]


def audit_images(images: Images) -> list[Finding]:
    """MG001 (are patients known), MG002 and MG003 of a data set, before any split."""
    unknown = checks.patients_known(images.table)
    found = [checks.pixels_unique(images.table), checks.slides_have_one_label(images.table)]
    return [unknown, *found] if unknown else found


def audit_parts(
    images_table: pd.DataFrame, parts: Parts, y: pd.Series, scope: str
) -> list[Finding]:
    """MG001, MG002, MG004 and MG005 of one fold.

    Args:
        images_table: has a row (ids, groups, pixel hash, missing where unknown) for each image.
        parts: the fold.
        y: class name of each image of the selection, by the index of ``parts.table``.
        scope: ``<protocol>/r<repeat>f<fold>``.
    """
    of_parts = y.loc[parts.table.index].set_axis(parts.table["image_id"])
    return _of_parts(images_table, parts, of_parts, scope, sorted(y.unique()))


def audit_split(folder: Path, images: Images) -> list[Finding]:
    """MG001 to MG005 of a folder with ``split.parquet`` (folds or parts) beside its images.

    Classes are the labels of the images table. Raises TableError for a broken split table.
    """
    y = images.table.set_index("image_id")["label"]
    context = images.table[_CONTEXT]
    folds = Folds.read(folder)
    of_folds = [Parts.read(folder)] if "part" in folds.table else _spelt_out(folds, images)
    found = [
        finding
        for parts in of_folds
        for finding in _of_parts(context, parts, y, _scope(parts.table.iloc[0]))
    ]
    return _in_order([*audit_images(images), *per_protocol(found)])


def audit_outside(
    predictions: Predictions, images: Images, y: pd.Series, trained_on: Sequence[str] | None
) -> list[Finding]:
    """What can be said of predictions made elsewhere.

    Args:
        predictions: matched to the images.
        y: class name of each image, by image_id.
        trained_on: ids of the images that the system was trained on; None: not told. Then those
            of several folds are taken for k folds, each fold's model trained on the others.
    """
    context, found = images.table[_CONTEXT], []
    test = predictions.where(part="test").table
    for _, rows in test.groupby(["protocol", "repeat"]):
        scope = str(rows["protocol"].iloc[0])
        folds = sorted(set(rows["fold"]))
        if trained_on is None and len(folds) < 2:
            unknown = "Can't be checked: what the system was trained on is not told; name the "
            unknown += "images with --trained-on FILE."
            found += [Finding(code, "tip", scope, unknown) for code in ("MG001", "MG002", "MG004")]
        elif trained_on is None:
            table = rows[["image_id", "protocol", "repeat", "fold"]]
            every = Folds(table, {"folds": len(folds)})
            for parts in _spelt_out(every, images):
                found += _of_parts(context, parts, y, _scope(parts.table.iloc[0]))
        else:
            taught = pd.DataFrame({"image_id": list(dict.fromkeys(trained_on)), "part": "train"})
            tested = rows[["image_id", "part"]].drop_duplicates()
            found += _named(pd.concat([taught, tested]), rows, context, y)
        found.append(_coverage(rows, images, scope))
        found.append(fitted.beats_majority(predictions.where(protocol=scope), scope))
    return _in_order([*audit_images(images), *per_protocol(found)])


def _named(
    table: pd.DataFrame, rows: pd.DataFrame, context: pd.DataFrame, y: pd.Series
) -> list[Finding]:
    """Checks of test images against training images that were named."""
    scope = str(rows["protocol"].iloc[0])
    both = set(table.loc[table["part"] == "train", "image_id"])
    both &= set(rows["image_id"])
    repeat = int(rows["repeat"].iloc[0])
    table = table.assign(protocol=scope, repeat=repeat, fold=0).reset_index(drop=True)
    found = _of_parts(context, Parts(table, {}), y, f"{scope}/r{repeat}f0")
    if both:
        message = f"{len(both)} test images were trained on; predict others."
        found.append(Finding("MG002", "issue", scope, message, tuple(sorted(both))))
    return found


def _coverage(rows: pd.DataFrame, images: Images, scope: str) -> Finding:
    """MG009: whether each image of the table is scored as often as the others."""
    n = rows["image_id"].nunique()
    counts = rows["image_id"].value_counts()
    if counts.nunique() > 1:
        often = sorted(counts.index[counts > counts.min()])
        message = (
            f"Scored more often than others: {counted(len(often), 'image')}; score each as often."
        )
        return Finding("MG009", "issue", scope, message, tuple(often))
    if n < len(images):
        message = (
            f"{len(images) - n} of {len(images)} images of the table have no prediction; figures "
            "are of the others. Where they were not training images, predict them as well."
        )
        return Finding("MG009", "tip", scope, message)
    return Finding("MG009", "passed", scope, "Every image of the table is scored once.")


def audit_run(
    folder: Path, images: Images | None = None, run: Mapping[str, Any] | None = None
) -> list[Finding]:
    """All checks of a run folder, a child's or a parent's.

    A parent's findings are one for each code and protocol. Without ``images`` the groups are
    those that the predictions name, and pixels can't be compared. ``run`` is the content of
    ``run.json`` where that isn't written yet.

    Raises BadInput where the folder is no whole run.
    """
    with as_written(folder):
        return _audit_run(folder, images, run)


def _audit_run(folder: Path, images: Images | None, run: Mapping[str, Any] | None) -> list[Finding]:
    run = read_object(folder / "run.json") if run is None else run
    predictions = Predictions.read(folder / "predictions.parquet")
    if images is None:
        context, y = _from_predictions(predictions)
        findings = [checks.slides_have_one_label(context)]
    else:
        context = images.table[_CONTEXT]
        y = targets(images.table, run["task"]).set_axis(images.table["image_id"])
        findings = audit_images(images)
    if run["kind"] == "parent":
        of_folds = []
        drawn = scored.drawn_by_fold(folder)
        for child in run["children"]:
            place = inside(folder, child["path"])
            of_folds += _of_child(place, child, context, y, run.get("classes", ()))
            of_folds.append(_scored(predictions, place, child, drawn, context, y))
        merged = per_protocol(of_folds)
        for protocol in sorted(map(str, predictions.table["protocol"].unique())):
            merged = _with_rules(merged, folder, predictions, protocol, protocol)
            findings.append(fitted.beats_majority(predictions.where(protocol=protocol), protocol))
            findings += scored.stated_figures(folder, predictions, protocol, protocol)
        findings += merged
    else:
        own = _of_child(folder, run, context, y, run.get("classes", ()))
        own.append(_scored(predictions, folder, run, {}, context, y))
        findings += _with_rules(own, folder, predictions, str(run["protocol"]), _scope(run))
        findings.append(fitted.beats_majority(predictions, _scope(run)))
        findings += scored.stated_figures(folder, predictions, str(run["protocol"]), _scope(run))
    return _in_order(findings)


def _scored(
    predictions: Predictions,
    folder: Path,
    run: Mapping[str, Any],
    drawn: Mapping[tuple[str, int, int], set[str]],
    context: pd.DataFrame,
    y: pd.Series,
) -> Finding:
    """MG009 of one child, by the predictions that its figures were computed from."""
    key = {name: run[name] for name in ("protocol", "repeat", "fold")}
    tested = drawn.get((str(key["protocol"]), int(key["repeat"]), int(key["fold"])))
    here = predictions.where(**key)
    return scored.all_scored(here, Parts.read(folder), tested, context, y, _scope(run))


def _with_rules(
    findings: Sequence[Finding], folder: Path, predictions: Predictions, protocol: str, scope: str
) -> list[Finding]:
    """One finding a code and scope, MG006 told by what was declared and by what was refitted."""
    edited = any(f.code == "MG009" and f.status == "issue" and f.scope == scope for f in findings)
    # What was fitted on other predictions than these can't be fitted anew on them.
    if edited or predictions.where(protocol=protocol, part="test").table.empty:
        return per_scope(findings)
    found = refitted.rules_refitted(folder, predictions, protocol, scope)
    # Of equally grave findings the first is told: images that were named before those inferred.
    first = found.status == "passed"
    return per_scope([found, *findings] if first else [*findings, found])


def _of_child(
    folder: Path,
    run: Mapping[str, Any],
    context: pd.DataFrame,
    y: pd.Series,
    classes: Sequence[str],
) -> list[Finding]:
    parts = Parts.read(folder)
    told = read_object(folder / "fitted_on.json")
    hashed = str(read_object(folder / "data.json").get("pixel_hash"))
    scope = _scope(run)
    return [
        *_of_parts(context, parts, y, scope, classes),
        fitted.fitted_apart(told, parts, context, scope, hashed=hashed),
        fitted.selection_apart(told, parts, scope),
        fitted.statistics_of_train(told, parts, scope),
    ]


def _of_parts(
    context: pd.DataFrame, parts: Parts, y: pd.Series, scope: str, classes: Sequence[str] = ()
) -> list[Finding]:
    return [
        checks.patients_apart(context, parts, scope),
        checks.pixels_apart(context, parts, scope),
        checks.accessions_apart(context, parts, scope),
        checks.classes_present(context, parts, y, scope, classes),
    ]


def _spelt_out(folds: Folds, images: Images) -> list[Parts]:
    """Each fold as test against train; validation parts are drawn later, so there are none."""
    made = folds.provenance
    only = made.get("policies", {}).get("train_magnifications")
    seen = images.table.set_index("image_id")["magnification"]
    result = []
    for _, table in folds.table.groupby(["protocol", "repeat"]):
        numbers = sorted(set(table["fold"]) - {-1})
        each = made.get("folds") == "each"
        told = {**made, "folds": len(numbers), "each": True} if each else made
        taught = table["image_id"].map(seen).isin(only) if only else pd.Series(True, table.index)
        for fold in numbers:
            test = table["fold"] == fold
            part = test.map({True: "test", False: "train"})
            spelt = table.assign(fold=fold, part=part)[test | taught]
            result.append(Parts(spelt, {**told, "left_out": len(table) - len(spelt)}))
    return result


def _in_order(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (f.code, f.scope != "images", f.scope))


def _from_predictions(predictions: Predictions) -> tuple[pd.DataFrame, pd.Series]:
    """Groups and classes of the images that were predicted; their pixels are unknown."""
    table = predictions.table.drop_duplicates("image_id")
    context = table.rename(columns={"y_true": "label"}).assign(pixel_hash=None, source=None)[
        _CONTEXT
    ]
    return context, table.set_index("image_id")["y_true"]


def _scope(run: Mapping[str, Any] | pd.Series) -> str:
    return f"{run['protocol']}/r{run['repeat']}f{run['fold']}"
