"""The vocabulary of BreakHis: tumour types, malignancy, magnifications. Nothing else.

Source: Spanhol et al., IEEE TBME 63(7), 2016, doi 10.1109/TBME.2015.2496264.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Malignancy = Literal["benign", "malignant"]

MALIGNANCIES: Final[tuple[Malignancy, ...]] = ("benign", "malignant")
MAGNIFICATIONS: Final[tuple[int, ...]] = (40, 100, 200, 400)


@dataclass(frozen=True)
class TumourType:
    """One of the eight types.

    ``code`` stands in file names (``SOB_B_A-…``), ``folder`` in the tree, ``letter`` is the
    malignancy as file names spell it (``B`` or ``M``).
    """

    code: str
    folder: str
    malignancy: Malignancy

    @property
    def name(self) -> str:
        return self.folder.replace("_", " ")

    @property
    def letter(self) -> str:
        return self.malignancy[0].upper()


TUMOUR_TYPES: Final[tuple[TumourType, ...]] = (
    TumourType("A", "adenosis", "benign"),
    TumourType("F", "fibroadenoma", "benign"),
    TumourType("PT", "phyllodes_tumor", "benign"),
    TumourType("TA", "tubular_adenoma", "benign"),
    TumourType("DC", "ductal_carcinoma", "malignant"),
    TumourType("LC", "lobular_carcinoma", "malignant"),
    TumourType("MC", "mucinous_carcinoma", "malignant"),
    TumourType("PC", "papillary_carcinoma", "malignant"),
)
BY_CODE: Final[dict[str, TumourType]] = {t.code: t for t in TUMOUR_TYPES}
BY_FOLDER: Final[dict[str, TumourType]] = {t.folder: t for t in TUMOUR_TYPES}
CODES: Final[tuple[str, ...]] = tuple(t.code for t in TUMOUR_TYPES)
