"""Testing a run's stored models on shifted photographs, beside its own predictions."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic import recipe_file, splits
from magnostic.data.derived import derived
from magnostic.data.images import Images, targets
from magnostic.data.pixels import open_pixels
from magnostic.errors import BadInput
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.robustness import Shifted, summarize
from magnostic.files import read_object, write_json
from magnostic.models import classifier, encoders, handcrafted, tensors
from magnostic.models.classifier import Classifier
from magnostic.preprocess import colour
from magnostic.preprocess.colour import Colour
from magnostic.preprocess.shifts import SHIFTS, check
from magnostic.preprocess.shifts import VERSION as SHIFTS_VERSION
from magnostic.progress import say
from magnostic.recipe import HANDCRAFTED
from magnostic.splits.table import Parts
from magnostic.stored import as_written, inside
from magnostic.train import child, colours, device, memory, predict
from magnostic.train.inputs import Photographs
from magnostic.train.reproduce import read_selection, require_data_of

SEVERITIES: Final = (0.25, 0.5, 1.0)
RESULT: Final = "robustness.json"
#: Fields of model.json in which models may differ and still see the same features.
_OF_HEADS: Final = ("head", "method", "classes", "task", "calibration", "dropout")


def measure_run(
    run: Path,
    images: Images,
    shifts: Sequence[str] = tuple(SHIFTS),
    severities: Sequence[float] = SEVERITIES,
    protocols: Sequence[str] = (),
) -> None:
    """Predict the shifted test photographs by every model of a run that had not seen them.

    Writes ``robustness.parquet`` (as :mod:`magnostic.evaluate.robustness` says) and
    ``robustness.json``, the figures against severity.

    Args:
        run: a run folder, parent or child.
        images: the images table that it was trained on.
        shifts: names of ``preprocess.shifts.SHIFTS``.
        severities: in (0, 1].
        protocols: of the run; empty for all.

    Raises BadInput for unknown shifts, severities or protocols, or other images.
    """
    shifts, severities = _checked(shifts, severities)
    if not (run / "run.json").is_file():
        raise BadInput(f"{run}: holds no run.json, so it is not a finished run; train it first")
    require_data_of(run, images)
    with as_written(run):
        places = _places(run, protocols)
        groups = list(_groups(places))
    device.threads()
    frames = []
    for folders in groups:
        say(f"{run.name}: {len(folders)} of {len(places)} models on shifted photographs")
        with memory.told():
            frames += _predict(folders, images, shifts, severities)
    table = pd.concat(frames, ignore_index=True)
    order = {name: i for i, name in enumerate(shifts)}
    table = table.sort_values("shift", key=lambda s: s.map(order), kind="stable", ignore_index=True)
    result = Shifted(table.astype({"severity": "float32"}))
    result.write(run / "robustness.parquet")
    recipe = recipe_file.load(run / "recipe.yaml")
    sampling = Sampling(recipe.evaluate.resamples, recipe.evaluate.confidence, recipe.seed)
    about = {n: {"title": SHIFTS[n].title, "strongest": SHIFTS[n].strongest} for n in shifts}
    own = Predictions.read(run / "predictions.parquet")
    write_json(run / RESULT, summarize(own, result, about, sampling))


def is_measured(
    run: Path, shifts: Sequence[str], severities: Sequence[float], protocols: Sequence[str]
) -> bool:
    """Whether the folder holds a result for these shifts, severities and protocols."""
    if not (run / RESULT).is_file():
        return False
    shifts, severities = _checked(shifts, severities)
    with as_written(run):
        wanted = {str(entry["protocol"]) for _, entry in _places(run, protocols)}
    with as_written(run / RESULT, then="remove it, and it is measured again"):
        found = read_object(run / RESULT)
        return (list(found["shifts"]), found["severities"], set(found["protocols"])) == (
            sorted(shifts),  # JSON is written with sorted keys
            severities,
            wanted,
        )


def _checked(shifts: Sequence[str], severities: Sequence[float]) -> tuple[list[str], list[float]]:
    """Each once, shifts in the usual order; BadInput for those that are not known."""
    for name, severity in itertools.product(shifts, severities):
        check(name, severity)
        if severity == 0:
            raise BadInput("severity 0: is the photograph itself; give values above 0")
    if not shifts or not severities:
        raise BadInput("give at least one shift and one severity")
    return [name for name in SHIFTS if name in shifts], sorted(set(severities))


def _places(run: Path, protocols: Sequence[str]) -> list[tuple[Path, dict[str, Any]]]:
    """Folders of the models and their entries of ``run.json``."""
    about = read_object(run / "run.json")
    children = about.get("children", [{**about, "path": "."}])
    known = list(dict.fromkeys(str(entry["protocol"]) for entry in children))
    for name in protocols:
        if name not in known:
            raise BadInput(f"protocol {name}: {run} has only {', '.join(known)}")
    chosen = [entry for entry in children if not protocols or entry["protocol"] in protocols]
    return [(inside(run, entry["path"]), entry) for entry in chosen]


def _groups(places: Sequence[tuple[Path, dict[str, Any]]]) -> Iterator[list[Path]]:
    """Folders whose models see photographs in the same way, side by side."""
    groups: dict[str, list[Path]] = {}
    for folder, _ in places:
        about = read_object(folder / "model.json")
        shared, plain = about["backbone_file"], about["backbone"] == HANDCRAFTED
        sees = {key: value for key, value in about.items() if key not in _OF_HEADS}
        sees["backbone_file"] = str(
            (folder / shared).resolve() if shared else "" if plain else folder
        )
        groups.setdefault(json.dumps(sees, sort_keys=True), []).append(folder)
    yield from groups.values()


def _predict(
    folders: Sequence[Path], images: Images, shifts: Sequence[str], severities: Sequence[float]
) -> list[pd.DataFrame]:
    """Test predictions of models that see alike, for every shift and severity."""
    with as_written(folders[0]):
        model, spec = classifier.load(folders[0])
        heads = [model.head, *(classifier.load(folder)[0].head for folder in folders[1:])]
        selection = read_selection(folders[0], images)
        table, chosen = selection.table, Colour.from_dict(spec.colour)
        y = targets(table, spec.task)
        tests = [_test_part(splits.read_parts(folder, selection)) for folder in folders]
    model = model.to(device.torch_device())
    positions = pd.Index(table["image_id"]).get_indexer(
        pd.Index(pd.unique(pd.concat([parts.table["image_id"] for parts in tests])))
    )
    positions.sort()
    pixels = open_pixels(table, spec.size, spec.fit)
    rows = pixels.rows(table["pixel_hash"])
    # Kept in the cache: an interrupted test goes on there, and runs with one backbone share them.
    seen = [
        pixels.key,
        hashlib.blake2b(rows[positions].tobytes(), digest_size=16).hexdigest(),
        {**asdict(spec), **dict.fromkeys((*_OF_HEADS, "backbone_file"))},
        tensors.digest(model.encoder.state_dict()),
        [colour.VERSION, SHIFTS_VERSION, handcrafted.VERSION, encoders.VERSION],
        str(device.torch_device()),
        [version(name) for name in ("torch", "timm", "numpy")],
    ]
    frames = []
    passes = list(itertools.product(shifts, severities))
    for number, shift in enumerate(passes, start=1):
        described = colours.describe_shifted(
            pixels.array, np.unique(rows[positions]), chosen.method, shift
        )
        compute = functools.partial(
            predict.features,
            model,
            Photographs(pixels.array, rows, chosen, described, shift),
            positions,
            batch_size=spec.batch_size,
            precision=device.precision(spec.precision),
            what=f"{shift[0]} {shift[1]:g} ({number} of {len(passes)})",
        )
        key = json.dumps([*seen, *shift])
        features = derived("shifted-features", key, len(positions), compute)
        for head, parts in zip(heads, tests, strict=True):
            found = child.predict_parts(
                table,
                y,
                parts,
                spec,
                Classifier(model.encoder, head),
                functools.partial(_at, features, positions),
            )
            frames.append(found.table.assign(shift=shift[0], severity=shift[1]))
    return frames


def _at(
    features: NDArray[np.float32], positions: NDArray[np.intp], some: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Rows of ``features``, which are those of the sorted ``positions``, at some of them."""
    found: NDArray[np.float32] = features[np.searchsorted(positions, some)]
    return found


def _test_part(parts: Parts) -> Parts:
    return Parts(parts.table[parts.table["part"] == "test"], parts.provenance)
