"""What is under every pixel of a photograph of a phantom that lies on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, get_args

from magnostic.data.breakhis import parse_name
from magnostic.data.phantom.render import Field, render_field
from magnostic.data.phantom.slides import phantom_slides
from magnostic.data.phantom.stain import Stain
from magnostic.data.phantom.write import MARKER, VERSION, shown_slide
from magnostic.errors import DataError

_NEXT: Final = "write the phantom again with magnostic phantom"


class Truth:
    """Draws the photographs of a written phantom again, each with its structures.

    Args:
        root: of its tree, which holds ``PHANTOM.json``.

    Raises DataError where that is missing, broken, or of another version.
    """

    def __init__(self, root: Path) -> None:
        path = root / MARKER
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            if settings["version"] != VERSION:
                raise DataError(f"{path}: of version {settings['version']}; {_NEXT}")
            self._seed = int(settings["seed"])
            self._fields = int(settings["fields_per_magnification"])
            self._stain: Stain = settings["stain"]
            slides = phantom_slides(self._seed, int(settings["patients_per_type"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: does not describe a phantom ({error}); {_NEXT}") from None
        if self._stain not in get_args(Stain):
            raise DataError(f"{path}: stain {self._stain!r} is not known; {_NEXT}")
        self._slides = {(slide.code, slide.slide_id): slide for slide in slides}

    def field(self, file: str) -> Field:
        """The photograph of this name, with what is under every pixel.

        Raises DataError for a name that is none of this phantom's.
        """
        try:
            name = parse_name(file)
        except ValueError as error:
            raise DataError(f"{file}: {error}") from None
        slide = self._slides.get((name.type, name.slide_id))
        if slide is None or not 1 <= name.sequence <= self._fields:
            raise DataError(f"{file}: not a photograph of this phantom; check the name")
        place = name.sequence - 1
        seen = shown_slide(slide, place, self._fields)
        return render_field(seen, name.magnification, place, self._seed, stain=self._stain)
