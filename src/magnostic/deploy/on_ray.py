"""Bulk prediction by Ray Data: rows come back in order while they are computed.

Every process of the cluster holds the model once and predicts some batches of photographs at a
time; what is lost with a process or node is predicted again elsewhere. Photographs that were lost
once are then predicted one by one, so that one which ends whatever process reads it becomes a row
with its error, and no others are lost with it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, get_args

from magnostic import cluster
from magnostic.deploy import artefact
from magnostic.deploy.load import EngineName, load
from magnostic.deploy.output import Row
from magnostic.deploy.predictor import Predictor, unread
from magnostic.deploy.sources import Item
from magnostic.deploy.to_file import Stream
from magnostic.errors import RunFailed
from magnostic.progress import say

#: Batches of the model that a process is given at once, at most.
_BATCHES: Final = 8
#: Times that each process is given some, at least, if there are as many.
_TURNS: Final = 4
#: Processes in turn that may end over one photograph alone.
_ALONE: Final = 2
#: Processes beyond the first of each that may end while they load the model, none meanwhile having
#: loaded it.
_LOADS: Final = 5
_ENDED: Final = (
    "ended its process: so did others that read it; look at the file, or give the nodes more memory"
)


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
) -> Iterator[tuple[str, Stream]]:
    """Join the cluster and yield what :func:`magnostic.deploy.to_file.predict_to_file` takes.

    That is the name of the engine there, and what gives the rows.

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
        name = predictor.engine.name
        if share["num_gpus"] or "cuda" in name:  # the nodes may compute in another way
            asked = ray.remote(_engine).options(**share)
            name = ray.get(asked.remote(model, cluster.environment(), share["num_cpus"]))
            say(f"engine on the cluster: {name}")
        yield name, lambda rest: _rows(ray, rest, model, size, share)


def _engine(model: _Model, passed: dict[str, str], cpus: float) -> str:
    cluster.enter(passed, cpus)
    return load(model.run, engine=model.engine, level=model.level).engine.name


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
    told = [{"item": json.dumps((n, item.path, item.ids))} for n, item in enumerate(items)]
    work = _Work(told, blocks, at_once, processes, model, cluster.environment(), share)
    if _is_far():
        reader = ray.remote(_Reader).options(num_cpus=0).remote(work)
        answers: Iterator[list[str]] = iter(lambda: ray.get(reader.next.remote()), None)
    else:
        answers = work.answers()
    done = 0
    try:
        for answer in answers:
            yield from map(json.loads, answer)
            done += len(answer)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise RunFailed(
            f"Ray: {cluster.reason(error)}; {done} of {len(items)} rows are written down, and the "
            "same command with --resume goes on from there"
        ) from None


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
        import ray
        import ray.data as data

        kept = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        ledger = ray.remote(_Ledger).options(**kept).remote()
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        # What ends its process is begun again for ever; the ledger sees to it that none does.
        predicted = data.from_items(self.told, override_num_blocks=self.blocks).map_batches(
            _Predict,
            fn_constructor_args=(
                self.model, self.passed, self.share["num_cpus"], ledger, self.processes,
            ),
            batch_size=self.at_once,
            concurrency=(1, self.processes),
            num_cpus=self.share["num_cpus"],
            num_gpus=self.share["num_gpus"],
        )  # fmt: skip
        for batch in predicted.iter_batches(batch_size=None, prefetch_batches=1):
            yield list(batch["row"])


class _Reader:
    """A process of the cluster in which Ray Data runs; answers are fetched one at a time."""

    def __init__(self, work: _Work) -> None:
        self._answers = work.answers()

    def next(self) -> list[str] | None:
        return next(self._answers, None)


class _Ledger:
    """A process of the cluster that knows what others began and did not finish."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def begin(self, work: str) -> int:
        """Times that this was begun since it was finished the last time."""
        self._open[work] += 1
        return self._open[work] - 1

    def finish(self, work: str) -> None:
        del self._open[work]


class _Predict:
    """A process of the cluster, with the model."""

    def __init__(
        self, model: _Model, passed: dict[str, str], cpus: float, ledger: Any, processes: int
    ) -> None:
        cluster.enter(passed, cpus)
        self._workers = max(1, int(cpus))
        self._ledger = ledger
        if self._begin("model") >= processes + _LOADS:
            raise RunFailed("whichever process loads the model ends; has a node enough memory?")
        self._predictor = load(model.run, engine=model.engine, level=model.level)
        self._finish("model")

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        told = list(map(json.loads, batch["item"]))
        items = [Item(path, tuple(ids)) for _, path, ids in told]
        first = told[0][0]
        batch_from = f"batch from {first}"
        if self._begin(batch_from):
            rows: Iterable[Row] = [self._alone(n, item) for n, item in enumerate(items, first)]
        else:
            rows = self._predicted(items)
        answer = {"row": [json.dumps(row) for row in rows]}
        self._finish(batch_from)
        return answer

    def _predicted(self, items: Sequence[Item]) -> Iterable[Row]:
        return self._predictor.stream(items, workers=self._workers)

    def _alone(self, number: int, item: Item) -> Row:
        if self._begin(str(number)) >= _ALONE:
            return unread(item, _ENDED)
        (row,) = self._predicted([item])
        self._finish(str(number))
        return row

    def _begin(self, work: str) -> int:
        import ray

        before: int = ray.get(self._ledger.begin.remote(work))
        return before

    def _finish(self, work: str) -> None:
        import ray

        ray.get(self._ledger.finish.remote(work))
