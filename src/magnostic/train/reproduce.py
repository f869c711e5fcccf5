"""Computing a stored run's predictions anew, to prove that the run holds all that made them."""

from __future__ import annotations

from pathlib import Path

from magnostic import splits
from magnostic.data.images import HASHED, Images, targets
from magnostic.data.pixels import open_pixels
from magnostic.data.summary import counted
from magnostic.errors import BadInput, RunFailed
from magnostic.evaluate.predictions import Predictions
from magnostic.files import read_object
from magnostic.models import classifier
from magnostic.preprocess.colour import Colour
from magnostic.recipe import Data
from magnostic.splits.table import Parts
from magnostic.stored import as_written, inside
from magnostic.train import child, colours, device, fit, memory
from magnostic.train.inputs import Photographs


def reproduce_run(folder: Path, images: Images) -> list[str]:
    """Compute every child's predictions anew from its stored model; one line a child.

    Raises RunFailed naming the children whose predictions differ in any bit.
    """
    require_data_of(folder, images)
    with as_written(folder):
        children = read_object(folder / "run.json").get("children", [{"path": "."}])
        places = {str(entry["path"]): inside(folder, entry["path"]) for entry in children}
    lines, differing = [], []
    for name, place in places.items():
        stored = Predictions.read(place / "predictions.parquet").table
        with memory.told():
            again = reproduce_child(place, images).table
        same = again.astype(stored.dtypes).equals(stored)
        outcome = "identical" if same else "DIFFERENT"
        lines.append(f"{name}: {outcome} ({counted(len(stored), 'row')})")
        differing += [] if same else [name]
    if differing:
        raise RunFailed(
            f"{folder}: predictions of {', '.join(differing)} are not reproduced; compare "
            "environment.json with `magnostic doctor` (other device, precision or versions?)"
        )
    return lines


def require_data_of(folder: Path, images: Images) -> None:
    """Raise BadInput unless these are the images of a run."""
    told = read_object(folder / "data.json")
    of_run = str(told.get("data_hash"))
    if images.data_hash != of_run:
        if told.get("pixel_hash") != HASHED:
            raise BadInput(
                f"{folder}: made by an earlier version, which hashed pixels in another way, so "
                "that --data cannot be compared with its data; train the run again"
            )
        raise BadInput(
            f"--data is not the data of {folder} (hash {images.data_hash[:12]}… against "
            f"{of_run[:12]}…); give the data set that it was trained on, read the same way"
        )


def read_selection(folder: Path, images: Images) -> splits.Selection:
    """The photographs of a child run, as its policies left them."""
    policies = Parts.read(folder).provenance["policies"]
    return splits.apply_policies(images, Data.model_validate(policies))


def reproduce_child(folder: Path, images: Images) -> Predictions:
    """Predictions of a stored child run, computed anew from its files and the photographs.

    Equal to ``predictions.parquet`` to the last bit on the same kind of device. Raises SplitError
    if the images table lacks a photograph of the run's split, LeakError if the split leaks.
    """
    with as_written(folder):
        model, spec = classifier.load(folder)
        selection = read_selection(folder, images)
        parts = splits.read_parts(folder, selection)
        chosen = Colour.from_dict(spec.colour)
    model = model.to(device.torch_device())
    table = selection.table
    pixels = open_pixels(table, spec.size, spec.fit)
    device.threads()
    rows = pixels.rows(table["pixel_hash"])
    photographs = Photographs(pixels.array, rows, chosen, colours.describe(pixels, chosen.method))
    features_of = fit.pooled_features(model, spec, photographs)
    return child.predict_parts(table, targets(table, spec.task), parts, spec, model, features_of)
