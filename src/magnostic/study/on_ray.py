"""Runs of a study as tasks of Ray: lost ones are begun again, where their checkpoints stand.

They are counted here, not by Ray, which begins a task that its memory monitor has ended again and
again.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from magnostic import cluster
from magnostic.data.images import Images
from magnostic.data.summary import counted
from magnostic.progress import say
from magnostic.study.execute import Outcome, carry_out
from magnostic.study.place import Placed

#: How often a run is begun again whose process or node was lost.
RETRIES: Final = 5
#: Seconds to wait for a process that lost its node and is still at work in the run's folder.
_PATIENCE: Final = 120.0
#: Seconds for interrupted runs to store a checkpoint.
_STOPPING: Final = 60.0


@dataclass(frozen=True)
class OnRay:
    """An engine of :func:`magnostic.study.execute.execute`."""

    place: cluster.Place

    def __call__(
        self, todo: Sequence[Placed], images: Images, out: Path
    ) -> Generator[tuple[Placed, Outcome], None, None]:
        """Carry out runs on the cluster's nodes; a run is told of when it is handed over.

        Raises BadInput where a node lacks folders or photographs, or none has as many cores;
        RunFailed where no Ray answers.
        """
        if not todo:
            return
        with cluster.connected(self.place.on) as ray:
            share = cluster.share(ray, self.place)
            ends = (
                [Path(images.table["path"].iloc[i]) for i in (0, -1)] if len(images.table) else []
            )
            cluster.require_shared(ray, ends, out)
            say(f"{counted(len(todo), 'run')} on {_told(ray)}; each run has {_each(share)}")
            table = ray.put(images)
            task = ray.remote(_task).options(max_retries=0, **share)
            given = str(out.absolute()), cluster.environment(), share["num_cpus"]
            under_way: dict[Any, Placed] = {}
            lost: Counter[str] = Counter()
            try:
                for item in todo:
                    under_way[task.remote(item, table, *given)] = item
                    yield item, ("running", "")
                while under_way:
                    (done,), _ = ray.wait(list(under_way), num_returns=1)
                    item = under_way.pop(done)
                    outcome, was_lost = _outcome(ray, done)
                    lost[item.path] += was_lost
                    if was_lost and lost[item.path] <= RETRIES:
                        say(f"{item.entry.key}: {outcome[1]}; begun again")
                        under_way[task.remote(item, table, *given)] = item
                    elif was_lost:
                        yield item, ("failed", f"lost {lost[item.path]} times ({outcome[1]})")
                    else:
                        yield item, outcome
            finally:
                _stop(ray, list(under_way))


def _outcome(ray: Any, done: Any) -> tuple[Outcome, bool]:
    """What came of a run, and whether it was lost with its process or node."""
    given = ray.exceptions
    try:
        found: Outcome = ray.get(done)
    except given.OutOfMemoryError:  # Ray's own words are of many lines
        return ("failed", "ended by Ray since its node was short of memory"), True
    except given.NodeDiedError:
        return ("failed", "its node was lost"), True
    except given.WorkerCrashedError:
        return ("failed", "its process ended"), True
    except given.RayError as error:
        return ("failed", cluster.reason(error)), False
    return found, False


def _stop(ray: Any, left: list[Any]) -> None:
    """Interrupt runs as Ctrl-C does; whoever has not ended in a minute is killed.

    Does nothing where the cluster is lost: asked for anything, Ray would join or start another.
    """
    if not left or not ray.is_initialized():
        return
    say(f"stopping {counted(len(left), 'run')} on the cluster after the steps under way")
    with contextlib.suppress(ray.exceptions.RayError, ConnectionError):
        for one in left:
            ray.cancel(one)
        _, left = ray.wait(left, num_returns=len(left), timeout=_STOPPING)
        for one in left:
            ray.cancel(one, force=True)


def _task(item: Placed, images: Images, out: str, passed: dict[str, str], cpus: float) -> Outcome:
    cluster.enter(passed, cpus)
    return carry_out(item, images, Path(out), _PATIENCE)


def _told(ray: Any) -> str:
    total = ray.cluster_resources()
    nodes = counted(sum(1 for node in ray.nodes() if node["Alive"]), "node")
    return (
        f"{nodes} with {_each({'num_cpus': total.get('CPU', 0), 'num_gpus': total.get('GPU', 0)})}"
    )


def _each(share: dict[str, float]) -> str:
    gpus = f", {share['num_gpus']:g} GPU" if share["num_gpus"] else ""
    return f"{share['num_cpus']:g} core{'' if share['num_cpus'] == 1 else 's'}{gpus}"
