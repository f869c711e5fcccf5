"""Carrying out a study: what is done is skipped, what was interrupted goes on, all is reported.

Which process a run is carried out in is an engine's business: here, one after another; on a
cluster, several at once (:mod:`magnostic.study.on_ray`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from magnostic import __version__, recipe_file
from magnostic.data.images import Images
from magnostic.errors import BadInput, DataError, LeakError, MagnosticError, SplitError, TableError
from magnostic.files import read_object, sweep, write_json, write_text
from magnostic.lock import locked
from magnostic.progress import say
from magnostic.recipe import Recipe
from magnostic.report import write_card, write_report
from magnostic.stored import as_written
from magnostic.study.expand import Entry
from magnostic.study.place import RUNS, Placed, place
from magnostic.study.schema import Study
from magnostic.train import memory
from magnostic.train.run import run

#: What the jobs of an array leave beside study.json.
_OF_JOBS: Final = (RUNS, "slurm")
Status = Literal["planned", "running", "done", "refused", "failed"]
#: What came of a run, and why where it is not done.
Outcome = tuple[Status, str]
#: Carries out runs; gives what came of each, ``running`` when it is begun.
Engine = Callable[[Sequence[Placed], Images, Path], Generator[tuple[Placed, Outcome], None, None]]


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
    study: Study,
    entries: Sequence[Entry],
    images: Images,
    out: Path,
    only: str = "",
    engine: Engine | None = None,
) -> list[Record]:
    """Carry out every entry that is not done yet, and write the study's report.

    ``study.json`` is written anew around every run, so it is true whenever the study stops. A run
    that was interrupted goes on where its own checkpoints allow.

    Args:
        entries: of :func:`magnostic.study.expand.expand`.
        images: the images table that all runs share.
        out: the study's folder: new, or of a study of this name.
        only: carry out those entries alone whose key, label or group holds this text.
        engine: where runs are carried out; by default here, in turn.

    Returns one record an entry. Raises BadInput for a folder in use, or where ``only`` fits none.
    """
    chosen = [entry.key for entry in select(entries, only)]
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; give a folder for the study (--out)")
    with locked(out):
        return _execute(study, entries, images, out, chosen, engine)


def _execute(
    study: Study,
    entries: Sequence[Entry],
    images: Images,
    out: Path,
    chosen: Sequence[str],
    engine: Engine | None,
) -> list[Record]:
    before = _claim(study, out)
    sweep(out, below=False)  # each run's folder is swept by who has locked that
    for name in ("figures", "tables"):
        sweep(out / name)
    placed = place(entries, images.data_hash, out)
    records = [_record(p, out, before) for p in placed]

    def note(path: str, status: Status, reason: str = "") -> None:
        for record in (r for r in records if r.path == path):  # entries that share the run
            record.status, record.reason = status, reason
        _write(study, records, out)

    _write(study, records, out)
    write_text(out / "study.yaml", study.to_yaml())
    names = {r.key: f"[{n}/{len(records)}] {r.key}" for n, r in enumerate(records, start=1)}
    todo: dict[str, Placed] = {}
    for item, record in zip(placed, records, strict=True):
        if record.key not in chosen:
            continue
        if whole(item, out):
            say(f"{names[record.key]} is done")
        else:
            todo.setdefault(item.path, item)
    running: set[str] = set()
    try:
        with closing((engine or in_turn)(list(todo.values()), images, out)) as outcomes:
            for item, (status, reason) in outcomes:
                running ^= {item.path}
                _tell(names[item.entry.key], status, reason, engine is not None)
                note(item.path, status, reason)
    finally:
        for path in running:  # interrupted, or the engine was lost
            note(path, "planned", "interrupted; start the study again and it goes on from here")
    from magnostic.report.study import write_study

    write_study(out)
    return records


def _tell(name: str, status: Status, reason: str, several: bool) -> None:
    """A line on a run; where several are under way, one at its end, too."""
    if status == "running":
        say(name)
    elif status in ("refused", "failed"):
        say(f"{name}: {'not carried out' if status == 'refused' else 'failed'}: {reason}")
    elif several:
        say(f"{name} is done")


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
    # Jobs of an array carry out runs before there is a study.
    if all(path.name.startswith(".") or path.name in _OF_JOBS for path in out.iterdir()):
        return {}
    if not (out / "study.json").is_file():
        raise BadInput(f"{out}: exists and holds no study; choose another --out")
    stored = read_object(out / "study.json")
    if stored.get("name") != study.name:
        raise BadInput(f"{out}: holds study {stored.get('name')!r}; choose another --out")
    with as_written(out / "study.json", then="choose another --out, or remove that file"):
        return {e["path"] + e["key"]: dict(e) for e in stored.get("entries", [])}


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


def carry_out_one(entries: Sequence[Entry], number: int, images: Images, out: Path) -> Outcome:
    """Carry out the run of one entry, counted from 1; nothing of the study itself is written.

    Raises BadInput for a number that there is none of.
    """
    if not 1 <= number <= len(entries):
        raise BadInput(f"--task {number}: the study has runs 1 to {len(entries)}")
    # All are placed, so that each finds the folder that it finds when they are carried out in turn.
    placed = place(entries, images.data_hash, out)
    item = placed[number - 1]
    first = next(other for other in placed if other.path == item.path)
    if first is not item:
        return "done", f"comes to the run of {first.entry.key}"
    return carry_out(item, images, out)


def in_turn(
    todo: Sequence[Placed], images: Images, out: Path
) -> Generator[tuple[Placed, Outcome], None, None]:
    """Carry out runs in this process, one after another."""
    for item in todo:
        yield item, ("running", "")
        yield item, carry_out(item, images, out)


def whole(item: Placed, out: Path) -> bool:
    """Whether nothing is left to do for a run."""
    return item.finished(out) and (out / item.path / "report.html").is_file()


def carry_out(item: Placed, images: Images, out: Path, patience: float = 0.0) -> Outcome:
    """Carry out one run, or go on with it; what came of it.

    Args:
        patience: seconds to wait for a process that is still at work in the run's folder.
    """
    folder = out / item.path
    try:
        if whole(item, out):
            return "done", ""
        if item.finished(out):  # stopped between its last two files
            with locked(folder, patience):
                sweep(folder)
                write_card(folder)
                write_report(folder)
        else:
            _run(_as_begun(item.entry.recipe, folder), images, folder, patience)
    except (SplitError, DataError, TableError) as error:
        return "failed" if isinstance(error, LeakError) else "refused", str(error)
    except (MagnosticError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        return "failed", str(error) or type(error).__name__
    except Exception as error:  # a fault of ours: shown in full, and the other runs go on
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}".splitlines()[0]
    return "done", ""


def _run(recipe: Recipe, images: Images, folder: Path, patience: float) -> None:
    try:
        run(recipe, images, folder, resume=True, patience=patience)
    finally:
        memory.free()


def _as_begun(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with which the run in this folder was begun: equal but for name and prose."""
    stored = folder / "recipe.yaml"
    if not stored.is_file():
        return recipe
    return recipe_file.parse(recipe_file.read_mapping(stored), str(stored))
