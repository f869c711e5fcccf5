"""Which files of a run are its model for use, and one digest over all that decide a prediction.

Read from the folder alone and without torch, so that a card can name the model that it describes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from magnostic.errors import BadInput, MagnosticError, WeightsError
from magnostic.files import read_object

CALIBRATION: Final = "calibration.json"
#: What to do about a file of a run that is not as it was written.
ANEW: Final = "get it anew, or run the recipe again"


@contextlib.contextmanager
def as_written(
    place: Path,
    error: type[BadInput] = BadInput,
    then: str = ANEW,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Around reading what an earlier run wrote: what it cannot be made sense of is ``error``.

    Files of a run may come from another version or from anybody. What reads them takes for granted
    what this version writes, and may then raise anything at all. Errors of ours, those of the
    system and ``passing`` stay as they are.
    """
    try:
        yield
    except (MagnosticError, OSError):
        raise
    except MemoryError:
        raise error(f"{place}: memory does not suffice for what it says; is it whole?") from None
    except Exception as fault:
        if isinstance(fault, passing):
            raise
        reason = f"{type(fault).__name__}: {brief(fault)}"
        raise error(
            f"{place}: not as this version of magnostic writes it ({reason}); {then}"
        ) from fault


def brief(fault: Exception) -> str:
    """What an exception says, in one line."""
    if isinstance(fault, ValidationError):
        first = fault.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300]
    return " ".join(str(fault).splitlines()[:1])[:300]


def inside(folder: Path, name: Any) -> Path:
    """The file or folder of a run that one of its files names; BadInput where it lies outside.

    Looks at the name alone: a run may lie anywhere, also behind a link.
    """
    parts = Path(name).parts if isinstance(name, str) and "\0" not in name else ("..",)
    if ".." in parts or Path(*parts).is_absolute():
        raise BadInput(
            f"{folder}: one of its files names {str(name)[:200]!r}, which is no place inside "
            f"it; {ANEW}"
        )
    return folder / str(name)


def folders_for_use(run: Path) -> list[Path]:
    """Folders of the models that a run means for use.

    Raises BadInput where the folder is no finished run.
    """
    if not (run / "run.json").is_file():
        if (run / "model.json").is_file():  # one model of a run, such as RUN/final
            return [run]
        if (run / "study.json").is_file():
            raise BadInput(f"{run}: is a study; give one of the runs in {run / 'runs'}")
        what = "holds no finished run (run.json)" if run.is_dir() else "no such folder"
        raise BadInput(f"{run}: {what}; give the folder that `magnostic train … --out` wrote")
    use = read_object(run / "run.json").get("model_for_use")
    if not isinstance(use, list) or not use or not all(isinstance(name, str) for name in use):
        raise BadInput(f"{run / 'run.json'}: names no model for use; train the run again")
    return [inside(run, name) for name in use]


def classes_of(run: Path) -> tuple[str, ...]:
    """Class names of a run's model, in the order of its probabilities.

    Raises BadInput where the folder is no finished run, WeightsError where it does not say.
    """
    path = folders_for_use(run)[0] / "model.json"
    classes = read_object(path, WeightsError).get("classes")
    if not isinstance(classes, list):
        raise WeightsError(f"{path}: names no classes; train the run again")
    return tuple(map(str, classes))


def data_of(run: Path) -> Path | None:
    """``data.json`` of a run, or of the run that a model of it lies in; None without any."""
    for folder in (run, *run.resolve().parents[:3]):
        if (folder / "data.json").is_file():
            return folder / "data.json"
    return None


def rules_of(run: Path) -> Path:
    """Where the rules of a model lie: beside it, or in the run that has it alone for use."""
    parent = run.resolve().parent
    if (run / "run.json").is_file() or not (parent / "run.json").is_file():
        return run
    alone = read_object(parent / "run.json").get("model_for_use") == [run.resolve().name]
    return parent if alone else run


def digest(rules: Path, members: Iterable[tuple[Path, str | None]]) -> str:
    """Hex digest over every file that decides a prediction.

    Args:
        rules: the folder of the calibration.
        members: each model's folder and its ``backbone_file``.
    """
    total = hashlib.blake2b(digest_size=16)
    files = []
    for folder, backbone_file in members:
        files += [folder / "model.json", folder / "model.safetensors"]
        if backbone_file is not None:
            files.append(folder / backbone_file)
        files.append(folder / "reference.safetensors")
    files.append(rules / CALIBRATION)
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
