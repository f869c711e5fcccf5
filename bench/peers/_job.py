"""What every script of this folder takes and gives; it needs the standard library alone.

    SCRIPT JOB --images FOLDER --split FILE --weights FILE --out FILE [--epochs N] …

``FOLDER`` holds class folders of photographs. ``FILE`` of ``--split`` is JSON: ``classes`` in the
order of the outputs, and the files (CLASS/NAME) of ``train``, ``val`` and ``test``. Weights are a
state dict in timm's naming (``torch.save``), with ``classifier.*`` for the job ``predict``, or
``none``.

============  ================================================================================
``probe``     from files to a head trained on frozen features of ``train``, and the classes of
              ``test``
``finetune``  ``--epochs`` epochs over ``train``, each with a pass over ``val``, and the classes
              of ``test``
``predict``   from files to probabilities of every photograph of the split
============  ================================================================================

Clocks start when all is imported and stop when the last number is there: starting Python and
importing packages counts for nobody; building networks, reading weights and starting workers
counts for everybody.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One job, as the command line gave it.

    Attributes:
        name: ``probe``, ``finetune`` or ``predict``.
        images: folder of class folders.
        classes: names in the order of the outputs.
        parts: files below ``images`` of each part.
        backbone: timm name.
        weights: state dict in timm's naming; None: random.
        mean, std: of the z-score, per RGB channel of pixels in [0, 1].
        size: side of the square input, pixels; aspect ratios are squeezed.
        work: an empty folder to write to.
        options: anything that one script alone understands.
    """

    name: str
    images: Path
    classes: list[str]
    parts: dict[str, list[str]]
    backbone: str
    weights: Path | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int
    epochs: int
    batch_size: int
    workers: int
    work: Path
    out: Path
    options: dict[str, str] = field(default_factory=dict)

    def files(self, *parts: str) -> list[str]:
        """CLASS/NAME of every photograph of these parts, or of all."""
        return [name for part in parts or self.parts for name in self.parts[part]]

    def paths(self, *parts: str) -> list[Path]:
        return [self.images / name for name in self.files(*parts)]

    def targets(self, *parts: str) -> list[int]:
        """Class index of each of :meth:`files`."""
        return [self.classes.index(name.split("/")[0]) for name in self.files(*parts)]


def read(jobs: Sequence[str], arguments: Sequence[str] | None = None) -> Job:
    """The job of the command line; ``jobs``: those that the script can do."""
    parser = argparse.ArgumentParser(description=f"jobs: {', '.join(jobs)}")
    parser.add_argument("job", choices=jobs)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--mean", type=float, nargs=3, default=(0.5, 0.5, 0.5))
    parser.add_argument("--std", type=float, nargs=3, default=(0.5, 0.5, 0.5))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    chosen = parser.parse_args(arguments)
    split = json.loads(chosen.split.read_text(encoding="utf-8"))
    return Job(
        name=chosen.job,
        images=chosen.images.absolute(),
        classes=split["classes"],
        parts={part: split[part] for part in ("train", "val", "test")},
        backbone=chosen.backbone,
        weights=None if chosen.weights == "none" else Path(chosen.weights).absolute(),
        mean=tuple(chosen.mean),
        std=tuple(chosen.std),
        size=chosen.size,
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        workers=chosen.workers,
        work=chosen.work.absolute(),
        out=chosen.out.absolute(),
        options=dict(option.split("=", 1) for option in chosen.option),
    )


class Clock:
    """Seconds of each stage since the clock was made, and of all of them."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> None:
        """What passed since the last stage was this one."""
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self.seconds["total"] = now - self._started
        self._last = now


def finish(
    job: Job,
    package: str,
    seconds: Mapping[str, float],
    predicted: Mapping[str, int],
    epochs: Sequence[float] = (),
) -> None:
    """Write what was measured.

    Args:
        package: distribution whose version is named.
        seconds: of each stage.
        predicted: class index of each file that was judged.
        epochs: seconds of each epoch, validation included.
    """
    test = [name for name in job.parts["test"] if name in predicted]
    right = sum(job.classes[predicted[name]] == name.split("/")[0] for name in test)
    record: dict[str, Any] = {
        "software": package,
        "version": version(package),
        "torch": version("torch"),
        "timm": version("timm"),
        "python": platform.python_version(),
        "job": job.name,
        "backbone": job.backbone,
        "images": {part: len(names) for part, names in job.parts.items()},
        "batch_size": job.batch_size,
        "seconds": dict(seconds),
        "epochs": list(epochs),
        "accuracy": right / len(test) if test else None,
        "predicted": dict(predicted),
    }
    job.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
