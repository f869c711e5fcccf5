"""Bringing photographs to a reference's colours: their descriptions, and which reference."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.derived import derived
from magnostic.data.fit import fit_image
from magnostic.data.pixels import Pixels
from magnostic.data.scan import Unusable, decode
from magnostic.errors import RecipeError
from magnostic.preprocess import colour, shifts
from magnostic.preprocess.colour import Colour
from magnostic.progress import track
from magnostic.recipe import Preprocess
from magnostic.train import device

#: Methods that bring photographs to a reference.
TO_REFERENCE: Final = ("reinhard", "macenko", "vahadane")
#: Photographs described at once; bounds the memory of their intermediate arrays.
_CHUNK: Final = 32


def describe(pixels: Pixels, method: colour.Method) -> NDArray[np.float32]:
    """float32 [M, K]: each cached photograph's parameters for the method; kept in the cache."""
    array = pixels.array
    if method not in TO_REFERENCE:
        return np.zeros((len(array), 0), dtype=np.float32)

    def compute() -> NDArray[np.float32]:
        return _computed(len(array), method, lambda chunk: array[chunk])

    return derived("colours", f"{pixels.key} {method} {colour.VERSION}", len(array), compute)


def describe_shifted(
    array: NDArray[np.uint8],
    rows: NDArray[np.intp],
    method: colour.Method,
    shift: tuple[str, float],
) -> NDArray[np.float32]:
    """float32 [M, K]: parameters of photographs of uint8 [M, S, S, 3] after a shift.

    Those of other rows than ``rows`` are NaN.
    """
    described = np.full((len(array), colour.WIDTH[method]), np.nan, dtype=np.float32)
    if method in TO_REFERENCE:

        def read(chunk: slice) -> NDArray[np.uint8]:
            changed = shifts.shifted(torch.from_numpy(array[rows[chunk]]), *shift)
            result: NDArray[np.uint8] = changed.numpy()
            return result

        described[rows] = _computed(len(rows), method, read)
    return described


def _computed(
    count: int, method: colour.Method, read: Callable[[slice], NDArray[np.uint8]]
) -> NDArray[np.float32]:
    starts = range(0, count, _CHUNK)
    chunks = (slice(start, start + _CHUNK) for start in starts)
    with ThreadPoolExecutor(device.threads()) as pool:
        found = pool.map(lambda chunk: colour.describe(method, read(chunk)), chunks)
        return np.concatenate([*track(found, f"colours ({method})", len(starts))])


def reference(pixels: Pixels, method: colour.Method, rows: NDArray[np.intp]) -> int:
    """Position in ``rows`` (of the pixels) of the photograph to take as reference.

    It is the one nearest to the median colours of all; one too pale for the method is taken only
    where all are.
    """
    usable = np.flatnonzero(~np.isnan(describe(pixels, method)[rows]).any(axis=1))
    if not len(usable):
        return 0
    return int(usable[colour.choose_from(describe(pixels, "reinhard")[rows[usable]])])


def require_reference(preprocess: Preprocess) -> None:
    """Raise what :func:`from_file` raises where the recipe names a file that it cannot use."""
    if preprocess.reference != "train":
        from_file(preprocess)


def from_file(preprocess: Preprocess) -> Colour:
    """The change of colour to a reference that is a file.

    RecipeError where it cannot be read, DataError where it is too pale.
    """
    path = Path(preprocess.reference)
    try:
        image = Image.fromarray(decode(path))
    except (Unusable, OSError) as error:
        raise RecipeError(
            f"preprocess.reference {path}: {error}; give train, or an image file"
        ) from None
    pixels = fit_image(image, preprocess.size, preprocess.fit)
    return colour.refer(preprocess.colour, pixels, path.name)
