"""From a folder to a :class:`Predictor`: a run, one of its models, or an exported model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from magnostic.deploy import artefact, decisions, distance, engines, ready
from magnostic.deploy.artefact import About, Member
from magnostic.deploy.predictor import Predictor
from magnostic.errors import BadInput, WeightsError
from magnostic.stored import as_written, inside

EngineName = Literal["auto", "torch", "openvino", "onnx"]


def load(
    folder: str | Path, *, engine: EngineName = "auto", level: float = decisions.LEVEL
) -> Predictor:
    """A predictor of what a folder means for use.

    Args:
        folder: a run, one model of it (``RUN/final``), or an exported model.
        engine: ``torch`` computes as the run was trained and judged, and gives its stored
            predictions again; ``openvino`` and ``onnx`` compute in float32 on the CPU, with a graph
            that is made once, checked against PyTorch and kept in the cache. ``auto`` takes
            openvino for a run in float32 on the CPU where it is installed and the model can be
            exported, torch for all others. An exported model has its own.
        level: of the conformal sets.

    Raises:
        BadInput, WeightsError: no finished run, files that do not fit, a level that was not fitted.
        MissingExtra: the engine asked for is not installed.
    """
    with as_written(Path(folder), WeightsError):
        return _load(Path(folder), engine, level)


def _load(folder: Path, engine: EngineName, level: float) -> Predictor:
    if engine not in get_args(EngineName):
        raise BadInput(f"--engine {engine}: choose one of {', '.join(get_args(EngineName))}")
    if artefact.is_export(folder):
        if engine != "auto":
            raise BadInput(f"{folder}: is an exported model and has its own engine; leave --engine")
        about, raw = artefact.read_export(folder)
        found = [distance.read(inside(folder, name)) for name in _references(folder, raw)]
        return Predictor(about, ready.of_export(folder, raw), found, level)
    about, members = artefact.load_members(folder)
    references = [distance.read(member.folder) for member in members]
    return of_members(about, members, references, engine, level)


def of_members(
    about: About,
    members: Sequence[Member],
    references: Sequence[distance.Reference | None],
    engine: EngineName = "auto",
    level: float = decisions.LEVEL,
) -> Predictor:
    """A predictor of networks that are loaded; arguments and errors as for :func:`load`."""
    if engine != "torch":
        converted = ready.converted(about, members, engine)
        if converted is not None:
            return Predictor(about, converted, references, level)
    return Predictor(about, engines.TorchEngine(members), references, level)


def _references(folder: Path, raw: dict[str, Any]) -> list[str]:
    """Where an exported model keeps training images, a folder for each network."""
    found: Any = raw.get("references")
    sources: Any = raw.get("sources")
    names = isinstance(found, list) and all(isinstance(name, str) for name in found)
    if not names or not isinstance(sources, list) or len(found) != len(sources):
        raise WeightsError(f"{folder / artefact.EXPORT}: names no references; export the run again")
    return list(found)
