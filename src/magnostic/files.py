"""Writing whole files or none: a temporary name beside the target, then a rename."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from magnostic.errors import BadInput, RunFailed
from magnostic.progress import amount

#: How names of files end that are not whole yet.
UNFINISHED: Final = ".unfinished"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it over ``target`` on success.

    Missing folders are made. On an exception the temporary file is removed and what stood at
    ``target`` is left as it was. Raises RunFailed where the disk is full.
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
        if error.errno not in _FULL:
            raise
        raise RunFailed(full(target, temporary)) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def full(target: Path, temporary: Path | None = None, size: int = 0) -> str:
    """That the disk is full: what the file takes (what was written of it at least), what is free.

    Args:
        size: bytes, where they are known.
    """
    with contextlib.suppress(OSError):
        size = max(size, temporary.stat().st_size if temporary is not None else 0)
    free = "an unknown amount"
    with contextlib.suppress(OSError):
        free = amount(shutil.disk_usage(target.parent).free)
    needed = f"{amount(size)} or more" if size else "more"
    return (
        f"{target}: the disk is full: {needed} needed for this file, {free} free; free space, then "
        "give the same command again (train, predict, slide: with --resume)"
    )


def sweep(folder: Path) -> None:
    """Remove what killed processes left unfinished; for folders that are locked."""
    for left in folder.rglob(f".*{UNFINISHED}"):
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
    with whole_file(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """JSON with sorted keys, so that equal values give equal bytes."""
    write_text(target, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read_object(path: Path, error: type[BadInput] = BadInput) -> dict[str, Any]:
    """A JSON object of a run or split; ``error`` names the file if it is missing or broken."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise error(f"{path}: no such file; it belongs to a finished run or split") from None
    except ValueError as fault:
        raise error(f"{path}: not valid JSON ({fault}); run the recipe again") from None
    if not isinstance(value, dict):
        raise error(f"{path}: expected a JSON object; run the recipe again")
    return value
