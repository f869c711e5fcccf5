"""Several slides, one after another: a bad one is a row with its error and stops nothing."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from magnostic import __version__
from magnostic.data.scan import walk
from magnostic.deploy.output import write
from magnostic.deploy.predictor import Predictor
from magnostic.errors import BadInput, MagnosticError, MissingExtra
from magnostic.files import read_object, sweep
from magnostic.lock import locked
from magnostic.progress import say
from magnostic.slides import source
from magnostic.slides.one import SUMMARY, predict_slide
from magnostic.slides.settings import Settings

#: Endings by which slides are found in folders.
ENDINGS: Final = (
    ".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".czi",
    *source.PLAIN,
)  # fmt: skip
TABLE: Final = "slides.csv"
_COLUMNS: Final = (
    "path", "folder", "error", "tiles", "tiles_background", "tiles_unread", "tissue_mm2",
    "mean_malignant", "most", "most_share", "review_share", "enlarged",
)  # fmt: skip


@dataclass
class Outcome:
    """Rows of ``slides.csv``, in the order given; ``resumed`` slides were done before."""

    table: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0

    @property
    def bad(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["error"] is not None]


def listed(given: Sequence[str]) -> list[Path]:
    """Slides of files, folders (at any depth, by ending) and quoted globs, in order.

    Raises BadInput where there is none. A file that does not exist is left to become a row.
    """
    found: list[Path] = []
    for text in given:
        here = list(_listed(text))
        if not here:
            raise BadInput(
                f"{text}: no slide in it (looked for {' '.join('*' + e for e in ENDINGS)}); check "
                "the path"
            )
        found += here
    if not found:
        raise BadInput("no slide was given; name files or folders")
    return list(dict.fromkeys(found))


def _listed(text: str) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        for folder, _, names in walk(path):
            yield from (Path(folder, n) for n in names if n.lower().endswith(ENDINGS))
    elif glob.has_magic(text) and not path.exists():
        yield from map(Path, sorted(glob.glob(text, recursive=True)))  # noqa: PTH207
    else:
        yield path


def predict_slides(
    predictor: Predictor,
    slides: Sequence[Path],
    out: Path,
    settings: Settings,
    *,
    resume: bool = False,
) -> Outcome:
    """Predict slides into ``out``: a folder each, and ``slides.csv`` with one row each.

    Args:
        out: a new or empty folder, or with ``resume`` one that an earlier call left.
        resume: keep what is done of the same slides, model and settings.

    Raises:
        BadInput: ``out`` holds something and ``resume`` is not set.
        MissingExtra: a slide needs ``[wsi]``, which is not installed.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; choose another folder (-o)")
    with locked(out):
        if not resume and any(not path.name.startswith(".") for path in out.iterdir()):
            raise BadInput(
                f"{out}: exists; choose another folder (-o), or go on with it by --resume"
            )
        sweep(out)
        outcome = Outcome(out / TABLE)
        for n, (path, name) in enumerate(zip(slides, _names(slides), strict=True), start=1):
            say(f"slide {n} of {len(slides)}: {path.name}")
            outcome.rows.append(_one(predictor, path, out / name, settings, resume, outcome))
            write(outcome.table, outcome.rows, _COLUMNS)
    return outcome


def _one(
    predictor: Predictor,
    path: Path,
    folder: Path,
    settings: Settings,
    resume: bool,
    outcome: Outcome,
) -> dict[str, Any]:
    row: dict[str, Any] = {**dict.fromkeys(_COLUMNS), "path": str(path), "folder": folder.name}
    try:
        identity = _identity(predictor, path, settings)
        told = _done(folder, identity) if resume else None
        if told is not None:
            outcome.resumed += 1
        else:
            (folder / SUMMARY).unlink(missing_ok=True)  # what is beside it is about to change
            told = predict_slide(predictor, path, folder, settings, identity)
    except MissingExtra:
        raise
    except MagnosticError as error:
        say(f"error: {error}")
        return {**row, "folder": None, "error": str(error)}
    except MemoryError:
        return {**row, "folder": None, "error": f"{path}: memory does not suffice to read it"}
    row |= {name: told[name] for name in _COLUMNS if name in told}
    shares = {c: s for c, s in told["class_shares"].items() if s is not None}
    if shares:
        row["most"] = max(shares, key=lambda c: shares[c])
        row["most_share"] = shares[row["most"]]
    return row


def _done(folder: Path, identity: str) -> dict[str, Any] | None:
    """The summary of a slide that is done already."""
    if not (folder / SUMMARY).is_file():
        return None
    told = read_object(folder / SUMMARY)
    return told if told.get("identity") == identity else None


def _names(slides: Sequence[Path]) -> list[str]:
    """A folder for each slide, named after its file; numbered where two have the same name."""
    names: list[str] = []
    for path in slides:
        stem, number = path.stem or "slide", 2
        name = stem
        while name in names or name == TABLE:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def _identity(predictor: Predictor, path: Path, settings: Settings) -> str:
    try:
        state = path.stat()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}; check the path") from None
    about = predictor.about
    told = [
        __version__, about.digest, predictor.engine.name, predictor.rules.level,
        settings.identity(), path.name, state.st_size, state.st_mtime_ns,
    ]  # fmt: skip
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()
