"""Writes a synthetic data set as a BreakHis tree."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from PIL import Image, PngImagePlugin

from magnostic.data.phantom.render import Field, render_field
from magnostic.data.phantom.slides import Slide, phantom_slides
from magnostic.data.phantom.stain import PATIENT_EFFECT, Stain
from magnostic.data.phantom.view import MICRONS_PER_PIXEL
from magnostic.errors import BadInput
from magnostic.processors import cores
from magnostic.progress import track
from magnostic.taxonomy import MAGNIFICATIONS

ROOT: Final = "BreaKHis_v1"
MARKER: Final = "PHANTOM.json"
COMMENT: Final = "synthetic: magnostic phantom"
VERSION: Final = 1


def shown_slide(slide: Slide, field: int, fields: int) -> Slide:
    """The slide whose tissue stands under a label in a field.

    The slide with two labels shows the first half of the first label's photographs under the
    second label too, pixel for pixel, as 14-13412 does in BreakHis; the rest are its own.
    """
    if slide.twin and field < (fields + 1) // 2:
        return replace(slide, code=slide.twin, twin="")
    return slide


def save(field: Field, path: Path) -> None:
    """One photograph as PNG, 8 bit RGB, marked as synthetic in its Comment."""
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", COMMENT)
    Image.fromarray(field.rgb).save(path, pnginfo=note, compress_level=1)


def _write_place(job: tuple[str, Slide, int, int, int, Stain]) -> None:
    """All magnifications of one place."""
    breast, slide, field, fields, seed, stain = job
    for magnification in MAGNIFICATIONS:
        shown = shown_slide(slide, field, fields)
        seen = render_field(shown, magnification, field, seed, stain=stain)
        folder = Path(breast, slide.folder, f"{magnification}X")
        folder.mkdir(parents=True, exist_ok=True)
        save(seen, folder / slide.file_name(magnification, field + 1))


def write_phantom(
    out: Path,
    *,
    seed: int = 0,
    patients_per_type: int = 8,
    fields_per_magnification: int = 3,
    workers: int = 0,
    stain: Stain = "own",
) -> Path:
    """Writes a synthetic data set and returns its root, ``out/BreaKHis_v1``.

    Synthetic: drawn by a program, no photograph and no patient in it. It shows that the
    machinery runs and that a protocol finds what was put in; it is evidence of nothing about
    tumours. ``PHANTOM.json`` in the root, and a comment in every file, say so.

    ``patients_per_type`` patients for each of the eight types, three slides more (two second
    blocks and the second label of a double-labelled slide), and
    ``fields_per_magnification`` photographs of each slide at each of 40, 100, 200 and 400X.
    ``workers`` processes (0: one a core) do not change a byte; seed and sizes alone decide
    (with the same versions of numpy, scipy and Pillow). ``stain`` tied or free: slides do
    not differ in stain and texture, but malignant ones have twice the haematoxylin of benign ones
    (tied), or every photograph an amount of its own (free), so that it is known what a network may
    have learnt instead of tissue. Such a set's source is ``phantom-tied`` or ``phantom-free``.

    Raises BadInput if ``out`` holds anything, or for numbers below 1. An interrupted call
    leaves ``out`` without a tree.
    """
    if fields_per_magnification < 1:
        raise BadInput(f"fields_per_magnification is {fields_per_magnification}; give 1 or more")
    if workers < 0:
        raise BadInput(f"workers is {workers}; give 0 (one a core) or more")
    slides = phantom_slides(seed, patients_per_type)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is not an empty folder; name a new one for the phantom")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        root = temporary / ROOT
        breast = root / "histology_slides" / "breast"
        jobs = [
            (str(breast), slide, field, fields_per_magnification, seed, stain)
            for slide in slides
            for field in range(fields_per_magnification)
        ]
        what = f"drawing places at {len(MAGNIFICATIONS)} magnifications"
        processes = min(workers or cores(), len(jobs))
        if processes == 1:
            for job in track(jobs, what, len(jobs)):
                _write_place(job)
        else:
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                drawn = pool.imap_unordered(_write_place, jobs, chunksize=2)
                for _ in track(drawn, what, len(jobs)):
                    pass
        settings = {
            "synthetic": True,
            "generator": "magnostic phantom",
            "version": VERSION,
            "seed": seed,
            "patients_per_type": patients_per_type,
            "fields_per_magnification": fields_per_magnification,
            "patient_effect": PATIENT_EFFECT if stain == "own" else 0.0,
            "stain": stain,
            "microns_per_pixel": {str(m): p for m, p in MICRONS_PER_PIXEL.items()},
        }
        (root / MARKER).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        root.rename(out / ROOT)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out / ROOT
