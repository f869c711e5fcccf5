"""A run folder as the report reads it: only files of the folder, no path beyond it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.summary import summarize
from magnostic.files import read_object
from magnostic.recipe_file import read_mapping
from magnostic.splits.table import Parts
from magnostic.stored import as_written, inside

#: As many as a recipe may ask for.
_MOST_RESAMPLES: Final = 100_000


@dataclass(frozen=True)
class Child:
    """One trained model: where it stands in the split, its parts' sizes and its history.

    parts: images by part, empty if the folder holds no parts table.
    history: lines of history.jsonl (epochs of a finetune, values of c of a probe).
    c: the inverse regularization strength that a probe kept.
    """

    protocol: str
    repeat: int
    fold: int
    not_estimable: list[str]
    parts: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    c: float | None = None

    @property
    def name(self) -> str:
        return f"repeat {self.repeat}, fold {self.fold}"


@dataclass(frozen=True)
class RunFolder:
    """The contents of run.json, recipe.yaml, data.json, … and of the children's folders.

    controls: of controls.json; None where none were measured.
    robustness: of robustness.json; None where shifted photographs were not tested.
    """

    run: dict[str, Any]
    recipe: dict[str, Any]
    data: dict[str, Any]
    metrics: dict[str, Any]
    findings: list[dict[str, Any]]
    environment: dict[str, Any]
    provenance: dict[str, Any]
    children: list[Child]
    controls: dict[str, Any] | None = None
    robustness: dict[str, Any] | None = None

    @property
    def task(self) -> str:
        return str(self.run.get("task", self.recipe.get("task", "label")))

    @property
    def classes(self) -> list[str]:
        return [str(c) for c in self.run.get("classes", self.metrics["classes"])]


def read(folder: Path) -> RunFolder:
    """Read a run folder, parent or child.

    Raises:
        BadInput: it is no run folder, or a file in it cannot be read.
    """
    with as_written(folder):
        return _read(folder)


def _read(folder: Path) -> RunFolder:
    if not (folder / "run.json").is_file():
        raise BadInput(
            f"{folder}: holds no run.json, so it is not a finished run; give the folder that a run "
            "was written to (magnostic train … --out FOLDER), or finish it with --resume"
        )
    run = _json(folder / "run.json")
    recipe_path = folder / "recipe.yaml"
    recipe = read_mapping(recipe_path) if recipe_path.is_file() else {}
    children = _children(folder, run)
    metrics = _json(folder / "metrics.json")
    if "protocols" not in metrics:
        metrics = _summarize(folder, recipe, children)
    for result in metrics["protocols"].values():
        _put_in_order(result, metrics["classes"])
    return RunFolder(
        run=run,
        recipe=recipe,
        data=_json(folder / "data.json"),
        metrics=metrics,
        findings=list(_json(folder / "audit.json").get("findings", [])),
        environment=_json(folder / "environment.json"),
        provenance=_json(folder / "split.json"),
        children=children,
        controls=_json(folder / "controls.json") or None,
        robustness=_json(folder / "robustness.json") or None,
    )


def _put_in_order(result: dict[str, Any], classes: list[str]) -> None:
    """Classes and magnifications as the field orders them: JSON was written with sorted keys."""
    result["by_class"] = {c: result["by_class"][c] for c in classes}
    found = result["by_magnification"]
    numbers = sorted((m for m in found if m.isdigit()), key=int)
    result["by_magnification"] = {m: found[m] for m in numbers + sorted(set(found) - set(numbers))}
    only = result["estimable"]
    if only:
        only["excluded"] = {c: only["excluded"][c] for c in classes if c in only["excluded"]}


def _children(folder: Path, run: dict[str, Any]) -> list[Child]:
    if run.get("kind") in ("parent", "outside"):
        return [_child(inside(folder, e["path"]), e) for e in run.get("children", [])]
    return [_child(folder, run)]


def _child(folder: Path, entry: dict[str, Any]) -> Child:
    parts: dict[str, int] = {}
    if (folder / "split.parquet").is_file():
        counts = Parts.read(folder).table["part"].value_counts()
        parts = {str(name): int(n) for name, n in counts.items()}
    c = entry.get("c", _json(folder / "run.json").get("c"))
    return Child(
        str(entry["protocol"]),
        int(entry["repeat"]),
        int(entry["fold"]),
        [str(c) for c in entry.get("not_estimable", [])],
        parts,
        _lines(folder / "history.jsonl"),
        None if c is None else float(c),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    rows = []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            if line.strip():
                rows.append(json.loads(line))
        except json.JSONDecodeError:
            raise BadInput(
                f"{path}, line {n}: not JSON; a run that was cut off? Finish it with --resume"
            ) from None
    return rows


def _json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _summarize(folder: Path, recipe: dict[str, Any], children: list[Child]) -> dict[str, Any]:
    evaluate = recipe.get("evaluate", {})
    return summarize(
        Predictions.read(folder / "predictions.parquet"),
        resamples=min(int(evaluate.get("resamples", 1000)), _MOST_RESAMPLES),
        confidence=float(evaluate.get("confidence", 0.95)),
        seed=int(recipe.get("seed", 0)),
        not_estimable={(c.protocol, c.repeat, c.fold): c.not_estimable for c in children},
    )
