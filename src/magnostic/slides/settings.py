"""What is asked for, of every slide of one command."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from magnostic.errors import BadInput
from magnostic.processors import check_workers
from magnostic.slides import scale

#: Width and height of a BreakHis photograph, pixels.
PHOTOGRAPH: Final = (700, 460)
#: Least share of tissue in a tile that is predicted.
LEAST_TISSUE: Final = 0.25


@dataclass(frozen=True)
class Settings:
    """How slides are cut into tiles.

    Attributes:
        magnification: of the tiles as BreakHis counts it, or None where ``mpp`` is given.
        mpp: micrometres a pixel of the tiles, or None where ``magnification`` is given.
        pixels: width and height of a tile; by default those of a BreakHis photograph.
        least_tissue: share in [0, 1] below which a tile is passed over.
        slide_mpp, objective: how fine the slides are, where it isn't for their files to say.
        workers: reading threads; 0: one a core.
    """

    magnification: float | None = None
    mpp: float | None = None
    pixels: tuple[int, int] = PHOTOGRAPH
    least_tissue: float = LEAST_TISSUE
    slide_mpp: float | None = None
    objective: float | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        """Raise BadInput for what cannot be meant."""
        _ = self.wanted_mpp
        if min(self.pixels) < 1 or max(self.pixels) > 10_000:
            raise BadInput(f"--tile {self.pixels[0]} {self.pixels[1]}: give 1 to 10000 pixels each")
        if not (math.isfinite(self.least_tissue) and 0 <= self.least_tissue <= 1):
            raise BadInput(f"--tissue {self.least_tissue:g}: give a share from 0 to 1")
        check_workers(self.workers)

    @property
    def wanted_mpp(self) -> float:
        """Micrometres a pixel of the tiles."""
        return scale.wanted(self.magnification, self.mpp)

    def identity(self) -> dict[str, Any]:
        """All that decides the results."""
        told = asdict(self)
        del told["workers"]
        return told
