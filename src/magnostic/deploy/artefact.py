"""A stored model that is ready for use: which networks it consists of, and the rules beside it.

A run says in ``run.json`` which models are meant for use: the one in its own folder, the one
refitted on everything (``final``), or the average of its folds' models. ``calibration.json`` beside
it holds the rules that were fitted on predictions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from magnostic.data.fit import Fit, Size, sides
from magnostic.data.images import Task
from magnostic.errors import WeightsError
from magnostic.files import read_object
from magnostic.models import classifier
from magnostic.models.classifier import LARGEST, Classifier, Spec
from magnostic.preprocess.colour import Colour
from magnostic.stored import CALIBRATION as CALIBRATION
from magnostic.stored import as_written, brief, digest, inside, rules_of
from magnostic.stored import folders_for_use as folders_for_use

#: Marks the folder of an exported model.
EXPORT: Final = "export.json"


@dataclass(frozen=True)
class Member:
    """One network: its folder, its modules in evaluation mode on the CPU, its description."""

    folder: Path
    model: Classifier
    spec: Spec


@dataclass(frozen=True)
class About:
    """What every stored model says of itself, exported or not.

    Attributes:
        name: of the recipe.
        classes: in the order of the probabilities.
        task: ``binary``, ``subtype`` or ``label``.
        size, fit: how a photograph becomes an input (:func:`magnostic.data.fit.fit_image`).
        calibration: content of ``calibration.json``; None where nothing was fitted.
        digest: hex digest of weights and rules, which tells two models apart.
        place: folder of ``calibration.json``, for errors.
    """

    name: str
    classes: tuple[str, ...]
    task: Task
    size: Size
    fit: Fit
    calibration: Mapping[str, Any] | None
    digest: str
    place: Path = Path()


_ABOUT: Final = TypeAdapter(About)


def load_members(run: Path) -> tuple[About, list[Member]]:
    """Every network that a run means for use, with what they have in common.

    Raises BadInput or WeightsError where the run is not whole.
    """
    with as_written(run, WeightsError):
        members = [Member(folder, *classifier.load(folder)) for folder in folders_for_use(run)]
        return _together(run, members)


def _together(run: Path, members: list[Member]) -> tuple[About, list[Member]]:
    first = members[0].spec
    for member in members:
        spec = member.spec
        Colour.from_dict(spec.colour)  # what is none is told before anything is predicted
        if (spec.classes, spec.size, spec.fit) != (first.classes, first.size, first.fit):
            raise WeightsError(
                f"{member.folder}: other classes or input than {members[0].folder}; they cannot be "
                "averaged. Train the run again"
            )
    rules = rules_of(run)
    about = About(
        name=_name(rules),
        classes=tuple(first.classes),
        task=first.task,
        size=first.size,
        fit=first.fit,
        calibration=read_calibration(rules),
        digest=digest(rules, [(m.folder, m.spec.backbone_file) for m in members]),
        place=rules,
    )
    return about, members


def read_calibration(folder: Path) -> dict[str, Any] | None:
    """The rules beside a model, or None."""
    path = folder / CALIBRATION
    return read_object(path) if path.is_file() else None


def _name(run: Path) -> str:
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        return run.name
    for line in recipe.read_text(encoding="utf-8").splitlines():
        if line.startswith("name:"):
            return line.removeprefix("name:").strip()
    return run.name


def is_export(folder: Path) -> bool:
    """Whether the folder holds an exported model."""
    return (folder / EXPORT).is_file()


def read_export(folder: Path) -> tuple[About, dict[str, Any]]:
    """What an exported model says of itself, and the whole of ``export.json``.

    Raises WeightsError where a file is missing or is not the one that was checked when exported.
    """
    raw = read_object(folder / EXPORT, WeightsError)
    try:
        for name, expected in raw["files"].items():
            path = inside(folder, name)
            if not path.is_file():
                raise WeightsError(f"{path}: missing; export the run again")
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise WeightsError(
                        f"{path}: not the file that was exported and checked; export the run again"
                    )
        told = _ABOUT.validate_python({**raw, "calibration": None, "digest": "", "place": folder})
        if len(set(told.classes)) != len(told.classes) or len(told.classes) < 2:
            raise ValueError("classes: two or more different names")
        if not all(1 <= side <= LARGEST for side in sides(told.size)):
            raise ValueError(f"size {told.size}: from 1 to {LARGEST} pixels")
        about = replace(
            told,
            calibration=read_calibration(folder),
            digest=hashlib.blake2b(
                repr(sorted(raw["files"].items())).encode(), digest_size=16
            ).hexdigest(),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{folder / EXPORT}: not the description of an exported model ({brief(error)}); "
            "export anew"
        ) from None
    return about, raw
