"""Writing whole files or none: a temporary name beside the target, then a rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from magnostic import __version__
from magnostic.errors import BadInput, DiskFull
from magnostic.progress import amount

#: How names of files end that are not whole yet.
UNFINISHED: Final = ".unfinished"
#: Numbers of OSError that say so: the disk is full, or the user's share of it.
FULL: Final = {errno.ENOSPC, errno.EDQUOT}
#: By name, the newest `version` of a file that is understood here; a file without has the first.
VERSIONS: Final = {
    "run.json": 1,
    "study.json": 1,
    "model.json": 2,
    "metrics.json": 1,
    "calibration.json": 1,
    "controls.json": 1,
    "robustness.json": 1,
    "export.json": 1,
}


@contextlib.contextmanager
def whole_file(target: Path, *, size: int = 0) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it over ``target`` on success.

    Missing folders are made. On an exception the temporary file is removed and what stood at
    ``target`` is left as it was. Raises DiskFull where there is no room.

    Args:
        size: bytes that the file takes, where they are known: for the error.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(UNFINISHED, f".{target.name}.", target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide results from a group
        temporary.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            size = max(size, temporary.stat().st_size if temporary is not None else 0)
        if not is_full(error, target, size):
            raise
        raise DiskFull(full(target, size)) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def is_full(error: OSError, target: Path, size: int) -> bool:
    """Whether the error says that ``size`` bytes at ``target`` found no room."""
    if error.errno is not None:
        return error.errno in FULL
    left = free(target.parent)  # NumPy only says how much was not written
    return left is not None and left < max(size, 2**20)


def full(target: Path, size: int = 0) -> str:
    """That the disk is full: what the file takes (at least; 0: unknown), and what is free."""
    left = free(target.parent)
    needed = f"{amount(size)} or more" if size else "more"
    return (
        f"{target}: the disk is full: {needed} needed for this file, "
        f"{'an unknown amount' if left is None else amount(left)} free; free space, then give the "
        "same command again (train, predict, slide: with --resume)"
    )


def free(folder: Path) -> int | None:
    """Bytes that are free where the folder lies or would lie; None where that can't be known."""
    whole = folder.absolute()
    standing = next((p for p in (whole, *whole.parents) if p.exists()), None)
    try:
        return None if standing is None else shutil.disk_usage(standing).free
    except OSError:
        return None


def sweep(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left unfinished, also ``below``; for folders that are locked."""
    pattern = f".*{UNFINISHED}"
    for left in folder.rglob(pattern) if below else folder.glob(pattern):
        left.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, on systems whose folders can be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(target: Path, text: str) -> None:
    """UTF-8, whole or not at all; raises DiskFull where there is no room."""
    content = text.encode()
    with whole_file(target, size=len(content)) as temporary:
        temporary.write_bytes(content)


def write_json(target: Path, value: Any) -> None:
    """JSON with sorted keys, so that equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Whatever a JSON file holds, unchecked; :func:`read_object` has errors that name the file."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path, error: type[BadInput] = BadInput) -> dict[str, Any]:
    """A JSON object of a run or split; ``error`` names the file if it is missing or broken."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise error(f"{path}: no such file; it belongs to a finished run or split") from None
    except (ValueError, RecursionError) as fault:
        raise error(f"{path}: not valid JSON ({fault}); run the recipe again") from None
    if not isinstance(value, dict):
        raise error(f"{path}: expected a JSON object; run the recipe again")
    _refuse_newer(path, value, error)
    return value


def _refuse_newer(path: Path, value: Mapping[str, Any], error: type[BadInput]) -> None:
    """Raise ``error`` for a file that a later version of this package has written."""
    known, version = VERSIONS.get(path.name), value.get("version", 1)
    if known is None:
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise error(f"{path}: version {version!r} is none; run the recipe again")
    if version <= known:
        return
    by = value.get("written_by")
    writer = f"magnostic {by}" if isinstance(by, str) else "a newer magnostic"
    raise error(
        f"{path}: of version {version}, written by {writer}, and {__version__} here reads up to "
        f"{known}; install that one, or run the recipe again"
    )
