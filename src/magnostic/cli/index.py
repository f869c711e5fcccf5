"""``magnostic index``: what a data set holds."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from magnostic.cli import options
from magnostic.errors import BadInput, TableError


def index(
    data: options.DataPaths,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    format: options.Format = "auto",  # noqa: A002
    on_bad: options.OnBad = "stop",
    column: options.Columns = (),
    label_map: options.LabelMap = None,
    rescan: options.Rescan = False,
) -> None:
    """Read one or several data sets and print what they hold, beside the paper's Table I.

    Every photograph is decoded and hashed, unless an earlier command did so and the file has not
    changed since; bad files are listed.

    Parameters
    ----------
    out
        Write the images table here (.parquet), to be given as DATA later. Only another images
        table is overwritten.
    """
    from rich.console import Console

    from magnostic.data import summary

    if out is not None:
        _check_out(out, data)
    images = options.read(data, format, on_bad, column, label_map, rescan=rescan)
    Console().print(summary.render(images))
    if out is not None:
        images.write(out)
        print(f"wrote {out} ({summary.counted(len(images), 'image')})")


def _check_out(out: Path, data: tuple[Path, ...]) -> None:
    """Raise BadInput where a table can't be written to ``out``, or would destroy something."""
    from magnostic.data import Images

    if out.suffix.lower() != ".parquet":
        raise BadInput(
            f"--out {out}: the images table is a Parquet file; give a name that ends in .parquet"
        )
    if out.resolve() in {source.resolve() for source in data}:
        raise BadInput(f"--out {out}: is the input; give another name")
    if out.is_dir():
        raise BadInput(f"--out {out}: a folder; give the name of a file")
    if out.exists():
        try:
            Images.read(out)
        except (TableError, ValueError, TypeError):
            raise BadInput(
                f"--out {out}: exists and is not an images table, so it is not overwritten; give "
                "another name"
            ) from None
    _check_folder(out.parent)


def _check_folder(folder: Path) -> None:
    """Raise BadInput unless files can be written into the folder, or into one made for it."""
    try:
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise BadInput(
            f"--out: folder {folder} cannot be written ({error.strerror}); name another place"
        ) from None
