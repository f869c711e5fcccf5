"""Tables for the audit: sixteen images of eight patients (four accessions), parts, a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from magnostic.data.assemble import tidy
from magnostic.data.images import HASHED, Images
from magnostic.evaluate.predictions import Predictions, make
from magnostic.files import write_json
from magnostic.splits.table import Parts

CLASSES = ["benign", "malignant"]
PART = ["train"] * 8 + ["val"] * 4 + ["test"] * 4


@pytest.fixture
def images() -> Images:
    """Two images a patient, two patients an accession, two accessions a class in turn."""
    n = 16
    ids = [f"i{row:02d}" for row in range(n)]
    patient = [f"p{row // 2}" for row in range(n)]
    label = [CLASSES[(row // 2) % 2] for row in range(n)]
    frame = pd.DataFrame(
        {
            "image_id": ids,
            "path": ids,
            "label": label,
            "malignancy": label,
            "slide_id": patient,
            "patient_id": patient,
            "accession": [f"a{row // 4}" for row in range(n)],
            "width": 1,
            "height": 1,
            "pixel_hash": [f"h{row}" for row in range(n)],
            "source": "made-up",
        }
    )
    return Images(tidy(frame))


MakeParts = Callable[..., Parts]


@pytest.fixture
def make_parts(images) -> MakeParts:
    def make_them(protocol: str = "patient", fold: int = 0, folds: int = 1, **moved: str) -> Parts:
        """``moved``: image id -> part, against eight train, four val and four test images."""
        table = pd.DataFrame(
            {
                "image_id": images.table["image_id"],
                "protocol": protocol,
                "repeat": np.int16(0),
                "fold": np.int16(fold),
                "part": PART,
            }
        )
        for image_id, part in moved.items():
            table.loc[table["image_id"] == image_id, "part"] = part
        return Parts(table, {"folds": folds})

    return make_them


@pytest.fixture
def write_run(images, tmp_path) -> Callable[..., Path]:
    """Write a child run of the parts; ``wrong``: test images predicted as the other class."""

    def write(parts: Parts, place: str = "run", wrong: int = 0, **fitted: Any) -> Path:
        folder = tmp_path / place
        first = parts.table.iloc[0]
        key = {"protocol": str(first["protocol"]), "repeat": 0, "fold": int(first["fold"])}
        frames = []
        for part in ("val", "test"):
            rows = images.table[images.table["image_id"].isin(parts.ids(part))]
            true = rows["label"].tolist()
            p = np.array([[0.9, 0.1] if t == "benign" else [0.1, 0.9] for t in true], np.float32)
            p[: wrong if part == "test" else 0] = p[: wrong if part == "test" else 0, ::-1]
            frames.append(make(rows, true, p, CLASSES, part=part, **key))
        Predictions(pd.concat(frames, ignore_index=True)).write(folder / "predictions.parquet")
        parts.write(folder)
        train, val = (parts.ids(p).tolist() for p in ("train", "val"))
        sets = {"weights": train, "statistics": train, "selection": val} | fitted
        sets = {"calibration": None, "thresholds": None} | sets
        told = {k: None if v is None else {"ids": v} for k, v in sets.items()}
        write_json(folder / "fitted_on.json", told)
        write_json(folder / "data.json", {"pixel_hash": HASHED})
        run = {"version": 1, "kind": "child", "task": "binary", "classes": CLASSES, **key}
        write_json(folder / "run.json", run)
        return folder

    return write
