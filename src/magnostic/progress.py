"""Progress for long work: a rich bar on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two plain lines where there is no terminal.
PLAIN_INTERVAL = 10.0


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yield the items, showing how many of ``total`` are done on standard error."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, what, total, console=Console(stderr=True), transient=True)
        return
    said = time.monotonic()
    spoke = False
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - said > PLAIN_INTERVAL or (spoke and done == total):
            say(f"{what}: {done}/{total}")
            said, spoke = time.monotonic(), True


def say(line: str) -> None:
    """One plain line on standard error (standard output is for results)."""
    print(line, file=sys.stderr, flush=True)
