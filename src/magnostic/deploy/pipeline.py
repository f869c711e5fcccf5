"""Photographs to batches of inputs, decoded ahead on threads, in order, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.data.pixels import Fit, Size
from magnostic.deploy.photograph import Input, read

#: Photographs of one batch at most for each that could be read: bounds what waits behind bad ones.
_BAD_SHARE: Final = 4


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


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def batches(
    images: Iterable[Any], size: Size, fit: Fit, batch_size: int, workers: int = 0
) -> Iterator[Batch]:
    """Batches of ``batch_size`` readable photographs, the last one of what is left.

    Args:
        images: whatever :func:`magnostic.deploy.photograph.read` takes.
        workers: decoding threads; 0: one a core.
    """
    batch, good = Batch(), 0
    for entry in _read_ahead(images, size, fit, 2 * batch_size, workers or cores()):
        batch.inputs.append(entry)
        good += isinstance(entry, Input)
        if good == batch_size or len(batch.inputs) == _BAD_SHARE * batch_size:
            yield batch
            batch, good = Batch(), 0
    if batch.inputs:
        yield batch


def _read_ahead(
    images: Iterable[Any], size: Size, fit: Fit, ahead: int, workers: int
) -> Iterator[Input | str]:
    """What :func:`read` gives for each, at most ``ahead`` of them waiting."""
    rest = iter(images)
    waiting: deque[Future[Input | str]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        waiting.extend(pool.submit(read, image, size, fit) for image in islice(rest, ahead))
        while waiting:
            entry = waiting.popleft().result()
            waiting.extend(pool.submit(read, image, size, fit) for image in islice(rest, 1))
            yield entry
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
