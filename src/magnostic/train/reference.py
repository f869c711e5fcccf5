"""What nearest cases and distance checks need of the training images, kept beside a model.

``reference.parquet``: one row a training image, no path; ``reference.safetensors``: ``features``
float16 [N, D] in the same order and, where asked for, ``thumbnails`` uint8 [N, 64, 64, 3].
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from magnostic import tables
from magnostic.data.fit import fit_image
from magnostic.data.images import HASHED
from magnostic.models import tensors
from magnostic.train.experiment import Experiment
from magnostic.train.fit import Fitted

THUMBNAIL: Final = 64
COLUMNS: Final = (
    tables.Column("image_id", pa.string()),
    tables.Column("y", pa.string()),
    tables.Column("slide_id", pa.string(), nullable=True),
    tables.Column("patient_id", pa.string(), nullable=True),
    tables.Column("accession", pa.string(), nullable=True),
    tables.Column("magnification", pa.int16(), nullable=True),
    tables.Column("pixel_hash", pa.string()),
)


def write(experiment: Experiment, fitted: Fitted, folder: Path) -> None:
    """Keep what ``keep_reference`` of the recipe says, for a model that is meant for use."""
    keep = experiment.recipe.keep_reference
    if keep == "none":
        return
    positions = experiment.positions(fitted.weights)
    rows = experiment.table.iloc[positions].assign(y=experiment.y.iloc[positions])
    frame = rows[[column.name for column in COLUMNS]].reset_index(drop=True)
    meta = {"version": 1, "pixel_hash": HASHED}
    tables.write(frame, COLUMNS, folder / "reference.parquet", "reference", meta)
    kept = {"features": torch.from_numpy(fitted.features_of(positions).astype(np.float16))}
    if keep == "thumbnails":
        kept["thumbnails"] = torch.from_numpy(
            np.stack(
                [
                    fit_image(Image.fromarray(experiment.pixels.array[row]), THUMBNAIL, "squeeze")
                    for row in experiment.pixel_rows[positions]
                ]
            )
        )
    tensors.write(folder / "reference.safetensors", kept)
