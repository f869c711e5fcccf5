"""One exception tree: every message says what is wrong, where, and what to do next.

The command line prints the message alone and exits with :attr:`MagnosticError.exit_code`:
2 for bad input (nothing was started), 1 for a run that failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MagnosticError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 1


class RunFailed(MagnosticError):
    """A run that had started could not go on (disk, memory, a diverging loss)."""


class DiskFull(RunFailed):
    """A file that found no room; what stood in its place is as it was."""


class FetchError(RunFailed):
    """A download that failed, or that brought something else than what was asked for."""


class BadInput(MagnosticError):
    """What was given cannot be used: a path, a file, a table, an option."""

    exit_code = 2


class DataError(BadInput):
    """A data set, manifest or image file that cannot be read as what it claims to be."""


class TableError(BadInput):
    """An images, split or predictions table that breaks its contract."""


class RecipeError(BadInput):
    """A recipe with an unknown, missing or contradictory field."""


class SplitError(BadInput):
    """A protocol that cannot be carried out on these images."""


class LeakError(SplitError):
    """A split whose parts share what its protocol keeps apart."""


class WeightsError(BadInput):
    """Weights that cannot be found, downloaded or loaded whole."""


class MissingExtra(BadInput):
    """A library that only some systems need is not installed."""

    def __init__(self, extra: str, library: str) -> None:
        super().__init__(f"{library} is not installed; run: pip install 'magnostic[{extra}]'")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the nearest known word, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
