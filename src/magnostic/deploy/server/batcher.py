"""Photographs of all requests, decoded on threads and computed together.

One thread computes. It takes as many photographs as the engine likes at once; a batch that is not
full waits for those that are being decoded, and a few milliseconds for others, since a batch costs
the same however full it is. Where the engine computes on the cores that decode, the two take turns
(:mod:`magnostic.deploy.pipeline` says why).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from magnostic import heap
from magnostic.deploy.photograph import Input, read
from magnostic.deploy.pipeline import Batch
from magnostic.deploy.predictor import Predictor, Row
from magnostic.deploy.server import content
from magnostic.processors import cores

#: Seconds that a batch waits at most for photographs that are being decoded.
_WAIT: Final = 0.25
#: Seconds without work after which memory goes back to the system.
_IDLE: Final = 2.0


@dataclass(frozen=True)
class _Waiting:
    """A photograph ready to be computed, and who waits for its row."""

    entry: Input
    row: asyncio.Future[Row]


@dataclass(frozen=True)
class _Job:
    """Other work for the thread that computes."""

    work: Callable[[], Any]
    result: asyncio.Future[Any]


class Batcher:
    """Computes for all requests; its coroutines may be awaited by any number of them.

    Args:
        predictor: what computes.
        max_pixels: beyond which a photograph is refused before it is decoded.
        linger: seconds that a batch waits for photographs nobody has sent yet.
        computed: called with the number of photographs of each batch and its seconds.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        max_pixels: int,
        linger: float,
        computed: Callable[[int, float], None] = lambda _n, _s: None,
    ) -> None:
        self._predictor = predictor
        self._max_pixels, self._linger, self._computed = max_pixels, linger, computed
        self._turns = predictor.engine.shares_cores
        self._ready: deque[_Waiting] = deque()
        self._jobs: deque[_Job] = deque()
        self._decoding = 0
        self._computing = self._closing = False
        self._changed = threading.Condition()
        # A batch's blocks do not fit into the heaps that glibc makes for each thread: memory would
        # be cleared anew for every batch, a third of the rate under load (bench/serve_load.py).
        heap.share()
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="uploads")
        self._thread = threading.Thread(target=self._work, name="compute", daemon=True)

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    def close(self) -> None:
        """Finish what was begun, and end the threads."""
        self._pool.shutdown()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether work is taken."""
        return self._thread.is_alive() and not self._closing

    async def row(self, data: bytes) -> Row:
        """What :class:`Predictor` says of one file's content."""
        row: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._decoding += 1
        self._pool.submit(self._decode, data, row)
        return await row

    async def decoded(self, data: bytes) -> Input | str:
        """A file's content as input, or in words why it can't be one."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._read, data)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Let the thread that computes do something else between two batches."""
        job = _Job(work, asyncio.get_running_loop().create_future())
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()
        return await job.result

    def _read(self, data: bytes) -> Input | str:
        about = self._predictor.about
        return content.refusal(data) or read(data, about.size, about.fit, self._max_pixels)

    def _decode(self, data: bytes, row: asyncio.Future[Row]) -> None:
        if self._turns:
            with self._changed:
                while self._computing:
                    self._changed.wait()
        entry = self._read(data)
        with self._changed:
            self._decoding -= 1
            if isinstance(entry, Input):
                self._ready.append(_Waiting(entry, row))
            self._changed.notify_all()
        if isinstance(entry, str):
            (told,) = self._predictor.rows(Batch([entry]))
            _deliver([(row, told)])

    def _work(self) -> None:
        trim = True  # once after each time of work
        while True:
            with self._changed:
                while not (self._ready or self._jobs):
                    if self._closing and not self._decoding:
                        return
                    if not self._changed.wait(_IDLE if trim else None) and trim:
                        trim = False
                        heap.give_back()
                trim = True
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                _carry_out(job)
            if self._ready:
                self._compute(self._next_batch())

    def _next_batch(self) -> list[_Waiting]:
        size = self._predictor.engine.batch_size
        started = time.monotonic()
        with self._changed:
            while len(self._ready) < size and not self._closing:
                until = started + (_WAIT if self._decoding else self._linger)
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    break
            self._computing = True
            return [self._ready.popleft() for _ in range(min(size, len(self._ready)))]

    def _compute(self, batch: list[_Waiting]) -> None:
        started = time.monotonic()
        try:
            rows = self._predictor.rows(Batch([waiting.entry for waiting in batch]))
            answers: list[tuple[asyncio.Future[Any], Any]] = [
                (waiting.row, row) for waiting, row in zip(batch, rows, strict=True)
            ]
        except Exception as error:  # one batch's fault must not stop the thread
            answers = [(waiting.row, error) for waiting in batch]
        finally:
            with self._changed:
                self._computing = False
                self._changed.notify_all()
        self._computed(len(batch), time.monotonic() - started)
        _deliver(answers)


def _carry_out(job: _Job) -> None:
    try:
        result = job.work()
    except Exception as error:
        result = error
    _deliver([(job.result, result)])


def _deliver(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    """Settle futures on their own loops, each loop woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for future, result in answers:
        by_loop.setdefault(future.get_loop(), []).append((future, result))

    def settle(here: list[tuple[asyncio.Future[Any], Any]]) -> None:
        for future, result in here:
            if future.done():  # whoever asked has gone
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    for loop, here in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, here)
