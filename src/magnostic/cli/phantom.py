"""``magnostic phantom``: synthetic photographs in the BreakHis tree."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def phantom(
    out: Path,
    *,
    seed: int = 0,
    patients_per_type: int = 8,
    fields_per_magnification: int = 3,
    workers: int = 0,
    stain: Literal["own", "tied", "free"] = "own",
) -> None:
    """Write a procedural H&E phantom: synthetic, for trying things out; no evidence of anything.

    Parameters
    ----------
    out
        New or empty folder; receives BreaKHis_v1/histology_slides/…
    seed
        The same seed gives the same bytes.
    patients_per_type
        Slides of each of the eight tumour types.
    fields_per_magnification
        Photographs of each slide at each of 40X, 100X, 200X and 400X.
    workers
        Processes; 0 takes all cores.
    stain
        own: slides differ as their laboratories and patients do. tied: all are stained alike, but
        malignant ones with twice the haematoxylin. free: every photograph has an amount of
        haematoxylin of its own. The last two are to see who learns the stain for the tissue.
    """
    from magnostic.data.phantom import write_phantom

    root = write_phantom(
        out,
        seed=seed,
        patients_per_type=patients_per_type,
        fields_per_magnification=fields_per_magnification,
        workers=workers,
        stain=stain,
    )
    print(root)
