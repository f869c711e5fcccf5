"""The browser as a server: one socket, one process, an end on SIGINT or SIGTERM."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from magnostic import web
from magnostic.browse import find
from magnostic.browse.browser import Browser
from magnostic.browse.photographs import DataSet
from magnostic.data.read import read_sets
from magnostic.errors import DataError, MissingExtra
from magnostic.progress import say

#: Seconds that answers under way have to end in.
_GRACE: Final = 5


def data_sets(sources: Sequence[Path]) -> list[DataSet]:
    """The data sets given, each by itself, and all as one where they can be merged.

    Bad files are left out: a run that has them says so itself.
    """
    sets = [DataSet(source.name, read_sets([source], on_bad="skip")) for source in sources]
    if len(sets) > 1:
        # Runs on merged data know their images by names of the merged set.
        with contextlib.suppress(DataError):
            sets.append(DataSet("the merged data sets", read_sets(sources, on_bad="skip")))
    return sets


def serve(roots: Sequence[Path], data: Sequence[Path], host: str, port: int) -> None:
    """Serve the pages until interrupted; prints their address on standard output.

    Args:
        roots: folders to look for runs in.
        data: data sets to look for photographs in.
        host: name or address to listen at.
        port: 0 for any that is free.

    Raises:
        BadInput: a folder or data set cannot be read, or the address not be listened at.
        MissingExtra: the libraries of ``[serve]`` are not installed.
    """
    try:
        import uvicorn

        from magnostic.browse.app import make_app, names_of
        from magnostic.serving import Server
    except ModuleNotFoundError as error:
        raise MissingExtra("serve", error.name or "fastapi") from None
    folders = find.check(roots)
    with web.listen(host, port) as bound:
        browser = Browser(folders, data_sets(data))
        if not find.find(folders).places:
            here = ", ".join(map(str, roots))
            say(
                f"no run or study in {here}; give another folder, or make one by `magnostic train` "
                "or `magnostic study` (--out), and it is listed as soon as it is there"
            )
        app = make_app(browser, names_of(host))
        server = Server(
            uvicorn.Config(
                app, log_level="warning", access_log=False, server_header=False,
                timeout_graceful_shutdown=_GRACE,
            )
        )  # fmt: skip
        if not web.loopback(bound):
            say(f"listening at {host}: whoever can reach this machine can see runs and photographs")
        print(f"magnostic ui: {web.address(bound, host)} (Ctrl+C ends it)", flush=True)
        server.run(sockets=[bound])
