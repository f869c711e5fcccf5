"""Files of a run folder as the browser may have them: inside it, no link, of a known kind."""

from __future__ import annotations

import csv
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

#: Content type of what is sent as it is, by ending.
RAW: Final = {
    ".html": "text/html; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
#: What is shown inside a page of the browser.
TABLES: Final = (".csv",)
PROSE: Final = (".md",)
TEXT: Final = (".yaml", ".json", ".jsonl", ".txt", ".geojson")
#: What can only be saved; browsers show no PDF that is as confined as files of a run are.
SAVED: Final = (".parquet", ".pdf")
#: Bytes, and rows of a table, beyond which a page shows the beginning alone.
MOST_BYTES: Final = 400_000
MOST_ROWS: Final = 2_000

Shown = Literal["raw", "table", "prose", "text", "saved"]


class Refused(Exception):
    """The path names nothing that may be sent; says why."""


@dataclass(frozen=True)
class Entry:
    """A file of a run: its path below the folder, how it is shown, and its size in bytes."""

    name: str
    shown: Shown
    size: int


def shown_as(path: str) -> Shown | None:
    """How a file of this name is shown; None: not at all."""
    ending = Path(path).suffix.lower()
    kinds: tuple[tuple[Shown, tuple[str, ...]], ...] = (
        ("raw", tuple(RAW)), ("table", TABLES), ("prose", PROSE), ("text", TEXT), ("saved", SAVED),
    )  # fmt: skip
    return next((kind for kind, endings in kinds if ending in endings), None)


def inside(folder: Path, name: str) -> Path:
    """The file ``name`` (parts divided by ``/``) of ``folder``.

    Raises Refused for a path that leaves the folder or crosses a link, a hidden name, another kind
    of file than :func:`shown_as` knows, or no regular file.
    """
    parts = name.split("/")
    if "\\" in name or "\0" in name or any(not p or p.startswith(".") for p in parts):
        raise Refused("not a path inside the run")
    if shown_as(name) is None:
        raise Refused("not a kind of file that is shown here")
    here = folder
    try:
        for part in parts:
            here = here / part
            if stat.S_ISLNK(here.lstat().st_mode):
                raise Refused("a link; only files of the run itself are shown")
        if not stat.S_ISREG(here.lstat().st_mode):
            raise Refused("not a file")
        # What a drive or file system of another kind makes of the name must lie inside, too.
        here.resolve(strict=True).relative_to(folder.resolve(strict=True))
    except (OSError, ValueError):
        raise Refused("no such file in the run") from None
    return here


def listed(folder: Path, below: str = "") -> list[Entry]:
    """Files of the folder itself, or of one of its subfolders, that may be shown; by name."""
    here = folder / below
    if here.is_symlink() or not here.is_dir():
        return []
    found = []
    for path in sorted(here.iterdir()):
        name = f"{below}/{path.name}" if below else path.name
        shown = shown_as(name)
        if shown is None or path.name.startswith(".") or path.is_symlink() or not path.is_file():
            continue
        found.append(Entry(name, shown, path.stat().st_size))
    return found


def text(path: Path) -> tuple[str, bool]:
    """Text of the file, and whether it was cut at :data:`MOST_BYTES`."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    return data[:MOST_BYTES].decode("utf-8", errors="replace"), len(data) > MOST_BYTES


def rows(path: Path) -> tuple[list[list[str]], bool]:
    """Rows of a CSV file, the heading first, and whether there are more than are shown."""
    content, cut = text(path)
    found = list(csv.reader(io.StringIO(content)))
    if cut and found:
        found.pop()  # its last line may be half a line
    return found[: MOST_ROWS + 1], cut or len(found) > MOST_ROWS + 1
