"""``magnostic index``: what a data set holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from magnostic.cli import options


def index(
    data: options.DataPath,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    format: options.Format = "auto",  # noqa: A002
    on_bad: options.OnBad = "stop",
    column: options.Columns = (),
) -> None:
    """Read a data set and print what it holds, beside the paper's Table I.

    Every photograph is decoded and hashed; bad files are listed.

    Parameters
    ----------
    out
        Write the images table here (Parquet), to be given as DATA later.
    """
    from rich.console import Console

    from magnostic.data import summary

    images = options.read(data, format, on_bad, column)
    Console().print(summary.render(images))
    if out is not None:
        images.write(out)
        print(f"wrote {out} ({len(images)} images)")
