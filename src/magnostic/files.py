"""Writing whole files or none: a temporary name beside the target, then a rename."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from magnostic.errors import BadInput


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; rename it over ``target`` on success.

    Missing folders are made. On an exception the temporary file is removed and what stood at
    ``target`` is left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp's 0600 would hide results from a group
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


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
