"""``magnostic card``: the model card of a run."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def card(run: Path, *, out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None) -> None:
    """Write MODEL_CARD.md from the files of a run, as Hugging Face reads model cards.

    Parameters
    ----------
    run
        A run folder, parent or child.
    out
        The file to write, which replaces one of that name; RUN/MODEL_CARD.md unless given.
    """
    from magnostic.lock import locked
    from magnostic.report import write_card

    with locked(run, make=False) if out is None else nullcontext():
        print(write_card(run, out))
