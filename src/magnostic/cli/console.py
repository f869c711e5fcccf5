"""Where tables are printed: as wide as the terminal, or wide enough for a file or pipe."""

from __future__ import annotations

from typing import Final

from rich.console import Console

#: Characters a line where nobody's window limits it.
_WIDTH: Final = 300


def console() -> Console:
    """A console for results on standard output."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDTH)
