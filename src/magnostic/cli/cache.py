"""``magnostic cache``: what is kept for later runs, and removing it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from magnostic.data.cache import Entry


def cache(
    action: Literal["list", "prune"] = "list",
    *,
    older_than: float | None = None,
    limit: float | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
) -> None:
    """List what the cache holds, or remove some of it; it is made again where it is needed.

    Decoded photographs, what files held when they were last indexed, features, and models converted
    for prediction are kept in $MAGNOSTIC_CACHE, or magnostic in the user's cache folder. What a
    running process reads stays.

    Parameters
    ----------
    action
        list, or prune, which takes at least one of the options.
    older_than
        Remove what was not used for so many days.
    limit
        Keep so many GiB at most; what was used longest ago goes first.
    everything
        Remove all.
    """
    from magnostic.data.cache import entries, prune
    from magnostic.data.place import default_folder
    from magnostic.errors import BadInput

    given = older_than is not None or limit is not None or everything
    for name, value in (("--older-than", older_than), ("--limit", limit)):
        if value is not None and not value >= 0:
            raise BadInput(f"{name} {value:g}: give a number of 0 or more")
    if action == "list":
        if given:
            raise BadInput("--older-than, --limit and --all are for: magnostic cache prune")
        _print(entries())
        print(f"in {default_folder()}")
        return
    if not given:
        raise BadInput("prune: say what to remove: --older-than DAYS, --limit GIB or --all")
    removed, kept = prune(
        older_than=None if older_than is None else older_than * 86400,
        most=None if limit is None else limit * 2**30,
        everything=everything,
    )
    if removed:
        _print(removed)
    print(f"removed {_counted(removed)}")
    if kept:
        print(f"kept {_counted(kept)} in use by a running process")


def _print(found: Sequence[Entry]) -> None:
    from rich.table import Table

    from magnostic.cli.console import console

    table = Table(box=None, pad_edge=False)
    for heading, side in (
        ("kind", "left"),
        ("photographs", "right"),
        ("size", "right"),
        ("fit", "left"),
        ("MiB", "right"),
        ("last used", "right"),
    ):
        table.add_column(heading, justify="right" if side == "right" else "left", no_wrap=True)
    for entry in found:
        photographs = "" if entry.photographs is None else f"{entry.photographs:,}"
        megabytes = f"{entry.bytes / 2**20:,.1f}"
        age = _age(time.time() - entry.used)
        table.add_row(entry.kind, photographs, entry.size, entry.fit, megabytes, age)
    if found:
        console().print(table)
    print(f"{_counted(found)}")


def _counted(found: Sequence[Entry]) -> str:
    total = sum(entry.bytes for entry in found) / 2**20
    return f"{len(found)} {'entry' if len(found) == 1 else 'entries'}, {total:,.1f} MiB"


def _age(seconds: float) -> str:
    if seconds < 3600:
        return f"{max(0, seconds) / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago" if seconds < 172800 else f"{seconds / 86400:.0f} days ago"
