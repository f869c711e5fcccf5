"""Looking at run folders: every file bit for bit, but for how long things took; whole or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import safetensors.numpy
import yaml


def differences(one: Path, other: Path) -> list[str]:
    """Relative paths of files that differ or that one of the folders lacks."""
    here, there = (set(_files(folder)) for folder in (one, other))
    found = [str(name) for name in sorted(here ^ there)]
    found += [
        str(name) for name in sorted(here & there) if _content(one / name) != _content(other / name)
    ]
    return found


def changed(whole: Path, folder: Path, but: Collection[str]) -> list[str]:
    """Relative paths of files that both hold, and that differ; without files of certain names."""
    both = set(_files(whole)) & set(_files(folder))
    names = sorted(name for name in both if name.name not in but)
    return [str(name) for name in names if _content(whole / name) != _content(folder / name)]


def damaged(folder: Path) -> list[str]:
    """Files that bear their own name and cannot be read as what it says."""
    found = []
    for name in _files(folder):
        read = _READ.get(name.suffix)
        if read is None or name.name.startswith("."):
            continue
        try:
            read(folder / name)
        except Exception as error:  # whatever a reader finds
            found.append(f"{name}: {error}")
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != ".lock":  # which a killed process leaves, held by nobody
            yield path.relative_to(folder)


def _content(path: Path) -> object:
    if path.name == "history.jsonl":
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    return path.read_bytes()


def _page(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ValueError("breaks off")


_READ: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".jsonl": _content,
    ".yaml": lambda path: yaml.safe_load(path.read_text(encoding="utf-8"))["name"],
    ".parquet": pq.read_table,
    ".safetensors": safetensors.numpy.load_file,
    ".npy": np.load,
    ".npz": lambda path: dict(np.load(path)),
    ".html": _page,
}
