"""Which slides the phantom has: types, fictitious lab numbers, siblings, the double label.

Every number is synthetic. Lab numbers start at 31000; the largest real one in BreakHis is
29960, so a phantom slide can never be taken for a real one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from magnostic.errors import BadInput
from magnostic.taxonomy import BY_CODE, CODES

YEAR: Final = 14
FIRST_LAB_NUMBER: Final = 31000
LAST_LAB_NUMBER: Final = 39999
LABS: Final = 4

#: Types whose first patient has a second block (as 22549AB and 22549CD in BreakHis).
TWO_BLOCKS: Final = ("A", "MC")
#: Two types that share one lab number (as 21998 in BreakHis).
SHARED_NUMBER: Final = ("F", "PT")
#: One slide id under two labels (as 14-13412 in BreakHis).
DOUBLE_LABEL: Final = ("DC", "LC")


@dataclass(frozen=True)
class Slide:
    """One labelled slide of the phantom.

    ``code`` is the type it is filed under, ``number`` its lab number (the patient), ``block``
    its block letters or "". ``lab`` in [0, LABS) says where it was stained. ``twin`` is the
    other label of the double-labelled slide's second entry, else "".
    """

    code: str
    number: int
    block: str
    lab: int
    twin: str = ""

    @property
    def slide_id(self) -> str:
        """Year, lab number and block letters, as file names have them: ``14-31207AB``."""
        return f"{YEAR}-{self.number}{self.block}"

    @property
    def stem(self) -> str:
        """What stands before the slide id in file names: ``SOB_B_A``."""
        return f"SOB_{BY_CODE[self.code].letter}_{self.code}"

    @property
    def folder(self) -> str:
        """The slide's folder below ``histology_slides/breast``."""
        kind = BY_CODE[self.code]
        return f"{kind.malignancy}/SOB/{kind.folder}/{self.stem}_{self.slide_id}"

    def file_name(self, magnification: int, sequence: int) -> str:
        """``SOB_B_A-14-31207AB-40-001.png``; ``sequence`` counts from 1."""
        return f"{self.stem}-{self.slide_id}-{magnification}-{sequence:03d}.png"


def generator(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """The random numbers of one purpose, whatever else was drawn before, anywhere."""
    return np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(purpose.encode()), *key)))


def phantom_slides(seed: int = 0, patients_per_type: int = 8) -> tuple[Slide, ...]:
    """The slides of one phantom, in the order of the taxonomy.

    Each type has ``patients_per_type`` patients of one slide; beside these, types A and MC
    each have a second block of their first patient, the first patients of F and PT are one
    lab number, and the first DC slide stands a second time under LC.

    Raises BadInput unless 1 <= patients_per_type <= 1000 and seed >= 0.
    """
    if not 1 <= patients_per_type <= 1000:
        raise BadInput(f"patients_per_type is {patients_per_type}; give 1 to 1000")
    if seed < 0:
        raise BadInput(f"seed is {seed}; give 0 or more")
    rng = generator(seed, "slides")
    count = len(CODES) * patients_per_type
    pool = np.arange(FIRST_LAB_NUMBER, LAST_LAB_NUMBER + 1)
    numbers = iter(rng.choice(pool, size=count, replace=False).tolist())
    labs = iter(rng.integers(LABS, size=count).tolist())
    shared: tuple[int, int] | None = None
    doubled: Slide | None = None
    slides: list[Slide] = []
    for code in CODES:
        for patient in range(patients_per_type):
            number, lab = next(numbers), next(labs)
            if patient > 0:
                slides.append(Slide(code, number, "", lab))
            elif code in TWO_BLOCKS:
                slides += [Slide(code, number, block, lab) for block in ("AB", "CD")]
            elif code in SHARED_NUMBER:
                shared = shared or (number, lab)
                block = "CD" if code == SHARED_NUMBER[0] else "AB"
                slides.append(Slide(code, shared[0], block, shared[1]))
            elif code == DOUBLE_LABEL[0]:
                doubled = Slide(code, number, "", lab)
                slides.append(doubled)
            elif code == DOUBLE_LABEL[1] and doubled is not None:
                slides.append(Slide(code, doubled.number, "", doubled.lab, DOUBLE_LABEL[0]))
                slides.append(Slide(code, number, "", lab))
            else:
                slides.append(Slide(code, number, "", lab))
    return tuple(slides)
