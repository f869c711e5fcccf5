"""One tiny trained run, and photographs good and bad."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic import recipe_file as recipes
from magnostic.data import Images
from magnostic.deploy import Predictor, load
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def tuned_run(tiny_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fine-tuned networks whose probabilities are averaged for use."""
    recipe = recipes.load(CONF / "finetune-folds.yaml")
    return run(recipe, tiny_images, tmp_path_factory.mktemp("deploy") / "tuned")


@pytest.fixture(scope="session")
def predictor(tiny_run: Path) -> Predictor:
    return load(tiny_run, engine="torch")


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory, tiny_breakhis: Path) -> dict[Path, str]:
    """Files that are no 8-bit RGB photograph, and what is said of each."""
    folder = tmp_path_factory.mktemp("bad")
    good = next(tiny_breakhis.rglob("*.png"))
    whole = good.read_bytes()
    made: dict[Path, str] = {}

    def add(name: str, content: bytes, says: str) -> None:
        (folder / name).write_bytes(content)
        made[folder / name] = says

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    grey = Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    plain = Image.new("RGB", (64, 64), (200, 100, 150))
    frames = [Image.new("RGB", (64, 64), (c, 0, 0)) for c in (10, 90)]
    add("truncated.png", whole[: len(whole) // 2], "truncated")
    add("text.png", b"not a picture\n", "not an image")
    add("empty.png", b"", "empty file")
    add("cmyk.jpg", saved(plain.convert("CMYK"), "JPEG"), "not RGB")
    add("sixteen.png", saved(grey, "PNG"), "not RGB")
    add("animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), "anim")
    add("huge.png", _png_header(100_000, 100_000), "too large")
    add("large.png", _png_header(9_000, 9_000), "too large")
    made[folder / "absent.png"] = "missing"
    made[folder] = "unreadable"
    return made


@pytest.fixture(scope="session")
def odd_but_good(tmp_path_factory: pytest.TempPathFactory, tiny_breakhis: Path) -> Path:
    """A PNG whose name says JPEG."""
    path = tmp_path_factory.mktemp("odd") / "photo.jpg"
    path.write_bytes(next(tiny_breakhis.rglob("*.png")).read_bytes())
    return path


def _png_header(width: int, height: int) -> bytes:
    """A PNG that claims this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data
