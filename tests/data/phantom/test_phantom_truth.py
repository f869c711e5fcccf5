"""What is under the pixels of a phantom on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data.phantom import MARKER, STRUCTURES, Truth, phantom_slides, render_field, write
from magnostic.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A phantom's settings alone."""
    settings = {
        "version": 1,
        "seed": 3,
        "patients_per_type": 1,
        "fields_per_magnification": 2,
        "stain": "tied",
    }
    (tmp_path / MARKER).write_text(json.dumps(settings))
    return tmp_path


def test_it_is_the_written_photograph(root: Path, tmp_path: Path) -> None:
    doubled = next(s for s in phantom_slides(3, 1) if s.twin)
    (tmp_path / "b").mkdir()
    write._write_place((str(tmp_path / "b"), doubled, 0, 2, 3, "tied"))
    file = next((tmp_path / "b").rglob("*-200-001.png"))
    found = Truth(root).field(file.name)
    np.testing.assert_array_equal(found.rgb, np.asarray(Image.open(file)))


def test_glands_hold_epithelium(root: Path) -> None:
    slide = next(s for s in phantom_slides(3, 1) if s.code == "TA")
    field = Truth(root).field(slide.file_name(100, 2))
    np.testing.assert_array_equal(field.rgb, render_field(slide, 100, 1, 3, stain="tied").rgb)
    epithelium = field.structure == STRUCTURES.index("epithelium")
    stroma = field.structure == STRUCTURES.index("stroma")
    assert field.gland[epithelium].all()
    assert not field.gland[stroma].any()
    nuclei = field.structure == STRUCTURES.index("nucleus")
    assert 0.5 < field.gland[nuclei].mean() < 1  # stroma has nuclei as well


def test_what_is_not_a_photograph_of_it(root: Path) -> None:
    truth, slide = Truth(root), phantom_slides(3, 1)[0]
    for name in (slide.file_name(100, 3), slide.file_name(100, 0), "SOB_B_A-14-1-40-001.png"):
        with pytest.raises(DataError, match="not a photograph of this phantom"):
            truth.field(name)
    with pytest.raises(DataError, match="not a BreakHis file name"):
        truth.field("x.png")
    with pytest.raises(DataError, match="does not describe a phantom"):
        Truth(root / "absent")
    (root / MARKER).write_text(json.dumps({"version": 99}))
    with pytest.raises(DataError, match="version 99"):
        Truth(root)
