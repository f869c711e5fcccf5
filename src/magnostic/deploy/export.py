"""A run's model in a form that other runtimes read, checked before it is written.

The folder holds the graph (``model.onnx``, ``model.xml`` and ``model.bin``, or ``model.pt``),
``export.json`` (classes, input, precision, digest of every file, what the check found),
``calibration.json``, and the training images' features where the recipe kept them. Its input
``images`` is uint8 [N, height, width, 3], RGB, any N; its outputs are ``probabilities``
(calibrated) and ``uncalibrated``, float32 [N, C], and ``features_<k>``, float32 [N, D].
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from magnostic import __version__
from magnostic.data.summary import counted
from magnostic.deploy import convert, parity, ready
from magnostic.deploy.artefact import CALIBRATION, EXPORT, About, Member, load_members
from magnostic.deploy.decisions import Rules
from magnostic.deploy.graph import Graph
from magnostic.errors import BadInput, RunFailed
from magnostic.files import write_json

Target = Literal["onnx", "openvino", "torchscript"]
Precision = Literal["fp32", "bf16", "int8"]
#: What each runtime computes in.
PRECISIONS: Final[dict[str, tuple[str, ...]]] = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16"),
    "torchscript": ("fp32",),
}
_REFERENCE: Final = ("reference.parquet", "reference.safetensors")

Pixels = NDArray[np.uint8]


def export(
    run: Path,
    out: Path,
    to: Target,
    *,
    precision: Precision = "fp32",
    pixels: Pixels | None = None,
) -> dict[str, Any]:
    """Write a run's model for another runtime, if it says what the run's model says.

    Args:
        run: a run folder or one of its models.
        out: a new folder.
        to: ``onnx``, ``openvino`` or ``torchscript``.
        precision: :data:`PRECISIONS`. ``int8`` needs ``pixels``, by which it is scaled.
        pixels: uint8 [N, H, W, 3], inputs that the check is made on; None: made-up pictures. Every
            second one scales int8, and the check is made on the others.

    Returns:
        ``export.json``.

    Raises:
        BadInput: a folder that exists, a combination or a model that cannot be exported.
        MissingExtra: a library of ``[export]`` is not installed.
        RunFailed: the result differs from the run's model; nothing was written.
    """
    require_possible(out, to, precision, shown=pixels is not None)
    about, members = load_members(run)
    return write(about, members, out, to, precision=precision, pixels=pixels)


def require_possible(out: Path, to: Target, precision: Precision, *, shown: bool) -> None:
    """Raise BadInput for options of :func:`export` that cannot be; ``shown``: pixels are given."""
    if out.exists():
        raise BadInput(f"{out}: exists; give a new folder (-o)")
    if precision not in PRECISIONS[to]:
        raise BadInput(
            f"--precision {precision}: {to} has {', '.join(PRECISIONS[to])}"
            + ("; --to onnx has int8, --to openvino bf16" if precision != "fp32" else "")
        )
    if precision == "int8" and not shown:
        raise BadInput("--precision int8: give photographs to scale it by (--images)")


def write(
    about: About,
    members: Sequence[Member],
    out: Path,
    to: Target,
    *,
    precision: Precision = "fp32",
    pixels: Pixels | None = None,
) -> dict[str, Any]:
    """The same for networks that are loaded already.

    Raises OSError, too, where ``out`` is a folder that holds something.
    """
    rules = Rules.of(about.calibration, about.classes, place=about.place)
    graph = Graph(members, rules.temperature)
    source = "made-up pictures" if pixels is None else "photographs given"
    shown = parity.pictures(about.size) if pixels is None else pixels
    traced = shown
    if precision == "int8":
        if len(shown) < 2:
            raise BadInput("--precision int8: give two photographs at least, to scale it and check")
        traced, shown = shown[::2], shown[1::2]
        source += ", others than those that scaled it"
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        model = convert.convert(graph, building, to, precision, traced)
        description: dict[str, Any] = {
            "version": 1,
            "magnostic": __version__,
            "name": about.name,
            "to": to,
            "precision": precision,
            "model": model.name,
            "classes": list(about.classes),
            "task": about.task,
            "size": about.size if isinstance(about.size, int) else list(about.size),
            "fit": about.fit,
            "temperature": rules.temperature,
            "outputs": graph.outputs,
            "sources": graph.sources,
            "run_digest": about.digest,
        }
        engine = ready.of_export(building, description)  # what will predict later

        def outputs(some: Pixels) -> list[NDArray[np.float32]]:
            try:
                by_name = engine.run(some)
            except Exception as error:  # runtimes raise classes of their own
                reason = str(error).strip().splitlines()[-1]
                raise RunFailed(
                    f"{to}: the exported model fails on {counted(len(some), 'image')} ({reason}); "
                    "nothing was written; try another --to, or predict with the run"
                ) from error
            return [by_name[name] for name in graph.outputs]

        found = parity.compare(members, rules, shown, source, outputs)
        found.require(precision)
        references = _keep_references(members, graph.sources, building)
        if about.calibration is not None:
            write_json(building / CALIBRATION, about.calibration)
        files = sorted(
            p.relative_to(building).as_posix() for p in building.rglob("*") if p.is_file()
        )
        description |= {
            "references": references,
            "parity": found.as_dict(),
            "files": {name: _sha256(building / name) for name in files},
        }
        write_json(building / EXPORT, description)
        building.chmod(0o755)  # mkdtemp's 0700 would hide it from a group
        building.replace(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return description


def _keep_references(members: Sequence[Member], sources: Sequence[int], out: Path) -> list[str]:
    """Copy what is kept of the training images; a folder for each network, ``.`` for one alone."""
    places = []
    for n in range(len(sources)):
        place = "." if len(members) == 1 else f"member_{n}"
        places.append(place)
        if all((members[n].folder / name).is_file() for name in _REFERENCE):
            (out / place).mkdir(exist_ok=True)
            for name in _REFERENCE:
                shutil.copyfile(members[n].folder / name, out / place / name)
    return places


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
