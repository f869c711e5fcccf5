"""Photographs to batches of inputs, decoded ahead on threads, in order, in bounded memory.

Where the network computes on the same cores, decoding and computing take turns of a few batches,
each with all cores, since threads that wait for each other within an operation are held up by
decoding threads beside them. Beside an accelerator they overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.data.fit import Fit, Size
from magnostic.deploy.photograph import Input, read
from magnostic.processors import cores

#: Photographs of one batch at most for each that could be read: bounds what waits behind bad ones.
_BAD_SHARE: Final = 4
#: Batches that are decoded ahead.
_AHEAD: Final = 4


@dataclass
class Batch:
    """Consecutive photographs.

    Attributes:
        inputs: one entry each, in order: what was read, or in words why nothing could be.
    """

    inputs: list[Input | str] = field(default_factory=list)

    @property
    def good(self) -> list[int]:
        """Positions of those that were read."""
        return [i for i, entry in enumerate(self.inputs) if isinstance(entry, Input)]

    def pixels(self) -> NDArray[np.uint8]:
        """uint8 [n, height, width, 3] of those that were read, n >= 1."""
        return np.stack([entry.pixels for entry in self.inputs if isinstance(entry, Input)])


def batches(
    images: Iterable[Any],
    size: Size,
    fit: Fit,
    batch_size: int,
    *,
    workers: int = 0,
    overlap: bool = False,
) -> Iterator[Batch]:
    """Batches of ``batch_size`` readable photographs, the last one of what is left.

    Args:
        images: whatever :func:`magnostic.deploy.photograph.read` takes.
        workers: decoding threads; 0: one a core.
        overlap: decode while a batch is being used, instead of in turns.
    """
    batch, good = Batch(), 0
    with ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode") as pool:
        read_one = partial(read, size=size, fit=fit)
        read_all = _overlapping if overlap else _in_turns
        for entry in read_all(pool, read_one, iter(images), _AHEAD * batch_size):
            batch.inputs.append(entry)
            good += isinstance(entry, Input)
            if good == batch_size or len(batch.inputs) == _BAD_SHARE * batch_size:
                yield batch
                batch, good = Batch(), 0
    if batch.inputs:
        yield batch


Entry = Input | str
ReadOne = Callable[[Any], Entry]


def _in_turns(
    pool: ThreadPoolExecutor, read_one: ReadOne, images: Iterator[Any], ahead: int
) -> Iterator[Entry]:
    """What is read, ``ahead`` photographs at a time; nothing is read while these are used."""
    while some := list(islice(images, ahead)):
        yield from list(pool.map(read_one, some))


def _overlapping(
    pool: ThreadPoolExecutor, read_one: ReadOne, images: Iterator[Any], ahead: int
) -> Iterator[Entry]:
    """What is read, with ``ahead`` photographs read or being read."""
    waiting: deque[Future[Entry]] = deque()
    try:
        waiting.extend(pool.submit(read_one, image) for image in islice(images, ahead))
        while waiting:
            entry = waiting.popleft().result()
            waiting.extend(pool.submit(read_one, image) for image in islice(images, 1))
            yield entry
    finally:
        for future in waiting:
            future.cancel()
