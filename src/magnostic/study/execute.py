"""Carrying out a study: what is done is skipped, what was interrupted goes on, all is reported."""

from __future__ import annotations

import functools
import gc
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from magnostic import __version__, recipe_file
from magnostic.data.images import Images
from magnostic.errors import BadInput, DataError, LeakError, MagnosticError, SplitError, TableError
from magnostic.files import read_object, sweep, write_json, write_text
from magnostic.lock import locked
from magnostic.progress import say
from magnostic.recipe import Recipe
from magnostic.report import write_card, write_report
from magnostic.study.expand import Entry
from magnostic.study.place import Placed, place
from magnostic.study.schema import Study
from magnostic.train.run import run

Status = Literal["planned", "running", "done", "refused", "failed"]


@dataclass
class Record:
    """An entry in ``study.json``.

    Attributes:
        recipe: the row's recipe, as the study names it.
        path: run folder, relative to the study's; two entries that come to the same share it.
        status: ``refused``: the data cannot bear the run; ``failed``: something else went wrong;
            ``running`` is left behind where the process was killed.
        reason: of a refused, failed or interrupted run, else empty.
    """

    key: str
    label: str
    group: str
    settings: dict[str, Any]
    seed: int
    task: str
    recipe: str
    published: list[str]
    path: str
    status: Status
    reason: str


def execute(
    study: Study, entries: Sequence[Entry], images: Images, out: Path, only: str = ""
) -> list[Record]:
    """Carry out every entry that is not done yet, and write the study's report.

    ``study.json`` is written anew around every run, so it is true whenever the study stops. A run
    that was interrupted goes on where its own checkpoints allow.

    Args:
        entries: of :func:`magnostic.study.expand.expand`.
        images: the images table that all runs share.
        out: the study's folder: new, or of a study of this name.
        only: carry out those entries alone whose key, label or group holds this text.

    Returns one record an entry. Raises BadInput for a folder in use, or where ``only`` fits none.
    """
    chosen = [entry.key for entry in select(entries, only)]
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; give a folder for the study (--out)")
    with locked(out):
        return _execute(study, entries, images, out, chosen)


def _execute(
    study: Study, entries: Sequence[Entry], images: Images, out: Path, chosen: Sequence[str]
) -> list[Record]:
    before = _claim(study, out)
    sweep(out, below=False)  # each run's folder is swept by who has locked that
    for name in ("figures", "tables"):
        sweep(out / name)
    placed = place(entries, images.data_hash, out)
    records = [_record(p, out, before) for p in placed]

    def note(record: Record, status: Status, reason: str = "") -> None:
        record.status, record.reason = status, reason
        for other, there in zip(records, placed, strict=True):
            if other is not record and there.finished(out):  # entries that share the run
                other.status, other.reason = "done", ""
        _write(study, records, out)

    _write(study, records, out)
    write_text(out / "study.yaml", study.to_yaml())
    for number, (item, record) in enumerate(zip(placed, records, strict=True), start=1):
        if record.key not in chosen:
            continue
        where = f"[{number}/{len(records)}] {record.key}"
        if item.finished(out) and (out / item.path / "report.html").is_file():
            say(f"{where} is done")
            continue
        say(where)
        _carry_out(item, images, out, functools.partial(note, record))
    from magnostic.report.study import write_study

    write_study(out)
    return records


def select(entries: Sequence[Entry], only: str) -> list[Entry]:
    """Entries whose key, label or group holds the text; BadInput where none does."""
    found = [
        entry
        for entry in entries
        if any(only.lower() in text.lower() for text in (entry.key, entry.label, entry.group))
    ]
    if not found:
        raise BadInput(
            f"--only {only!r}: fits no run; runs are {', '.join(e.key for e in entries)}"
        )
    return found


def _claim(study: Study, out: Path) -> dict[str, dict[str, Any]]:
    """Entries of the ``study.json`` that stands there, by path and key."""
    if all(path.name.startswith(".") for path in out.iterdir()):
        return {}
    if not (out / "study.json").is_file():
        raise BadInput(f"{out}: exists and holds no study; choose another --out")
    stored = read_object(out / "study.json")
    if stored.get("name") != study.name:
        raise BadInput(f"{out}: holds study {stored.get('name')!r}; choose another --out")
    return {entry["path"] + entry["key"]: entry for entry in stored.get("entries", [])}


def _record(placed: Placed, out: Path, before: dict[str, dict[str, Any]]) -> Record:
    entry = placed.entry
    status: Status = "done" if placed.finished(out) else "planned"
    reason = ""
    earlier = before.get(placed.path + entry.key, {})
    if status == "planned" and earlier.get("status") in ("refused", "failed"):
        status, reason = earlier["status"], str(earlier.get("reason", ""))
    return Record(
        key=entry.key,
        label=entry.label,
        group=entry.group,
        settings=entry.settings,
        seed=entry.seed,
        task=entry.recipe.task,
        recipe=entry.source,
        published=list(entry.published),
        path=placed.path,
        status=status,
        reason=reason,
    )


def _write(study: Study, records: Sequence[Record], out: Path) -> None:
    write_json(
        out / "study.json",
        {
            "version": 1,
            "written_by": __version__,
            "name": study.name,
            "title": study.title,
            "description": study.description,
            "entries": [asdict(record) for record in records],
        },
    )


def _carry_out(item: Placed, images: Images, out: Path, note: Callable[..., None]) -> None:
    folder = out / item.path
    note("running")
    try:
        if item.finished(out):  # stopped between its last two files
            with locked(folder):
                sweep(folder)
                write_card(folder)
                write_report(folder)
        else:
            if not (folder / "identity.json").is_file():  # stopped before it had begun
                shutil.rmtree(folder, ignore_errors=True)
            _run(_as_begun(item.entry.recipe, folder), images, folder)
        note("done")
    except KeyboardInterrupt:
        note("planned", "interrupted; start the study again and it goes on from here")
        raise
    except (SplitError, DataError, TableError) as error:
        note("failed" if isinstance(error, LeakError) else "refused", str(error))
        say(f"  not carried out: {error}")
    except (MagnosticError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        note("failed", str(error) or type(error).__name__)
        say(f"  failed: {error}")
    except Exception as error:  # a fault of ours: shown in full, and the other runs go on
        traceback.print_exc()
        note("failed", f"{type(error).__name__}: {error}".splitlines()[0])


def _run(recipe: Recipe, images: Images, folder: Path) -> None:
    try:
        run(recipe, images, folder, resume=True)
    finally:  # networks of one run must not wait in memory for the next
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _as_begun(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with which the run in this folder was begun: equal but for name and prose."""
    stored = folder / "recipe.yaml"
    if not stored.is_file():
        return recipe
    return recipe_file.parse(recipe_file.read_mapping(stored), str(stored))
