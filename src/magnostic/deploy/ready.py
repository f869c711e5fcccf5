"""Engines for an exported model, or for a run by a graph that is made once and kept."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from magnostic.data.place import ENGINES, default_folder
from magnostic.deploy import artefact, engines
from magnostic.deploy.artefact import About, Member
from magnostic.deploy.engines import Engine, Exported
from magnostic.errors import MagnosticError, MissingExtra, WeightsError
from magnostic.progress import say
from magnostic.stored import inside

_PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}


def of_export(folder: Path, raw: dict[str, Any]) -> Exported:
    """The engine of an exported model; ``raw`` is its ``export.json``."""
    try:
        path, precision = inside(folder, raw["model"]), raw["precision"]
        sources = list(raw["sources"])
        to, outputs = raw["to"], list(raw["outputs"])
    except (KeyError, TypeError) as error:
        raise WeightsError(
            f"{folder / artefact.EXPORT}: not the description of an exported model ({error}); "
            "export the run again"
        ) from None
    note = "" if precision == "fp32" else f", {precision}"
    if to == "onnx":
        return engines.OnnxEngine(path, sources, note)
    if to == "openvino":
        return engines.OpenvinoEngine(path, sources, "bf16" if precision == "bf16" else "f32", note)
    if to != "torchscript":
        raise WeightsError(f"{folder / artefact.EXPORT}: for no runtime that is known; export anew")
    return engines.TorchscriptEngine(path, sources, outputs, note)


def converted(
    about: About, members: Sequence[Member], engine: Literal["auto", "openvino", "onnx"]
) -> Engine | None:
    """The run's networks in another engine, made and checked now or found in the cache.

    Returns None where ``auto`` means PyTorch: for a run in bf16 or fp16 (its own arithmetic is
    faster than another runtime's float32, and gives its stored predictions again), with a CUDA
    device, without OpenVINO, and for a model that cannot be exported or does not pass the check.
    Which of these it is depends on the machine and the model alone, and is said.

    Raises what the export raises where the engine was asked for by name.
    """
    from magnostic.train import device

    to: Literal["openvino", "onnx"] = "openvino" if engine == "auto" else engine
    if engine == "auto":
        reduced = engines.precision(members[0]) != "fp32"
        if reduced or device.torch_device().type != "cpu" or not _installed(_PACKAGES[to]):
            return None
    elif not _installed(_PACKAGES[to]):
        raise MissingExtra("export", _PACKAGES[to])
    try:
        return _cached(about, members, to)
    except (MagnosticError, OSError, ValueError) as error:  # a cache that cannot be written, too
        if engine != "auto":
            raise
        say(f"engine torch, since openvino cannot be used: {error}")
        return None


def _cached(about: About, members: Sequence[Member], to: Literal["openvino", "onnx"]) -> Engine:
    from magnostic.deploy import export

    libraries = "-".join(version(name) for name in ("torch", _PACKAGES[to]))
    folder = default_folder() / ENGINES / f"{about.digest}-{to}-{libraries}"
    if artefact.is_export(folder):
        try:
            found = of_export(folder, artefact.read_export(folder)[1])
            with contextlib.suppress(OSError):  # somebody else's cache
                (folder / artefact.EXPORT).touch()  # `magnostic cache` tells when it was used
            return found
        except WeightsError as error:
            say(f"{error}: done now")
    if folder.is_dir():  # broken, or half removed
        shutil.rmtree(folder)
    say(f"making the {to} graph of this model, once")
    try:
        export.write(about, members, folder, to)
    except OSError:
        if not artefact.is_export(folder):
            raise
        # Another process was first; what it made was checked as well.
    return of_export(folder, artefact.read_export(folder)[1])


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
