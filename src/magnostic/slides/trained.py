"""What a run says of the photographs that it was trained on, so that tiles can be like them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from magnostic.errors import BadInput
from magnostic.files import read_object
from magnostic.slides.settings import PHOTOGRAPH
from magnostic.stored import data_of


@dataclass(frozen=True)
class Photographs:
    """Attributes:
    pixels: width and height that most have; BreakHis's where the folder does not say.
    magnifications: magnification -> how many; empty where unknown.
    """

    pixels: tuple[int, int] = PHOTOGRAPH
    magnifications: Counter[float] = field(default_factory=Counter)

    @staticmethod
    def of(run: Path) -> Photographs:
        """From ``data.json`` of a run, or of the run that a model lies in."""
        path = data_of(run)
        return Photographs() if path is None else _of(path)

    def told(self) -> str:
        """Magnifications for people, the commonest first."""
        return ", ".join(f"{m:g}X ({n})" for m, n in self.magnifications.most_common())


def _of(path: Path) -> Photographs:
    content = read_object(path)
    try:
        sizes = Counter({k: int(n) for k, n in content.get("sizes", {}).items()})
        counted: Counter[float] = Counter()
        for by_magnification in content.get("counts", {}).values():
            for name, n in by_magnification.items():
                if name.replace(".", "", 1).isdigit():  # unknown ones are named in words
                    counted[float(name)] += int(n)
        width, height = map(int, sizes.most_common(1)[0][0].split("x")) if sizes else PHOTOGRAPH
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: not what a run writes ({error}); give --tile") from None
    return Photographs((width, height), counted)
