"""What a study would do: its runs, their steps and time on this device, and what is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch

from magnostic.data.images import Images
from magnostic.errors import DataError, MagnosticError, RecipeError, SplitError, TableError
from magnostic.progress import track
from magnostic.recipe import HANDCRAFTED, Finetune, Preprocess, Probe, Recipe
from magnostic.study import measure
from magnostic.study.expand import Entry
from magnostic.study.place import place
from magnostic.study.schema import Study
from magnostic.train import colours, memory
from magnostic.train.experiment import Experiment, resolve
from magnostic.train.run import prepare

#: Seconds of a run that depend little on its size (intervals, figures, report), and of a child
#: (tables, audit), as measured on two cores.
_RUN, _CHILD = 4.0, 0.25
_TO_REFERENCE: Final = ("reinhard", "macenko", "vahadane")


@dataclass(frozen=True)
class Child:
    """Images in one fold: trained on in an epoch (copies included), validated and tested on."""

    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Planned:
    """One line of the plan.

    Attributes:
        status: ``planned``, ``done``, ``shared`` (with an entry above that comes to the same run),
            ``refused``, or ``unknown`` where the time could not be measured.
        images: photographs after the recipe's policies.
        children: models trained, a final refit included.
        steps: of gradient descent in all of them; 0 for classical heads.
        seconds: what is left to do on this device; work shared with entries above counts there.
        note: why it is refused or not measured.
    """

    entry: Entry
    status: str
    images: int = 0
    children: int = 0
    steps: int = 0
    seconds: float | None = None
    note: str = ""


def plan(study: Study, entries: Sequence[Entry], images: Images, out: Path) -> list[Planned]:
    """One line an entry, in the study's order; trains and downloads nothing.

    Args:
        out: the study's folder, whose finished runs take no more time.
    """
    planner = _Planner(images)
    planned: list[Planned] = []
    seen: set[str] = set()
    placed = place(entries, images.data_hash, out)
    for item in track(placed, f"planning {study.name}", len(placed)):
        if item.finished(out) or item.path in seen:
            status = "done" if item.finished(out) else "shared"
            planned.append(Planned(item.entry, status, seconds=0.0))
            continue
        line = planner.line(item.entry)
        planned.append(line)
        if line.status == "planned":
            seen.add(item.path)
    return planned


@dataclass
class _Planner:
    images: Images
    _folds: dict[Hashable, tuple[pd.DataFrame, list[str], list[Child]]] = field(
        default_factory=dict
    )
    _known: dict[Hashable, Any] = field(default_factory=dict)
    _counted: set[Hashable] = field(default_factory=set)

    def line(self, entry: Entry) -> Planned:
        try:
            recipe = resolve(entry.recipe)
            self._require_reference(recipe.preprocess)
            table, names, children = self._split(recipe)
        except (SplitError, DataError, TableError, RecipeError) as error:
            return Planned(entry, "refused", note=str(error))
        except MagnosticError as error:
            return Planned(entry, "unknown", note=str(error))
        train = recipe.train
        refit = isinstance(train, Probe) and len(children) > 1
        told = functools.partial(Planned, entry, images=len(table), children=len(children) + refit)
        steps = 0
        if not isinstance(train, Probe):
            steps = train.epochs * sum(-(-c.train // train.batch_size) for c in children)
        try:
            seconds = self._seconds(recipe, table, len(names), children)
        except (MagnosticError, torch.OutOfMemoryError) as error:
            return told(status="unknown", steps=steps, note=str(error).splitlines()[0])
        finally:
            memory.free()
        return told(status="planned", steps=steps, seconds=seconds)

    def _require_reference(self, preprocess: Preprocess) -> None:
        key = ("reference", preprocess.model_dump_json())
        self._once(key, lambda: colours.require_reference(preprocess))

    def _split(self, recipe: Recipe) -> tuple[pd.DataFrame, list[str], list[Child]]:
        """Photographs, classes and folds, checked as a run checks them before it starts."""
        key = json.dumps(
            [
                recipe.task,
                recipe.seed,
                recipe.model_dump(mode="json", include={"data", "split", "balance"}),
                isinstance(recipe.train, Probe) and len(recipe.train.c) > 1,
            ]
        )
        if key not in self._folds:
            self._folds[key] = self._draw(recipe)
        return self._folds[key]

    def _draw(self, recipe: Recipe) -> tuple[pd.DataFrame, list[str], list[Child]]:
        experiment = Experiment(recipe, self.images, source=None)
        _, _, prepared = prepare(experiment)
        children = [_child(recipe, parts.table["part"], experiment.y) for parts in prepared]
        return experiment.table, list(experiment.classes), children

    def _seconds(
        self, recipe: Recipe, table: pd.DataFrame, n_classes: int, children: Sequence[Child]
    ) -> float:
        pre, model, train = recipe.preprocess, recipe.model, recipe.train
        size = (pre.size, pre.fit)
        photos, decoding = self._once(size, lambda: measure.photographs(table, pre))
        describing, applying = self._once(
            (*size, pre.colour), lambda: measure.colours(pre.colour, photos)
        )
        speed: measure.Speed = self._once(
            (
                *size,
                model.backbone,
                json.dumps(model.args, sort_keys=True),
                model.features,
                train.precision,
                train.batch_size,
                (train.trainable, train.freeze_batch_norm, train.optimizer)
                if isinstance(train, Finetune)
                else None,
            ),
            lambda: measure.backbone(recipe, photos),
        )
        data = (*size, recipe.data.model_dump_json())
        n, seconds = len(table), _RUN + _CHILD * len(children)
        seconds += n * self._first(decoding, "decoding", *data)
        seconds += n * self._first(describing, "colours", pre.colour, *data)
        each = speed.forward + applying
        if isinstance(train, Finetune):
            for child in children:
                step = speed.update / train.batch_size + speed.train + applying
                seconds += train.epochs * (child.train * step + child.val * each)
                seconds += (child.val + child.test) * each
            return seconds
        split_dependent = pre.colour in _TO_REFERENCE or pre.normalize in ("train", "train+val")
        if split_dependent:  # features anew for every fold, and for the final model
            seconds += n * each * (len(children) + isinstance(train, Probe))
        else:
            what = (model.model_dump_json(), pre.model_dump_json(), train.precision)
            batch = 0 if model.backbone == HANDCRAFTED else train.batch_size
            seconds += n * self._first(each, "features", *what, batch, *data)
        rows = max(1, round(float(np.mean([child.train for child in children]))))
        head: float = self._once(
            (train.model_dump_json(), rows, speed.width, n_classes),
            lambda: measure.head(recipe, rows, speed.width, n_classes),
        )
        return seconds + head * (len(children) + isinstance(train, Probe))

    def _once(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """What has been measured under this key, or is measured now."""
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]

    def _first(self, seconds: float, *key: Hashable) -> float:
        """Seconds of work that later runs find in the cache: for the first that needs it."""
        if key in self._counted:
            return 0.0
        self._counted.add(key)
        return seconds


def _child(recipe: Recipe, part: pd.Series, y: pd.Series) -> Child:
    y = y[part.index]  # images of magnifications that are neither trained on nor tested have none
    counts = part.value_counts()
    train, val = (int(counts.get(name, 0)) for name in ("train", "val"))
    test = int(counts.get("test", 0))
    balance = recipe.balance
    if balance.method not in ("oversample", "smote-pixels", "smote-features"):
        return Child(train, val, test)
    if balance.when == "after-val":
        return Child(_equalized(y[part == "train"]), val, test)
    copies = _equalized(y[part.isin(["train", "val"])])
    held = int(np.ceil(recipe.split.val_fraction * copies))
    return Child(copies - held, held, test)


def _equalized(y: pd.Series) -> int:
    """Samples when every class has as many as the largest."""
    counts = y.value_counts()
    return int(counts.max() * len(counts[counts > 0]))
