"""Small photographs of noise, each different."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data import Images, read_images

Draw = Callable[..., Path]


@pytest.fixture(scope="session")
def sample(breakhis_sample: Path) -> Images:
    """The genuine sample, decoded once for all tests of this folder."""
    return read_images(breakhis_sample)


@pytest.fixture
def photo() -> Draw:
    """``photo(path, seed)`` writes a noise image of 14x10 pixels."""

    def draw(path: Path, seed: int = 0, mode: str = "RGB") -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (10, 14, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return draw
