"""What the phantom knows: who never saw stain vary falls where it is another, who did does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magnostic import recipe_file
from magnostic.data import Images, read_images
from magnostic.data.phantom import Stain, write_phantom
from magnostic.files import read_json
from magnostic.train.robustness import measure_run
from magnostic.train.run import run

SHIFTS = ("haematoxylin-more", "haematoxylin-less")
CHANGES = (
    "--task=binary", "--data.double_labels=drop", "--split.protocols=patient", "--split.folds=3",
    "--evaluate.resamples=300",
)  # fmt: skip


def _falls(images: Images, folder: Path) -> dict[str, Any]:
    """Fall of accuracy of a frozen network at twice and at half the haematoxylin."""
    recipe = recipe_file.load(Path("best-cpu"), CHANGES)
    measure_run(run(recipe, images, folder), images, SHIFTS, (1.0,))
    curves = read_json(folder / "robustness.json")["protocols"]["patient"]["curves"]
    return {shift: curves[shift][0]["fall"]["accuracy"] for shift in SHIFTS}


@pytest.mark.slow
def test_who_saw_stain_vary_does_not_fall_along_the_stain_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tissue, drawn twice. docs/magnification.md has figures of larger sets."""
    monkeypatch.setattr("magnostic.train.run.write_report", lambda _: None)
    stains: tuple[Stain, ...] = ("tied", "free")
    found = {}
    for stain in stains:
        root = write_phantom(
            tmp_path / stain, patients_per_type=3, fields_per_magnification=1, workers=1,
            stain=stain,
        )  # fmt: skip
        found[stain] = _falls(read_images(root), tmp_path / f"run-{stain}")
    for shift in SHIFTS:
        tied, free = found["tied"][shift], found["free"][shift]
        assert tied["estimate"] > 8
        assert free["low"] < 0, "no fall to be seen"
        assert free["estimate"] < tied["estimate"] / 2
    assert max(found["tied"][shift]["low"] for shift in SHIFTS) > 0
