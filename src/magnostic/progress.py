"""Progress for long work: a rich bar on a terminal, a plain line now and then otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@contextmanager
def meter(what: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Yield a function to be told how many more bytes have come; ``done`` came before.

    ``total`` bytes are expected, None where nobody knows.
    """
    if sys.stderr.isatty():
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total, completed=done)
            yield lambda more: bar.advance(task, more)
        return
    came, said, then = done, time.monotonic(), done
    of = "" if total is None else f" of {amount(total)}"

    def advance(more: int) -> None:
        nonlocal came, said, then
        came += more
        now = time.monotonic()
        if now - said > PLAIN_INTERVAL:
            say(f"{what}: {amount(came)}{of}, {amount((came - then) / (now - said))}/s")
            said, then = now, came

    yield advance


def amount(size: float) -> str:
    """Bytes as people say them, in powers of a thousand: ``4.27 GB``."""
    unit = "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    digits = 0 if unit == "bytes" or size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{digits}f} {unit}"


def say(line: str) -> None:
    """One plain line on standard error (standard output is for results)."""
    print(line, file=sys.stderr, flush=True)
