"""``magnostic ui``: pages on runs, comparisons and errors, in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from magnostic.cli import options


def ui(
    *runs: Path,
    data: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))] = 8600,
) -> None:
    """Look at runs in a browser: list, report, comparison, errors with their photographs.

    Nothing is written and nothing is loaded from elsewhere. Research use only.

    Parameters
    ----------
    runs
        Folders of runs or studies, or folders that hold some at any depth.
    data
        Data sets whose photographs are shown beside predictions, as for index: a BreakHis tree, a
        manifest, class folders, an images.parquet. Images are matched by their ids; a run's own
        images.parquet is looked at first.
    host
        Address to listen at. Others than loopback let whoever reaches this machine look.
    port
        0 for any that is free.
    """
    from magnostic.browse.serve import serve

    options.refuse_absent(data)
    serve(runs, data, host, port)
