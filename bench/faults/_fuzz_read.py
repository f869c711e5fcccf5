"""The ways in which photographs are read, each of which must end in pixels or a stated refusal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _fuzz_images import Spoilt
from PIL import Image

from magnostic.data import png
from magnostic.data.scan import Scanned, Scanner, pixel_hash
from magnostic.data.strict import strict_decoding
from magnostic.deploy.photograph import Input, read
from magnostic.deploy.server import content
from magnostic.deploy.server.settings import Settings
from magnostic.errors import MagnosticError
from magnostic.slides.source import open_slide

_SIZE = 64


class Wrong(Exception):
    """A result that cannot be right."""


@dataclass
class Reader:
    """Reads one file in every way.

    Attributes:
        folder: for the files.
        client: of a running application, asked for every ``every``-th file; None: never.
    """

    folder: Path
    client: Any = None
    every: int = 10
    _asked: int = 0

    def __call__(self, given: Spoilt) -> bool:
        """Whether it was read by indexing. Raises whatever is no proper end."""
        path = self.folder / f"input.{given.kind}"
        path.write_bytes(given.data)
        told = Scanner(1).scan([path])[0]
        read_here = isinstance(told, Scanned)
        if not read_here:
            memory_suffices(str(told))
        if given.whole and not read_here:
            raise Wrong(f"a whole file was refused: {told}")
        known = None if given.pixels is None else pixel_hash(given.pixels)
        if isinstance(told, Scanned) and known not in (None, told.pixel_hash):
            raise Wrong("a whole file gave other pixels")
        with strict_decoding():
            as_file = _input(read(str(path), _SIZE, "squeeze"))
            as_bytes = _input(read(given.data, _SIZE, "squeeze"))
        if isinstance(told, Scanned):
            for found in (as_file, as_bytes):
                if found and (found.width, found.height) != (told.width, told.height):
                    raise Wrong(f"{told.width}x{told.height} and {found.width}x{found.height}")
        if as_file and as_bytes and not np.array_equal(as_file.pixels, as_bytes.pixels):
            raise Wrong("a file and its content gave other pixels")
        if as_file and not read_here:
            raise Wrong(f"predicted, but refused by the index: {told}")
        self._fast(given.data)
        self._upload(given)
        self._slide(path, given)
        return read_here

    def _fast(self, data: bytes) -> None:
        """What libspng takes for plain must be what Pillow makes of it."""
        pixels = png.decode(data, 10**7)
        if pixels is None:
            return
        with strict_decoding(), Image.open(_stream(data)) as image:
            if not np.array_equal(np.asarray(image), pixels):
                raise Wrong("libspng and Pillow gave other pixels")

    def _upload(self, given: Spoilt) -> None:
        with strict_decoding():
            refused = content.refusal(given.data)
            if refused is None:
                _input(read(given.data, _SIZE, "squeeze", Settings().max_pixels))
        self._asked += 1
        if self.client is None or self._asked % self.every:
            return
        sent = [("images", (f"input.{given.kind}", given.data, "application/octet-stream"))]
        answer = self.client.post("/v1/predict", files=sent)
        if answer.status_code not in (200, 413, 415, 422):
            raise Wrong(f"the server answered {answer.status_code}: {answer.text[:300]}")
        if refused is not None and answer.status_code != 422:
            raise Wrong(f"the server took what it should refuse ({refused})")

    def _slide(self, path: Path, given: Spoilt) -> None:
        if given.kind not in ("png", "jpg", "tif"):
            return
        try:
            slide = open_slide(path)
            try:
                width, height = (min(side, 200) for side in slide.size)
                for level in range(len(slide.downsamples)):
                    seen = slide.read(0, 0, level, width, height)
                    if seen.mode != "RGB" or seen.size != (width, height):
                        raise Wrong(f"a part of a slide is {seen.mode} {seen.size}")
            finally:
                slide.close()
        except MagnosticError as error:
            memory_suffices(str(error))


def memory_suffices(said: str) -> None:
    """Wrong where a refusal says otherwise: one allocation was beyond the worker's limit."""
    if "memory does not suffice" in said:
        raise Wrong(f"more memory was asked for than there is: {said[:300]}")


def _input(told: Input | str) -> Input | None:
    if isinstance(told, str):
        if not told or "\n" in told.strip():
            raise Wrong(f"a refusal that is no sentence: {told!r}")
        memory_suffices(told)
        return None
    if told.pixels.shape != (_SIZE, _SIZE, 3) or told.pixels.dtype != np.uint8:
        raise Wrong(f"an input of {told.pixels.dtype} {told.pixels.shape}")
    return told


def _stream(data: bytes) -> Any:
    import io

    return io.BytesIO(data)
