"""Finding image files and decoding every one of them in full, in parallel.

A file that opens may still be cut off or hold something else than an 8-bit RGB photograph, so
the scan decodes all pixels once and keeps their hash and size.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from magnostic.data.images import BadFile
from magnostic.errors import DataError
from magnostic.progress import track

EXTENSIONS: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
#: Pixels beyond which a file is refused before it is decoded (Pillow's own hard limit).
MAX_PIXELS: Final = 178_956_970
_BATCH: Final = 4096
_AS_RGB: Final = (
    "save it as 8-bit RGB, e.g. Image.open(p).convert('RGB').save(p) in Pillow, or leave it out"
)


class Unusable(Exception):
    """One file's fault: what kind, and the particulars with the next step."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True)
class Scanned:
    """What decoding one file told: size in pixels and the hash of the pixels."""

    width: int
    height: int
    pixel_hash: str


def find_images(root: Path) -> list[Path]:
    """Image files at any depth, sorted; hidden files and folders are passed over."""
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__MACOSX")))
        found += [
            Path(folder, name)
            for name in names
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        ]
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); mend its permissions")


def decode(path: Path) -> NDArray[np.uint8]:
    """The photograph's pixels, uint8 [H, W, 3]; Unusable where it is no whole RGB image."""
    try:
        if path.stat().st_size == 0:
            raise Unusable("empty file", "0 bytes; copy or download it again")
        with Image.open(path) as image:
            _refuse(image)
            image.load()
            return np.asarray(image)
    except FileNotFoundError:
        raise Unusable("missing", "no such file; mend the path or restore the file") from None
    except Image.DecompressionBombError:
        raise Unusable("too large", f"more than {MAX_PIXELS:,} pixels; cut it into tiles") from None
    except UnidentifiedImageError:
        raise Unusable("not an image", _what_instead(path)) from None
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError) as error:
        fault = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise Unusable(fault, f"{error}; copy or download it again") from None


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """BLAKE2b-128 of shape and pixels (uint8 [H, W, 3]), hex."""
    digest = hashlib.blake2b("x".join(map(str, pixels.shape)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def scan(paths: Sequence[Path], workers: int = 0) -> list[Scanned | BadFile]:
    """Decode every file, in the order given, on ``workers`` threads (0: one a core).

    Pillow decodes outside Python's global lock, so threads are enough.
    """
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have switched it on
    try:
        with warnings.catch_warnings():
            # Pillow warns at half the limit that _refuse enforces, and of odd metadata.
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            return list(track(_scan(paths, workers), "decoding images", len(paths)))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _scan(paths: Sequence[Path], workers: int) -> Iterator[Scanned | BadFile]:
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for start in range(0, len(paths), _BATCH):  # so that few results wait at a time
            yield from pool.map(_scan_one, paths[start : start + _BATCH])


def _scan_one(path: Path) -> Scanned | BadFile:
    try:
        pixels = decode(path)
    except Unusable as bad:
        return BadFile(path.as_posix(), bad.fault, bad.detail)
    return Scanned(pixels.shape[1], pixels.shape[0], pixel_hash(pixels))


def _refuse(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable("too large", f"{width}x{height} pixels; cut it into tiles")
    if getattr(image, "n_frames", 1) > 1:
        raise Unusable("animated", f"{getattr(image, 'n_frames', 0)} frames; save one of them")
    if image.mode != "RGB":
        raise Unusable("not RGB", f"its mode is {image.mode}; {_AS_RGB}")
    # Pillow opens 16-bit RGB as RGB and drops the low byte without a word.
    if any("16" in str(getattr(tile, "args", "")) for tile in getattr(image, "tile", ())):
        raise Unusable("not RGB", f"16 bits a channel; {_AS_RGB}")


def _what_instead(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        return f"{error}; mend its permissions"
    try:  # a character cut off at the end of the piece is no fault
        codecs.getincrementaldecoder("utf-8")().decode(head)
        kind = "text"
    except UnicodeDecodeError:
        kind = "no image format that Pillow knows"
    return f"{path.suffix} by name, but it holds {kind}; replace it or leave it out"
