"""Finding image files and decoding every one of them in full, in parallel.

A file that opens may still be cut off or hold something else than an 8-bit RGB photograph, so
the scan decodes all pixels once and keeps their hash and size. Where it is known what sizes will be
trained on, the same pass fills the pixel cache.
"""

from __future__ import annotations

import codecs
import functools
import hashlib
import io
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from magnostic.data import png
from magnostic.data.fit import Fit, Size, fit_image, sides
from magnostic.data.images import BadFile
from magnostic.data.known import Known, Scanned, Stamp
from magnostic.data.store import Store, Writer, require_space
from magnostic.data.strict import strict_decoding
from magnostic.errors import DataError
from magnostic.processors import cores
from magnostic.progress import say, track

EXTENSIONS: Final = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
#: Pixels beyond which a file is refused before it is decoded (Pillow's own hard limit).
MAX_PIXELS: Final = 178_956_970
#: What Pillow may take a file for, whatever its name: other formats run programs (PostScript) or
#: read other files.
FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")
#: Formats in which a byte holds some hundred pixels at most (zlib packs 1,032 bytes into one, a
#: JPEG spends a bit on six blocks), and a bound well beyond: a file that says more is broken.
_BOUNDED: Final = ("PNG", "JPEG", "MPO")
_PIXELS_A_BYTE: Final = 1000
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


class Wanted(NamedTuple):
    """A size and fit at which photographs will be asked of the pixel cache."""

    size: Size
    fit: Fit


def find_images(root: Path) -> list[Path]:
    """Image files at any depth, sorted; hidden files and folders are passed over."""
    found = ((folder, name) for folder, _, names in walk(root) for name in names)
    return sorted(Path(folder, name) for folder, name in found if is_image(name))


def walk(root: Path | str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Folders at any depth by name, each with its subfolders and its files, by name.

    Hidden ones are passed over. Links are followed, but no folder is gone through twice. Raises
    DataError for a folder that cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        place = os.stat(folder)  # noqa: PTH116
        if (place.st_dev, place.st_ino) in seen:  # a link in a circle, or to what was gone through
            subfolders.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__MACOSX")))
        yield folder, subfolders, sorted(name for name in names if not name.startswith("."))


def is_image(name: str) -> bool:
    """Whether a file of this name is looked at: known by its ending, and not hidden."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); mend its permissions")


def decode(source: Path | bytes, scratch: png.Scratch | None = None) -> NDArray[np.uint8]:
    """The photograph's pixels, uint8 [H, W, 3]; Unusable where it is no whole RGB image.

    Args:
        source: a file, or the content of one in PNG, JPEG, TIFF, BMP or WebP.
        scratch: where the pixels may lie, until the thread decodes the next file.
    """
    try:
        if _length(source) == 0:
            raise Unusable("empty file", "0 bytes; copy or download it again")
        plain = png.decode(source, MAX_PIXELS, scratch)
        if plain is not None:
            return plain
        with opened(source) as image:
            _refuse(image)
            refuse_hollow(image, source)
            image.load()
            return np.asarray(image)
    except FileNotFoundError:
        raise Unusable("missing", "no such file; mend the path or restore the file") from None
    except Image.DecompressionBombError:
        raise Unusable("too large", f"more than {MAX_PIXELS:,} pixels; cut it into tiles") from None
    except MemoryError:
        raise Unusable(
            "too large", "memory does not suffice to decode it; cut it into tiles"
        ) from None
    except UnidentifiedImageError:
        raise Unusable("not an image", _what_instead(source)) from None
    except Unusable:
        raise
    except Exception as error:  # whatever a decoder raises of a broken file
        fault = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise Unusable(fault, f"{error}; copy or download it again") from None


def opened(source: Path | bytes) -> Image.Image:
    """A file or its content as Pillow opens it: the header is read, the pixels are not."""
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)


def refuse_hollow(image: Image.Image, source: Path | bytes) -> None:
    """Raise Unusable where the file is too short for the size in its header.

    A few thousand bytes with a wrong size would otherwise take minutes and gigabytes: a JPEG that
    ends early is filled up with grey.
    """
    (width, height), length = image.size, _length(source)
    if image.format in _BOUNDED and width * height > _PIXELS_A_BYTE * length:
        size = f"{length:,} bytes cannot hold {width}x{height} pixels"
        raise Unusable("truncated", f"{size}; copy or download it again")


def _length(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """The first 128 bits of the SHA-256 of shape and pixels (uint8 [H, W, 3]), hex.

    Processors have instructions for SHA-256, which make it twice as fast as BLAKE2b.
    """
    digest = hashlib.sha256("x".join(map(str, pixels.shape)).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Scanner:
    """How files are scanned.

    Attributes:
        workers: threads; 0 for one a core. Pixels are decoded, hashed and resized outside
            Python's global lock, so threads are enough.
        keep: photographs that are decoded go to the pixel cache at these sizes, too.
        remember: take from the cache what an earlier scan told of files that have not changed
            since, and keep there what this one tells.
        rescan: decode every file all the same.
        cache: folder; by default :func:`magnostic.data.place.default_folder`.
    """

    workers: int = 0
    keep: tuple[Wanted, ...] = ()
    remember: bool = False
    rescan: bool = False
    cache: Path | None = None

    def scan(self, paths: Sequence[Path]) -> list[Scanned | BadFile]:
        """What each file holds, in the order given.

        Raises RunFailed where the disk can't hold what is to be kept.
        """
        known = Known(paths, self.cache) if self.remember else None
        stamps = [Stamp.of(path) if known else None for path in paths]
        found: list[Scanned | BadFile | None] = [None] * len(paths)
        if known and not self.rescan:
            found = [known.told(p, stamp) for p, stamp in zip(paths, stamps, strict=True)]
        new = [place for place, told in enumerate(found) if told is None]
        try:
            with closing(self._decode([paths[place] for place in new])) as decoded:
                for place, told in zip(new, decoded, strict=True):
                    found[place] = told
                    if known and isinstance(told, Scanned):
                        known.remember(paths[place], stamps[place], told)
        finally:  # an interrupted scan goes on from here
            if known:
                known.write()
        return [told for told in found if told is not None]

    def _decode(self, paths: Sequence[Path]) -> Generator[Scanned | BadFile, None, None]:
        with strict_decoding(), ExitStack() as stack:
            writers = [stack.enter_context(w) for w in self._writers(len(paths))]
            pool = stack.enter_context(ThreadPoolExecutor(self.workers or cores()))
            one = functools.partial(
                _scan_one, keep=self.keep, writers=writers, scratch=png.Scratch()
            )
            batches = (paths[i : i + _BATCH] for i in range(0, len(paths), _BATCH))
            # Batches, so that few results wait at a time.
            scanned = (told for batch in batches for told in pool.map(one, batch))
            # Closed before the pool waits, so that an interrupt leaves the rest undecoded.
            stack.enter_context(closing(scanned))
            yield from track(scanned, "decoding images", len(paths))

    def _writers(self, files: int) -> list[Writer]:
        if not files:
            return []
        stores = [Store.of(size, fit, self.cache) for size, fit in self.keep]
        # Which photographs these files hold is not known yet: at worst none that is kept.
        known = [store.known() for store in stores]
        lacking = [max(0, files - len(names)) for names in known]
        needed = sum(n * store.row_bytes for n, store in zip(lacking, stores, strict=True))
        if stores:
            require_space(stores[0].folder, needed)
        for n, store, (size, _) in zip(lacking, stores, self.keep, strict=True):
            announce(n, size, store)
        return [Writer(store, names) for store, names in zip(stores, known, strict=True)]


def announce(photographs: int, size: Size, store: Store) -> None:
    """Say how much will be decoded and written, if it is worth a word."""
    height, width = sides(size)
    megabytes = photographs * store.row_bytes / 2**20
    if megabytes >= 1:
        what = f"decoding {photographs} photographs to {height} x {width} px"
        say(f"{what} ({megabytes:.0f} MiB cache)")


def scan(paths: Sequence[Path], workers: int = 0) -> list[Scanned | BadFile]:
    """Decode every file, in the order given; nothing is kept."""
    return Scanner(workers).scan(paths)


def _scan_one(
    path: Path, keep: Sequence[Wanted], writers: Sequence[Writer], scratch: png.Scratch
) -> Scanned | BadFile:
    try:
        pixels = decode(path, scratch)
    except Unusable as bad:
        return BadFile(path.as_posix(), bad.fault, bad.detail)
    found = Scanned(pixels.shape[1], pixels.shape[0], pixel_hash(pixels))
    name = found.pixel_hash.encode()
    for (size, fit), writer in zip(keep, writers, strict=True):
        if writer.lacks(name):
            writer.add(name, fit_image(Image.fromarray(pixels), size, fit))
    return found


def _refuse(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable("too large", f"{width}x{height} pixels; cut it into tiles")
    if getattr(image, "n_frames", 1) > 1:
        raise Unusable("animated", f"{getattr(image, 'n_frames', 0)} frames; save one of them")
    if image.mode != "RGB":
        raise Unusable("not RGB", f"its mode is {image.mode}; {_AS_RGB}")
    # Pillow opens 16-bit RGB as RGB and drops the low byte without a word.
    if any("16" in _raw_mode(tile) for tile in getattr(image, "tile", ())):
        raise Unusable("not RGB", f"16 bits a channel; {_AS_RGB}")


def _raw_mode(tile: Any) -> str:
    """How a tile's pixels lie in the file; beside it may stand the number of the open file."""
    args = getattr(tile, "args", "")
    return str(args[0] if isinstance(args, tuple) and args else args)


def _what_instead(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return f"it holds {_kind(source[:256])}; send a PNG, JPEG, TIFF, BMP or WebP file"
    try:
        with source.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        return f"{error}; mend its permissions"
    return f"{source.suffix} by name, but it holds {_kind(head)}; replace it or leave it out"


def _kind(head: bytes) -> str:
    try:  # a character cut off at the end of the piece is no fault
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "no image format that is read here (PNG, JPEG, TIFF, BMP, WebP)"
    return "text"
