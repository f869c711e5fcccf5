"""Bulk prediction by Ray Data: rows come back in order while they are computed.

Every process of the cluster holds the model once and predicts some batches of photographs at a
time; what is lost with a process or node is predicted again elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

from magnostic import cluster
from magnostic.deploy import artefact
from magnostic.deploy.load import EngineName, load
from magnostic.deploy.output import Row
from magnostic.deploy.predictor import Predictor
from magnostic.deploy.sources import Item
from magnostic.deploy.to_file import Stream
from magnostic.progress import say

#: Batches of the model that a process is given at once, at most.
_BATCHES: Final = 8
#: Times that each process is given some, at least, if there are as many.
_TURNS: Final = 4


@dataclass(frozen=True)
class _Model:
    """What a process loads."""

    run: Path
    engine: EngineName
    level: float


@contextlib.contextmanager
def stream(
    place: cluster.Place,
    run: Path,
    engine: EngineName,
    level: float,
    predictor: Predictor,
    items: Sequence[Item],
) -> Iterator[Stream]:
    """Join the cluster and yield what :func:`magnostic.deploy.to_file.predict_to_file` takes.

    Args:
        run, engine, level: of the model, as for :func:`magnostic.deploy.load`.
        predictor: the same model, loaded here. Where the cluster has no GPU, its engine is every
            node's, so that all rows are computed in one way.
        items: of which the first and the last that exist here must exist on every node.

    Raises BadInput where a node lacks run or photographs, or none has as many cores; RunFailed
    where no Ray answers.
    """
    with cluster.connected(place.on) as ray:
        share = cluster.share(ray, place)
        cluster.require_shared(ray, [run, *_first(items), *_first(reversed(items))])
        if engine == "auto" and not share["num_gpus"] and not artefact.is_export(run):
            (engine,) = (e for e in get_args(EngineName) if predictor.engine.name.startswith(e))
        model = _Model(run.absolute(), engine, level)
        size = predictor.engine.batch_size
        yield lambda rest: _rows(ray, rest, model, size, share)


def _first(items: Iterable[Item]) -> list[Path]:
    """The first photograph that exists here, if any does."""
    return list(islice((Path(i.path) for i in items if os.path.exists(i.path)), 1))  # noqa: PTH110


def _rows(
    ray: Any, items: Sequence[Item], model: _Model, size: int, share: dict[str, float]
) -> Generator[Row, None, None]:
    if not items:
        return
    total = ray.cluster_resources()
    most = total["CPU"] // share["num_cpus"]
    if share["num_gpus"]:
        most = min(most, total["GPU"] // share["num_gpus"])
    batches = -(-len(items) // size)
    at_once = size * int(max(1, min(_BATCHES, batches // (most * _TURNS))))
    blocks = -(-len(items) // at_once)
    processes = int(max(1, min(most, blocks)))
    many = (
        "1 process of Ray predicts" if processes == 1 else f"{processes} processes of Ray predict"
    )
    say(f"{many} {at_once} photographs at a time")
    # As JSON, since names need not be UTF-8.
    told = [{"item": json.dumps((item.path, item.ids))} for item in items]
    work = _Work(told, blocks, at_once, processes, model, cluster.environment(), share)
    if _is_far():
        reader = ray.remote(_Reader).options(num_cpus=0).remote(work)
        answers: Iterator[list[str]] = iter(lambda: ray.get(reader.next.remote()), None)
    else:
        answers = work.answers()
    for answer in answers:
        yield from map(json.loads, answer)


def _is_far() -> bool:
    """Whether the cluster was joined at ray://, through which Ray Data can't be used."""
    from ray.util import client

    told: Any = client.ray
    return bool(told.is_connected())


@dataclass(frozen=True)
class _Work:
    """What Ray Data is to do, here or in a process of the cluster."""

    told: list[dict[str, str]]
    blocks: int
    at_once: int
    processes: int
    model: _Model
    passed: dict[str, str]
    share: dict[str, float]

    def answers(self) -> Iterator[list[str]]:
        """Rows as JSON, some at a time, in order."""
        import ray.data as data

        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        predicted = data.from_items(self.told, override_num_blocks=self.blocks).map_batches(
            _Predict,
            fn_constructor_args=(self.model, self.passed, self.share["num_cpus"]),
            batch_size=self.at_once,
            concurrency=(1, self.processes),
            num_cpus=self.share["num_cpus"],
            num_gpus=self.share["num_gpus"],
        )
        for batch in predicted.iter_batches(batch_size=None, prefetch_batches=1):
            yield list(batch["row"])


class _Reader:
    """A process of the cluster in which Ray Data runs; answers are fetched one at a time."""

    def __init__(self, work: _Work) -> None:
        self._answers = work.answers()

    def next(self) -> list[str] | None:
        return next(self._answers, None)


class _Predict:
    """A process of the cluster, with the model."""

    def __init__(self, model: _Model, passed: dict[str, str], cpus: float) -> None:
        cluster.enter(passed, cpus)
        self._workers = max(1, int(cpus))
        self._predictor = load(model.run, engine=model.engine, level=model.level)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        items = [Item(path, tuple(ids)) for path, ids in map(json.loads, batch["item"])]
        rows = self._predictor.stream(items, workers=self._workers)
        return {"row": [json.dumps(row) for row in rows]}
