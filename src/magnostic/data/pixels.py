"""The pixel cache: each photograph decoded once, to the network's input size, memory-mapped.

One ``.npy`` file (uint8 [N, height, width, 3], RGB) for a set of photographs, size and fit. The key
is a hash of the sorted pixel hashes, so any run over the same photographs shares it, whatever their
names. It is written under a temporary name and renamed: a half-written cache never exists.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from magnostic.data.images import GIVEN
from magnostic.data.scan import Unusable, decode, pixel_hash
from magnostic.errors import DataError, RunFailed
from magnostic.files import whole_file
from magnostic.progress import say, track

Fit = Literal["squeeze", "crop", "pad"]
#: Input of a network, pixels: the side of a square, or height and width.
Size = int | tuple[int, int]
#: Part of the key: to be raised when the same photograph would give other pixels.
_VERSION = 1


@dataclass(frozen=True)
class Pixels:
    """The cached array and the row of each photograph in it.

    Attributes:
        array: uint8 [M, height, width, 3], RGB.
        hashes: pixel hash of each row.
        key: names the photographs, size and fit; for what is computed from the array.
    """

    array: NDArray[np.uint8]
    hashes: pd.Index
    key: str

    def rows(self, hashes: pd.Series) -> NDArray[np.intp]:
        """intp [N]: rows of the photographs with these hashes."""
        rows = self.hashes.get_indexer(pd.Index(hashes))
        if (rows < 0).any():
            raise DataError("pixel cache: a photograph of the images table is not in the cache")
        return rows


def default_folder() -> Path:
    """``$MAGNOSTIC_CACHE``, or ``magnostic`` in the user's cache folder."""
    chosen = os.environ.get("MAGNOSTIC_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "magnostic"


def sides(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def open_pixels(table: pd.DataFrame, size: Size, fit: Fit, folder: Path | None = None) -> Pixels:
    """Pixels of all photographs of an images table, from the cache or decoded now.

    Raises DataError when a file is gone or is no longer the one that was indexed.
    """
    unique = table.drop_duplicates("pixel_hash").sort_values("pixel_hash")
    key = hashlib.blake2b(digest_size=16)
    key.update(f"{_VERSION} {size} {fit} bilinear".encode())
    key.update("".join(unique["pixel_hash"]).encode())
    for brought in unique.loc[unique["pixel_hash"].str.startswith(GIVEN), "path"]:
        # Not checked against the file's pixels, so the file itself must be the one cached.
        key.update(f"{brought} {_stamp(Path(brought))}".encode())
    path = (folder or default_folder()) / "pixels" / f"{key.hexdigest()}.npy"
    shape = (len(unique), *sides(size), 3)
    if not path.exists():
        _fill(path, unique, shape, fit)
    array = np.load(path, mmap_mode="r")
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(f"pixel cache {path.name} is damaged; delete it and run again")
    return Pixels(array, pd.Index(unique["pixel_hash"]), key.hexdigest())


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; mend the path in the manifest") from None
    return f"{status.st_size} {status.st_mtime_ns}"


def fit_image(image: Image.Image, size: Size, fit: Fit) -> NDArray[np.uint8]:
    """RGB image -> uint8 [height, width, 3], antialiased bilinear.

    ``squeeze`` changes the aspect ratio to that of the input (the paper: a square); ``crop`` covers
    the input and takes the centre; ``pad`` fits into it and leaves equal black bars, so that
    nothing is lost and a round field of view stays round.
    """
    height, width = sides(size)
    if fit == "squeeze":
        resized = image.resize((width, height), Image.Resampling.BILINEAR)
    elif fit == "crop":
        resized = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    else:
        resized = _letterbox(image, height, width)
    return np.asarray(resized, dtype=np.uint8)


def _letterbox(image: Image.Image, height: int, width: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    # Not ImageOps.pad, which rounds the short side of a very thin image to nothing and fails.
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    whole = Image.new("RGB", (width, height))
    inside = image.resize(inner, Image.Resampling.BILINEAR)
    whole.paste(inside, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return whole


def _fill(path: Path, unique: pd.DataFrame, shape: tuple[int, int, int, int], fit: Fit) -> None:
    say(
        f"decoding {shape[0]} photographs to {shape[1]} x {shape[2]} px "
        f"({np.prod(shape) / 2**20:.0f} MiB cache)"
    )
    try:
        with whole_file(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for row, pixels in enumerate(_decoded(unique, shape[1:3], fit)):
                array[row] = pixels
            array.flush()
            del array
    except OSError as error:
        raise RunFailed(
            f"pixel cache: cannot write {np.prod(shape) / 2**20:.0f} MiB to {path.parent} "
            f"({error.strerror}); free space or set MAGNOSTIC_CACHE to another folder"
        ) from None


def _decoded(unique: pd.DataFrame, size: Size, fit: Fit) -> Iterator[NDArray[np.uint8]]:
    def one(item: tuple[str, str]) -> NDArray[np.uint8]:
        path, expected = item
        try:
            pixels = decode(Path(path))
        except Unusable as fault:
            raise DataError(f"{path}: {fault}; index the data again") from None
        if not expected.startswith(GIVEN) and pixel_hash(pixels) != expected:
            raise DataError(f"{path}: changed since it was indexed; index the data again")
        return fit_image(Image.fromarray(pixels), size, fit)

    items = list(zip(unique["path"], unique["pixel_hash"], strict=True))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Chunks bound the decoded images that wait in memory.
        chunks = (items[i : i + 256] for i in range(0, len(items), 256))
        yield from track((p for c in chunks for p in pool.map(one, c)), "decoding", len(items))
