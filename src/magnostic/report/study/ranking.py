"""Which systems of a study are better than which, on the images that they all have tested."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.gap import compare
from magnostic.evaluate.predictions import Predictions
from magnostic.report.study.folder import Entry, Study

#: The figure that systems are ranked by.
BY: Final = "accuracy"


@dataclass(frozen=True)
class Place:
    """A system's place. behind: the best one's figure minus its own in points, None for the best.

    The interval of ``behind`` (``low``, ``high``; None without intervals) draws the same patients
    for both systems.
    """

    entry: Entry
    figures: Mapping[str, Any]
    behind: Mapping[str, Any] | None

    @property
    def resolved(self) -> bool:
        """The interval of the difference from the best one lies above zero."""
        low = None if self.behind is None else self.behind["low"]
        return low is not None and low > 0


@dataclass(frozen=True)
class Ranking:
    """Systems of one task that tested the same images under a protocol, best first.

    majority: share of the most frequent class, in [0, 1].
    """

    task: str
    protocol: str
    n_images: int
    n_clusters: int
    unit: str
    majority: float
    sampling: Sampling
    places: list[Place]


def rankings(study: Study) -> list[Ranking]:
    """For the study's main protocol: a ranking of each set of images, largest first by task."""
    if study.main is None:
        return []
    sets: dict[tuple[str, str], list[tuple[Entry, Predictions]]] = {}
    for entry in study.done:
        if entry.figure(study.main, BY) is None:
            continue
        tested = _tested(entry, study.main)
        if tested is not None:
            sets.setdefault((entry.task, _same(tested)), []).append((entry, tested))
    found = [_rank(task, study.main, pairs) for (task, _), pairs in sets.items()]
    return sorted(
        found, key=lambda r: (study.tasks.index(r.task), -len(r.places), -r.n_images)
    )  # sorted() is stable: equal ones stay in the study's order


def _tested(entry: Entry, protocol: str) -> Predictions | None:
    path = entry.path / "predictions.parquet"
    if not path.is_file():
        return None
    return Predictions.read(path).where(part="test", protocol=protocol)


def _same(tested: Predictions) -> str:
    """Equal for tests of the same images with the same classes."""
    pairs = tested.table[["image_id", "y_true"]].drop_duplicates().astype(str)
    lines = sorted((pairs["image_id"] + "\t" + pairs["y_true"]).tolist())
    return hashlib.sha256("\n".join([*tested.classes, "", *lines]).encode()).hexdigest()


def _rank(task: str, protocol: str, pairs: list[tuple[Entry, Predictions]]) -> Ranking:
    def order(pair: tuple[Entry, Predictions]) -> tuple[float, float]:
        figures = pair[0].results()[protocol]["overall"]
        return -float(figures[BY]["estimate"]), -float(figures["macro_f1"]["estimate"] or 0)

    pairs = sorted(pairs, key=order)
    best, best_tested = pairs[0]
    assert best.run is not None
    metrics = best.run.metrics
    sampling = Sampling(
        int(metrics["resamples"]), float(metrics["confidence"]), int(metrics["seed"])
    )
    places = []
    for entry, tested in pairs:
        behind = None
        if entry is not best:
            found = compare(best_tested, tested, protocol, sampling, f"study/{protocol}")
            behind = None if found is None else found[BY]
        places.append(Place(entry, entry.results()[protocol]["overall"], behind))
    result = best.results()[protocol]
    return Ranking(
        task=task,
        protocol=protocol,
        n_images=int(result["n_images"]),
        n_clusters=int(result["n_clusters"]),
        unit=str(result["cluster"]),
        majority=float(result["majority"]),
        sampling=sampling,
        places=places,
    )
