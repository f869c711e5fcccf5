"""Genuine photographs for the tests of colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="session")
def genuine(breakhis_sample: Path) -> NDArray[np.uint8]:
    """uint8 [N, 224, 224, 3]: every eighth photograph of the sample, of all types."""
    squares = []
    for path in sorted(breakhis_sample.rglob("*.png"))[::8]:
        with Image.open(path) as image:
            squares.append(np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)))
    return np.stack(squares)
