"""Running out of memory, told as what it is and how to go on."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import torch

from magnostic.errors import RunFailed


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn what the CPU's or a GPU's allocator raises inside into RunFailed."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_lack(error):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunFailed(
            f"out of memory ({reason}); free some, or take a machine or GPU with more, then give "
            "the same command again (train: with --resume), which goes on from its last "
            "checkpoint; a smaller train.batch_size needs less and is another run"
        ) from None


def free() -> None:
    """Give back what nothing refers to any more: networks lie in cycles until they are looked for.

    For between two trainings: the networks of one must not wait in memory for the next.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _is_lack(error: MemoryError | RuntimeError) -> bool:
    # The CPU's allocator has no class of its own.
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error)
