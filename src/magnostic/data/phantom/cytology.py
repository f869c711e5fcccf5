"""What the cells of each type look like: the numbers, and their spread between patients.

Sizes in micrometres. After the usual descriptions (WHO Classification of Breast Tumours, 5th
edition): benign glands keep two cell layers, ductal carcinoma has large pleomorphic vesicular
nuclei with nucleoli, lobular small uniform ones, papillary crowded columns of dark elongated
ones, mucinous bland ones. Synthetic: chosen to be recognisable, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from magnostic.data.phantom.slides import Slide, generator


@dataclass(frozen=True)
class Cytology:
    """Epithelial cells and stroma of one slide.

    ``nucleus`` mean diameter, ``pleomorphism`` its coefficient of variation, ``aspect``
    length over width, ``crowding`` distance between nuclei, ``dark`` haematoxylin of a
    nucleus, ``vesicular`` in [0, 1] how far its middle is pale, ``nucleolus`` in [0, 1],
    ``granular`` chromatin contrast. ``cytoplasm_eosin`` and ``cytoplasm_haematoxylin`` are
    concentrations. ``stroma_cells`` per square millimetre, ``spindle`` their length,
    ``stroma_eosin`` and ``stroma_blue`` concentrations, ``loose`` in [0, 1] how open the
    fibres lie, ``lymphocytes`` per square millimetre, ``size`` scales glands and nests.
    """

    nucleus: float
    pleomorphism: float
    aspect: float
    crowding: float
    dark: float
    vesicular: float
    nucleolus: float
    granular: float
    cytoplasm_eosin: float
    cytoplasm_haematoxylin: float
    stroma_cells: float
    spindle: float
    stroma_eosin: float
    stroma_blue: float
    loose: float
    lymphocytes: float
    size: float = 1.0
    trait: float = 0.5


TYPICAL: Final[dict[str, Cytology]] = {
    "A": Cytology(6.8, 0.10, 1.15, 7.4, 1.15, 0.25, 0.1, 0.25, 0.26, 0.22,
                  700, 11, 0.62, 0.04, 0.25, 120),
    "F": Cytology(6.8, 0.10, 1.45, 6.6, 1.10, 0.30, 0.1, 0.25, 0.26, 0.24,
                  900, 12, 0.30, 0.12, 0.75, 20),
    "PT": Cytology(7.2, 0.13, 1.45, 6.4, 1.15, 0.35, 0.15, 0.30, 0.26, 0.26,
                   4600, 16, 0.34, 0.15, 0.50, 20),
    "TA": Cytology(7.0, 0.07, 1.10, 7.6, 1.00, 0.40, 0.1, 0.20, 0.30, 0.20,
                   800, 9, 0.34, 0.06, 0.60, 60),
    "DC": Cytology(10.8, 0.24, 1.30, 13.0, 1.00, 0.65, 0.85, 0.45, 0.36, 0.20,
                   1100, 15, 0.60, 0.05, 0.30, 350),
    "LC": Cytology(7.4, 0.10, 1.12, 10.5, 1.10, 0.35, 0.15, 0.25, 0.30, 0.14,
                   500, 13, 0.60, 0.02, 0.30, 60),
    "MC": Cytology(7.8, 0.12, 1.15, 9.4, 1.00, 0.40, 0.25, 0.25, 0.32, 0.16,
                   600, 12, 0.46, 0.05, 0.40, 40),
    "PC": Cytology(7.8, 0.12, 1.75, 7.2, 1.25, 0.35, 0.3, 0.35, 0.30, 0.28,
                   900, 10, 0.42, 0.06, 0.45, 80),
}  # fmt: skip


#: What else grows in tumours of a type, by the same text books: mixed and borderline tumours
#: are common, and they are what makes the types hard to tell.
COMPANIONS: Final[dict[str, tuple[str, ...]]] = {
    "A": ("TA", "F"),
    "F": ("PT", "A"),
    "PT": ("F",),
    "TA": ("A", "F"),
    "DC": ("PC", "LC", "MC", "A"),
    "LC": ("DC", "A"),
    "MC": ("DC", "PC"),
    "PC": ("DC", "MC"),
}
#: A patient's mean share of the companion's tissue lies between these.
COMPANION_SHARE: Final = (0.10, 0.50)
#: Largest weight of the companion's cytology in a patient's own.
LARGEST_BLEND: Final = 0.75


def blend(first: Cytology, second: Cytology, weight: float) -> Cytology:
    """Geometric mean of two cytologies, ``weight`` in [0, 1] for the second."""
    return Cytology(
        *(
            max(getattr(first, f.name), 1e-3) ** (1 - weight)
            * max(getattr(second, f.name), 1e-3) ** weight
            for f in fields(Cytology)
        )
    )


def slide_companion(slide: Slide, seed: int) -> tuple[str, float]:
    """(type that also grows in this patient's tumour, its mean share of the tissue)."""
    rng = generator(seed, f"companion {slide.code}", slide.number)
    return str(rng.choice(COMPANIONS[slide.code])), float(rng.uniform(*COMPANION_SHARE))


def slide_cytology(slide: Slide, seed: int) -> tuple[Cytology, Cytology]:
    """A patient's own version of the slide's type: real tumours of one type differ too.

    This spread is biology and does not scale with the patient effect. ``trait`` in [0, 1]
    says which of the type's variants grows (slits or tubes, solid or cribriform nests, …).
    Returns the type's own cells and those of the companion, each a blend of both.
    """
    rng = generator(seed, f"cytology {slide.code}", slide.number)
    own, other = TYPICAL[slide.code], TYPICAL[slide_companion(slide, seed)[0]]
    weight = float(rng.uniform(0, LARGEST_BLEND))
    c = blend(own, other, weight)

    def vary(value: float, spread: float) -> float:
        return value * float(np.exp(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread)))

    mine = replace(
        c,
        nucleus=vary(c.nucleus, 0.06),
        pleomorphism=vary(c.pleomorphism, 0.20),
        aspect=max(1.0, vary(c.aspect, 0.06)),
        crowding=vary(c.crowding, 0.06),
        dark=vary(c.dark, 0.12),
        vesicular=float(np.clip(vary(c.vesicular, 0.25), 0, 0.95)),
        nucleolus=float(np.clip(vary(c.nucleolus, 0.25), 0, 1)),
        granular=vary(c.granular, 0.20),
        cytoplasm_eosin=vary(c.cytoplasm_eosin, 0.15),
        cytoplasm_haematoxylin=vary(c.cytoplasm_haematoxylin, 0.20),
        stroma_cells=vary(c.stroma_cells, 0.25),
        spindle=vary(c.spindle, 0.10),
        stroma_eosin=vary(c.stroma_eosin, 0.15),
        stroma_blue=vary(c.stroma_blue, 0.30),
        loose=float(np.clip(vary(c.loose, 0.20), 0, 1)),
        lymphocytes=vary(c.lymphocytes, 0.60),
        size=vary(1.0, 0.15),
        trait=float(rng.uniform()),
    )
    return mine, blend(other, mine, 0.5)


def field_cytology(c: Cytology, rng: np.random.Generator) -> Cytology:
    """A place's own version of its slide's cytology: no tumour is the same throughout."""

    def vary(value: float, spread: float) -> float:
        return value * float(np.exp(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread)))

    large = vary(1.0, 0.06)
    return replace(
        c,
        nucleus=c.nucleus * large,
        crowding=c.crowding * large,
        dark=vary(c.dark, 0.15),
        vesicular=float(np.clip(c.vesicular + rng.normal(0, 0.1), 0, 0.95)),
        cytoplasm_eosin=vary(c.cytoplasm_eosin, 0.25),
        cytoplasm_haematoxylin=vary(c.cytoplasm_haematoxylin, 0.25),
        stroma_cells=vary(c.stroma_cells, 0.35),
        stroma_eosin=vary(c.stroma_eosin, 0.28),
        stroma_blue=vary(c.stroma_blue, 0.35),
        loose=float(np.clip(c.loose + rng.uniform(-0.35, 0.35), 0, 1)),
        lymphocytes=c.lymphocytes * float(rng.gamma(1.0)),
        size=vary(c.size, 0.14),
        trait=float(np.clip(c.trait + rng.uniform(-0.4, 0.4), 0, 1)),
    )
