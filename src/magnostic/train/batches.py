"""The batches of an epoch: the next one is read from the cache while this one is computed with."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.preprocess.balance import Samples
from magnostic.train.inputs import Held, Inputs

Item = TypeVar("Item")
Made = TypeVar("Made")


def batches(
    inputs: Inputs,
    y: NDArray[np.intp],
    samples: Samples,
    parts: Sequence[NDArray[np.intp]],
    device: torch.device,
    *,
    thread: bool = True,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Inputs and classes, int64 [n], of some samples after others, on the device.

    To be closed by whoever may leave it early (``contextlib.closing``): a thread ends with it.

    Args:
        inputs: what the samples' rows are positions of.
        y: class index of each of those.
        samples: of the epoch, in order.
        parts: positions in ``samples`` of each batch.
        device: where the batches are wanted.
        thread: read ahead. The same batches come without; for features, which lie in memory, a
            thread costs more than it hides.
    """
    pinned = device.type == "cuda"

    def read(part: NDArray[np.intp]) -> tuple[Held, Tensor]:
        some = samples.take(part)
        return inputs.read(some, pinned), torch.from_numpy(y[some.rows])

    with closing(_ahead(read, parts) if thread else _in_turn(read, parts)) as found:
        for held, classes in found:
            yield inputs.place(held, device), classes.to(device, non_blocking=True)


def _in_turn(make: Callable[[Item], Made], items: Sequence[Item]) -> Generator[Made, None, None]:
    yield from map(make, items)


def _ahead(make: Callable[[Item], Made], items: Sequence[Item]) -> Generator[Made, None, None]:
    """``make`` of each item in order, by a thread, at most one more than was asked for.

    What ``make`` raises is raised here, when its item's turn comes.
    """
    if not items:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as pool:
        coming = pool.submit(make, items[0])
        for item in items[1:]:
            made, coming = coming.result(), pool.submit(make, item)
            yield made
        yield coming.result()
