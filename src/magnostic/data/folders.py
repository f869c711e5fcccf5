"""Class folders: one folder a class, its photographs at any depth below. No patient is known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from magnostic.data.assemble import Found, assemble
from magnostic.data.images import BadFile, Images
from magnostic.data.labels import known_labels
from magnostic.data.scan import Scanner
from magnostic.data.summary import counted
from magnostic.errors import DataError


def read(root: Path, files: list[Path], on_bad: str, scanner: Scanner) -> Images:
    """The images table of a folder of class folders.

    ``image_id`` is the path below ``root``; ``label`` the class folder's name.
    Slide, patient and accession stay unknown, so grouped protocols will refuse this data set.
    A photograph beside the class folders is a bad file.
    """
    inside = [f for f in files if f.parent != root]
    if not inside:
        raise DataError(
            f"{root}: {counted(len(files), 'image')}, but no class folder; put each class's images "
            "into a folder named after it, or give a manifest.csv with columns path,label"
        )
    detail = "lies beside the class folders; move it into one"
    beside = [f for f in files if f.parent == root]
    bad = [BadFile(f.as_posix(), "label unknown", detail) for f in beside]
    label = pd.Series([f.relative_to(root).parts[0] for f in inside], dtype="str")
    frame = pd.DataFrame(
        {
            "image_id": [f.relative_to(root).as_posix() for f in inside],
            "path": [f.as_posix() for f in inside],
            "label": label,
            "source": root.name,
        }
    ).assign(**known_labels(label))
    scanned = scanner.scan(inside)
    return assemble(Found(root, frame, scanned, bad), on_bad)
