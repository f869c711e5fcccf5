"""From what a reader found to a checked images table, or one error that lists every bad file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from magnostic.data.images import COLUMNS, BadFile, Images
from magnostic.data.known import Scanned
from magnostic.errors import DataError

_SHOWN: Final = 20
_TEXT: Final = [c.name for c in COLUMNS if c.name not in ("magnification", "width", "height")]


@dataclass(frozen=True)
class Found:
    """A reader's findings.

    Attributes:
        root: what was read; bad files are named relative to it.
        frame: columns of the images table; those missing are taken as unknown.
        scanned: what decoding told of each row, or None where the frame brings size and hash.
        bad: files that did not even become rows.
    """

    root: Path
    frame: pd.DataFrame
    scanned: Sequence[Scanned | BadFile] | None
    bad: list[BadFile] = field(default_factory=list)
    synthetic: bool = False


def assemble(found: Found, on_bad: str) -> Images:
    """The images table, sorted by ``image_id``.

    Raises DataError when files are bad and ``on_bad`` is ``stop``, or when no usable one is left.
    """
    frame, bad = found.frame, list(found.bad)
    if found.scanned is not None:
        good = np.fromiter((isinstance(s, Scanned) for s in found.scanned), bool, len(frame))
        bad += [s for s in found.scanned if isinstance(s, BadFile)]
        whole = [s for s in found.scanned if isinstance(s, Scanned)]
        frame = frame.loc[good].assign(
            width=[s.width for s in whole],
            height=[s.height for s in whole],
            pixel_hash=[s.pixel_hash for s in whole],
        )
    home = found.root if found.root.is_dir() else found.root.parent
    bad = sorted((_relative(b, home) for b in bad), key=lambda b: (b.path, b.detail))
    if bad and (on_bad == "stop" or frame.empty):
        raise DataError(_complaint(found.root, bad, len(frame)))
    return Images(tidy(frame), found.synthetic, tuple(bad))


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """All columns of the images table in order and type, sorted by ``image_id``, index 0..n-1."""
    frame = frame.reindex(columns=[c.name for c in COLUMNS])
    frame = frame.sort_values("image_id", ignore_index=True)
    for name in _TEXT:
        frame[name] = frame[name].astype("str")
    # float64 with NaN where unknown is also what Parquet gives back
    mag = pd.to_numeric(frame["magnification"])
    frame["magnification"] = mag.astype("float64" if mag.isna().any() else "int16")
    return frame.astype({"width": "int32", "height": "int32"})


def _relative(bad: BadFile, home: Path) -> BadFile:
    """The file named from the data set's folder, so that no table or report names the machine."""
    prefix = home.as_posix().rstrip("/") + "/"
    return BadFile(bad.path.removeprefix(prefix), bad.fault, bad.detail.replace(prefix, ""))


def _complaint(root: Path, bad: Sequence[BadFile], usable: int) -> str:
    files = "1 bad file" if len(bad) == 1 else f"{len(bad)} bad files"
    if usable == 0:
        head = f"{root}: {files} and no usable image; mend them or give another folder"
    else:
        head = f"{root}: {files} ({usable} usable); mend them, or leave them out with --on-bad skip"
    lines = [f"  {b.path}: {b.fault}: {b.detail}" for b in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  … and {len(bad) - _SHOWN} more")
    return "\n".join([head, *lines])
