"""Comparing run folders: every file bit for bit, but for how long things took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


def differences(one: Path, other: Path) -> list[str]:
    """Relative paths of files that differ or that one of the folders lacks."""
    here, there = (set(_files(folder)) for folder in (one, other))
    found = [str(name) for name in sorted(here ^ there)]
    found += [
        str(name) for name in sorted(here & there) if _content(one / name) != _content(other / name)
    ]
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder)


def _content(path: Path) -> object:
    if path.name == "history.jsonl":
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    return path.read_bytes()
