"""Slides and large images to read parts of: by OpenSlide where it can, whole into memory else."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.scan import Unusable, opened, refuse_hollow
from magnostic.data.strict import strict_decoding
from magnostic.errors import BadInput, DataError, MissingExtra
from magnostic.slides import scale

#: Pixels up to which an image without a pyramid is read: three bytes each, in memory.
MAX_PLAIN: Final = 1_000_000_000
#: Read by Pillow, without an extra.
PLAIN: Final = (".png", ".jpg", ".jpeg")
_TIFF: Final = (".tif", ".tiff")
_WHITE: Final = (255, 255, 255)
_PYRAMID: Final = "convert it to a tiled, pyramidal TIFF (vips tiffsave --tile --pyramid)"


class Slide(Protocol):
    """A slide that is open.

    Attributes:
        path: of the file.
        size: width and height of level 0, pixels.
        mpp: micrometres a level-0 pixel in x and y; None where the file does not say.
        objective: power that the file states, or None.
        downsamples: of each level in x and y; the first is (1, 1).
        origin: left and top, level-0 pixels, of what QuPath shows of the slide: the part that was
            scanned, where the file names one that is smaller than the whole on both sides.
        kind: of the format, for people.
    """

    path: Path
    size: tuple[int, int]
    mpp: tuple[float, float] | None
    objective: float | None
    downsamples: tuple[tuple[float, float], ...]
    origin: tuple[int, int]
    kind: str

    def read(self, x: int, y: int, level: int, width: int, height: int) -> Image.Image:
        """RGB of ``width`` x ``height`` pixels of a level from the level's pixel (x, y) on.

        What lies outside, or was not scanned, is white. May be called from several threads.
        Raises DataError where the file cannot be decoded there.
        """
        ...

    def close(self) -> None: ...


def open_slide(path: Path) -> Slide:
    """Open whatever OpenSlide reads, or a plain PNG, JPEG or TIFF (8-bit RGB).

    Raises:
        DataError: no such file, or none of these formats.
        MissingExtra: ``[wsi]`` is needed for it and not installed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    if path.suffix.lower() in PLAIN:
        return PlainSlide(path, _decoded(path), "plain image")
    openslide = library()
    try:
        known = openslide.OpenSlide.detect_format(str(path))
    except openslide.OpenSlideError as error:
        raise DataError(f"{path}: {error}; copy or export it again") from None
    if known is not None:
        return PyramidSlide(path, openslide)
    if path.suffix.lower() in _TIFF:
        return PlainSlide(path, _tiff(path), "plain TIFF")
    raise DataError(f"{path}: not a slide that OpenSlide reads, nor a PNG, JPEG or TIFF")


def library() -> Any:
    """The module ``openslide``; MissingExtra without it."""
    try:
        import openslide
    except (ImportError, OSError):  # its shared library may be missing, too
        raise MissingExtra("wsi", "openslide-python") from None
    return openslide


class PyramidSlide:
    """A slide read by OpenSlide, part by part."""

    def __init__(self, path: Path, openslide: Any) -> None:
        self.path = path
        self._openslide = openslide
        self._lock = threading.Lock()
        self._handle = self._open()
        told = dict(self._handle.properties)
        self.kind = told.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        self.size = self._handle.dimensions
        self.downsamples = tuple(
            (self.size[0] / w, self.size[1] / h) for w, h in self._handle.level_dimensions
        )
        mpp = [_number(told.get(name)) for name in
               (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)]  # fmt: skip
        low, high = scale.PLAUSIBLE
        said = all(value is not None and low <= value <= high for value in mpp)
        self.mpp = (mpp[0] or 0.0, mpp[1] or 0.0) if said else None
        self.objective = _number(told.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER))
        self.origin = self._scanned(told)

    def _scanned(self, told: dict[str, str]) -> tuple[int, int]:
        names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
        try:
            left, top, width, height = (int(told[f"openslide.{name}"]) for name in names)
        except (KeyError, ValueError):
            return (0, 0)
        smaller = width != self.size[0] and height != self.size[1]
        return (left, top) if smaller else (0, 0)

    def _open(self) -> Any:
        try:
            return self._openslide.OpenSlide(str(self.path))
        except (self._openslide.OpenSlideError, OSError) as error:
            raise DataError(f"{self.path}: {error}; copy or export it again") from None

    def read(self, x: int, y: int, level: int, width: int, height: int) -> Image.Image:
        down = self.downsamples[level]
        place = (round(x * down[0]), round(y * down[1]))
        found = self._region(place, level, (width, height))
        whole = Image.new("RGB", (width, height), _WHITE)
        whole.paste(found, mask=found.getchannel("A"))
        return whole

    def _region(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> Image.Image:
        """RGBA. After one fault OpenSlide refuses everything, also what other threads ask of it."""
        shared = self._handle
        try:
            found = shared.read_region(place, level, size)
        except self._openslide.OpenSlideError:
            with self._lock:
                if self._handle is shared:
                    self._handle = self._open()
        else:
            return cast("Image.Image", found)
        alone = self._open()  # whether the fault is here or was elsewhere
        try:
            return cast("Image.Image", alone.read_region(place, level, size))
        except self._openslide.OpenSlideError as error:
            raise DataError(f"{self.path}: damaged at {place[0]}, {place[1]} ({error})") from None
        finally:
            alone.close()

    def close(self) -> None:
        self._handle.close()


class PlainSlide:
    """An image without a pyramid, whole in memory; it states no scale that could be trusted."""

    mpp: tuple[float, float] | None = None
    objective: float | None = None
    downsamples: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    origin = (0, 0)

    def __init__(self, path: Path, pixels: NDArray[np.uint8], kind: str) -> None:
        self.path = path
        self.kind = kind
        self._pixels = pixels
        self.size = (pixels.shape[1], pixels.shape[0])

    def read(self, x: int, y: int, level: int, width: int, height: int) -> Image.Image:  # noqa: ARG002
        left, top = max(x, 0), max(y, 0)
        inside = self._pixels[top : max(y + height, 0), left : max(x + width, 0)]
        if inside.shape[:2] == (height, width):
            return Image.fromarray(np.ascontiguousarray(inside))
        whole = Image.new("RGB", (width, height), _WHITE)
        if inside.size:
            whole.paste(Image.fromarray(np.ascontiguousarray(inside)), (left - x, top - y))
        return whole

    def close(self) -> None:
        self._pixels = np.empty((0, 0, 3), np.uint8)


def scale_of(
    slide: Slide, mpp: float | None, objective: float | None
) -> tuple[tuple[float, float], str]:
    """Micrometres a level-0 pixel in x and y, and in words where that comes from.

    Args:
        mpp, objective: what the user says of the slide, which goes before what the file says.

    Raises BadInput where nobody says anything, or both are given.
    """
    if mpp is not None and objective is not None:
        raise BadInput("--slide-mpp and --objective both say how fine the slides are; give one")
    if mpp is not None:
        low, high = scale.PLAUSIBLE
        if not low <= mpp <= high:
            raise BadInput(f"--slide-mpp {mpp:g}: give micrometres a pixel, {low:g} to {high:g}")
        return (mpp, mpp), "--slide-mpp"
    if objective is not None:
        found = scale.of_objective(objective)
        return (found, found), f"--objective {objective:g}"
    if slide.mpp is not None:
        return slide.mpp, "the file's micrometres a pixel"
    if slide.objective:
        found = scale.of_objective(slide.objective)
        return (found, found), f"the file's objective power {slide.objective:g}"
    raise BadInput(
        f"{slide.path}: states neither micrometres a pixel nor objective power; give --slide-mpp "
        "(0.25 for most scans with a 40x objective) or --objective"
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None


def _refuse_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PLAIN:
        raise DataError(f"{path}: {width}x{height} pixels without a pyramid; {_PYRAMID}")


def _decoded(path: Path) -> NDArray[np.uint8]:
    try:
        with strict_decoding(), _large(), opened(path) as image:
            _refuse_size(path, *image.size)
            refuse_hollow(image, path)
            if image.mode not in ("RGB", "RGBA"):
                raise DataError(f"{path}: its mode is {image.mode}, not RGB; convert it")
            return _opaque(np.asarray(image))
    except Unusable as bad:
        raise DataError(f"{path}: {bad}") from None
    except MemoryError:
        raise DataError(f"{path}: memory does not suffice to decode it; {_PYRAMID}") from None
    except DataError:
        raise
    except Exception as error:  # whatever a decoder raises of a broken file
        raise DataError(f"{path}: cannot be read ({error}); copy or export it again") from None


_large_lock = threading.Lock()


@contextlib.contextmanager
def _large() -> Iterator[None]:
    """Pillow opens more pixels than it does for photographs, whose size is checked here."""
    with _large_lock:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


# Of what is odd in a file it logs a line each; without a handler they would go to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def _tiff(path: Path) -> NDArray[np.uint8]:
    try:
        import tifffile
    except ImportError:
        raise MissingExtra("wsi", "tifffile") from None
    try:
        with tifffile.TiffFile(os.fspath(path)) as file:
            page = file.pages.first
            _refuse_size(path, page.imagewidth, page.imagelength)
            if len(page.dataoffsets) < math.prod(page.chunked):
                raise DataError(f"{path}: holds a part of its pixels only; copy or export it again")
            pixels = page.asarray()
    except DataError:
        raise
    except Exception as error:  # whatever its many decoders raise
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error})") from None
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        shape = "x".join(map(str, pixels.shape))
        raise DataError(f"{path}: {pixels.dtype} {shape}, not 8-bit RGB; convert it")
    return _opaque(pixels)


def _opaque(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB; what is transparent becomes white."""
    if pixels.shape[2] == 3:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    whole = Image.new("RGB", image.size, _WHITE)
    whole.paste(image, mask=image.getchannel("A"))
    return np.asarray(whole)
